//! Outputs of AKVS whose deletion nobody here saw: while no controller ran, during a gap of the watch, or after the AKVS had
//! lost the label it is selected by. No value is read.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tracing::{info, warn};

use crate::output::{self, Orphans, manager_name};
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
    for released in &looked.released {
        info!(output = ?released, "output released: the deletion of its object was not seen");
    }
    for failed in &looked.failed {
        warn!(output = %failed.target, error = %failed.diagnosis, "an orphaned output could not be released");
    }
    for (namespace, error) in &looked.unread {
        warn!(%namespace, %error, "orphaned outputs cannot be looked for");
    }
    pause(&looked)
}

/// The time until the next look.
fn pause(looked: &Orphans) -> Duration {
    let mut unread = looked.unread.iter();
    if looked.failed.is_empty() && unread.all(|(_, error)| is_forbidden(error)) {
        PERIOD
    } else {
        AGAIN
    }
}

/// Missing rights are not given by waiting a minute; whatever else went wrong may pass.
fn is_forbidden(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.is_forbidden())
}

#[cfg(test)]
mod tests {
    use kube::core::Status;
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

    #[test]
    fn what_could_not_be_read_is_read_again_soon_unless_the_rights_for_it_are_missing() {
        let pause_after = |refusals: &[(u16, &str)]| {
            let error = |(code, reason): &(u16, &str)| {
                let status = Status {
                    code: *code,
                    ..Status::failure("refused", reason)
                };
                ("n".to_owned(), kube::Error::Api(status.boxed()))
            };
            pause(&Orphans {
                unread: refusals.iter().map(error).collect(),
                ..Orphans::default()
            })
        };
        let (forbidden, away) = ((403, "Forbidden"), (503, "ServiceUnavailable"));
        assert_eq!(pause_after(&[]), PERIOD);
        assert_eq!(pause_after(&[forbidden, forbidden]), PERIOD);
        assert_eq!(pause_after(&[away]), AGAIN);
        assert_eq!(pause_after(&[forbidden, away]), AGAIN);
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
