//! Outputs of AKVS whose deletion nobody here saw: while no controller ran, during a gap of the watch, or after the AKVS had
//! lost the label it is selected by. No value is read.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tracing::{info, warn};

use crate::output::{self, manager_name};
use crate::reconcile::Context;

/// Longest time between two looks.
const PERIOD: Duration = Duration::from_hours(24);
/// The time after a look that left something undone.
const AGAIN: Duration = Duration::from_mins(1);

/// Looks at once, whenever the AKVS were listed anew (`listed` is set), and once a day.
pub(crate) async fn follow(context: Arc<Context>, listed: watch::Receiver<bool>) {
    repeat(listed, || release(Arc::clone(&context))).await;
}

/// `look` says when to look again.
async fn repeat<F: Future<Output = Duration>>(mut listed: watch::Receiver<bool>, mut look: impl FnMut() -> F) {
    loop {
        listed.mark_unchanged();
        let period = look().await;
        tokio::select! {
            () = tokio::time::sleep(period) => {}
            changed = listed.changed() => if changed.is_err() {
                return;
            }
        }
    }
}

async fn release(context: Arc<Context>) -> Duration {
    let keys = context.objects.keys();
    let managers: HashSet<_> = keys.iter().map(|key| manager_name(&key.namespace, &key.name)).collect();
    let looked = output::release_orphans(&context.client, &context.store, |manager| managers.contains(manager)).await;
    for released in looked.released {
        info!(output = ?released, "output released: the deletion of its object was not seen");
    }
    for failed in &looked.failed {
        warn!(output = %failed.target, error = %failed.diagnosis, "an orphaned output could not be released");
    }
    for (namespace, error) in looked.unread {
        warn!(%namespace, %error, "orphaned outputs cannot be looked for; the next look is within a day");
    }
    if looked.failed.is_empty() { PERIOD } else { AGAIN }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::*;

    /// Looks that tell of themselves, until `play` ends.
    async fn with_looks(
        listed: watch::Receiver<bool>,
        period: Duration,
        play: impl AsyncFnOnce(mpsc::UnboundedReceiver<()>),
    ) {
        let (looked, looks) = mpsc::unbounded_channel();
        let look = || {
            looked.send(()).unwrap();
            std::future::ready(period)
        };
        tokio::select! {
            () = repeat(listed, look) => panic!("it ended"),
            () = play(looks) => {}
        }
    }

    #[tokio::test]
    async fn orphans_are_looked_for_at_once_and_after_each_list() {
        let (list, listed) = watch::channel(false);
        list.send_replace(true);
        with_looks(listed, PERIOD, async |mut looks| {
            looks.recv().await.unwrap();
            tokio::time::sleep(Duration::from_millis(20)).await;
            assert!(looks.try_recv().is_err(), "the list before is no other reason");
            list.send_replace(true);
            looks.recv().await.unwrap();
        })
        .await;
    }

    #[tokio::test]
    async fn orphans_are_looked_for_in_every_period() {
        let (_list, listed) = watch::channel(true);
        with_looks(listed, Duration::from_millis(1), async |mut looks| {
            for _ in 0..3 {
                looks.recv().await.unwrap();
            }
        })
        .await;
    }
}
