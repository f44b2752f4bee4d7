//! How the watches stand.

use std::sync::Arc;

use akv2k8s_shared::watching::KEPT;
use tokio::sync::watch;
use tokio::time::Instant;

/// How a watch stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sight {
    /// The first list is on its way.
    Pending,
    /// The API server refuses the first list. It is tried again.
    Refused,
    /// All is as the API server has it.
    Current,
    /// It fails since then.
    Broken(Instant),
}

impl Sight {
    fn counts(self, now: Instant) -> bool {
        match self {
            Self::Pending | Self::Refused => false,
            Self::Current => true,
            Self::Broken(since) => now < since + KEPT,
        }
    }

    fn after_failure(self, is_forbidden: bool, now: Instant) -> Self {
        match self {
            Self::Current => Self::Broken(now),
            Self::Pending if is_forbidden => Self::Refused,
            other => other,
        }
    }

    /// Whether there was a whole list.
    fn is_known(self) -> bool {
        matches!(self, Self::Current | Self::Broken(_))
    }
}

/// The two watches of one view: AKVS, and namespaces.
type Pair = [Sight; 2];

/// Of all views. Clones share them.
#[derive(Clone)]
pub(super) struct Sights(Arc<watch::Sender<Vec<Pair>>>);

impl Sights {
    /// Of so many views, nothing of which is known.
    pub(super) fn new(views: usize) -> Self {
        Self(Arc::new(watch::Sender::new(vec![[Sight::Pending; 2]; views])))
    }

    /// A watch has shown all there is.
    pub(super) fn complete(&self, (view, watch): (usize, usize)) {
        self.0.send_modify(|all| all[view][watch] = Sight::Current);
    }

    /// A watch failed.
    pub(super) fn fail(&self, (view, watch): (usize, usize), is_forbidden: bool) {
        self.0.send_modify(|all| {
            let sight = &mut all[view][watch];
            *sight = sight.after_failure(is_forbidden, Instant::now());
        });
    }

    /// Whether all of a view is known, and not from a watch that has failed for ten minutes.
    pub(super) fn is_current(&self, view: usize) -> bool {
        let now = Instant::now();
        self.0.borrow()[view].iter().all(|sight| sight.counts(now))
    }

    /// Waits until no first list is on its way any more, and those of one view are complete.
    pub(super) async fn settled(&self) {
        // The sender lives in `self`: waiting never fails.
        let _ = self.0.subscribe().wait_for(|all| are_settled(all)).await;
    }
}

fn are_settled(all: &[Pair]) -> bool {
    all.iter().flatten().all(|sight| *sight != Sight::Pending)
        && all.iter().any(|pair| pair.iter().all(|sight| sight.is_known()))
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[test]
    fn what_was_seen_counts_for_ten_minutes_after_the_watch_broke() {
        let start = Instant::now();
        assert!(!Sight::Pending.counts(start), "half a list says nothing");
        assert_eq!(Sight::Pending.after_failure(false, start), Sight::Pending);
        let broken = Sight::Current.after_failure(true, start);
        assert!(broken.counts(start + KEPT / 2));
        let later = broken.after_failure(false, start + KEPT / 2);
        assert_eq!(later, broken, "it counts from the first failure");
        assert!(!later.counts(start + KEPT));
    }

    #[test]
    fn a_namespace_that_may_not_be_read_holds_up_no_other_and_is_not_taken_for_an_empty_one() {
        let sights = Sights::new(2);
        let settled = || sights.settled().now_or_never().is_some();
        for place in [(0, 0), (0, 1), (1, 1)] {
            sights.complete(place);
        }
        assert!(!settled(), "a list is on its way");
        sights.fail((1, 0), false);
        assert!(!settled(), "it may come yet");
        sights.fail((1, 0), true);
        assert!(settled() && sights.is_current(0) && !sights.is_current(1));
        sights.complete((1, 0));
        assert!(sights.is_current(1));
    }

    #[test]
    fn where_nothing_may_be_read_nothing_is_ready() {
        let sights = Sights::new(1);
        sights.fail((0, 0), true);
        sights.complete((0, 1));
        assert!(sights.settled().now_or_never().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn each_view_is_given_up_by_itself() {
        let sights = Sights::new(2);
        for place in [(0, 0), (0, 1), (1, 0), (1, 1)] {
            sights.complete(place);
        }
        sights.fail((1, 0), false);
        tokio::time::advance(KEPT).await;
        assert!(sights.is_current(0) && !sights.is_current(1));
    }
}
