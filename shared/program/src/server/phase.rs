//! How far the end of the process is away.

use tokio::sync::watch;

/// Where the process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Phase {
    /// Not everything is known yet that answers need.
    #[default]
    Starting,
    /// At work.
    Serving,
    /// Told to stop: Services and load balancers are finding out.
    Draining,
    /// Nothing new is accepted.
    Stopping,
}

/// The phase now, and its changes. Clones share it.
#[derive(Debug, Clone)]
pub struct Phases(watch::Sender<Phase>);

impl Default for Phases {
    fn default() -> Self {
        Self(watch::Sender::new(Phase::default()))
    }
}

impl Phases {
    /// Goes on to `phase`; never back.
    pub fn enter(&self, phase: Phase) {
        self.0.send_if_modified(|now| {
            let forward = phase > *now;
            if forward {
                *now = phase;
            }
            forward
        });
    }

    /// The phase now.
    pub fn now(&self) -> Phase {
        *self.0.borrow()
    }

    /// Waits until `phase` or a later one.
    pub async fn reach(&self, phase: Phase) {
        // The sender is ours, so there is no error.
        let _ = self.0.subscribe().wait_for(|now| *now >= phase).await;
    }
}
