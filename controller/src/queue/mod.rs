//! The work queue: which object is worked on next.
//!
//! [`schedule`] decides and knows no clock; [`Queue`] is the thin shell that lets tasks wait on it.

mod schedule;

use std::fmt::Display;
use std::hash::Hash;
use std::panic::AssertUnwindSafe;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use futures::FutureExt;
use schedule::Schedule;
pub(crate) use schedule::{Again, Job, Lane, Limits, Reasons, Waiting};
use tokio::sync::Notify;

/// A queue that tasks feed and one dispatcher drains.
pub(crate) struct Queue<K> {
    schedule: Mutex<Schedule<K>>,
    changed: Notify,
}

impl<K: Clone + Eq + Hash + Ord> Queue<K> {
    /// An empty queue.
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            schedule: Mutex::new(Schedule::new(limits)),
            changed: Notify::new(),
        }
    }

    /// Asks for `key` to be worked on as soon as there is room, see [`Schedule::add`].
    pub(crate) fn add(&self, key: K, partition: &str, lane: Lane, reasons: Reasons) {
        self.lock().add(key, partition, lane, reasons, Instant::now());
        self.changed.notify_one();
    }

    /// Asks for `key` to be worked on at `at`, see [`Schedule::add_at`].
    pub(crate) fn add_at(&self, key: K, partition: &str, reasons: Reasons, at: Instant) {
        self.lock().add_at(key, partition, reasons, at, Instant::now());
        self.changed.notify_one();
    }

    /// Waits for the next job.
    pub(crate) async fn next(&self) -> Job<K> {
        loop {
            let wake = {
                let mut schedule = self.lock();
                if let Some(job) = schedule.pop(Instant::now()) {
                    return job;
                }
                schedule.next_wakeup()
            };
            match wake {
                // `notify_one` stores a permit, so a change between the lock and here is not lost.
                None => self.changed.notified().await,
                Some(at) => {
                    tokio::select! {
                        () = self.changed.notified() => {}
                        () = tokio::time::sleep_until(at.into()) => {}
                    }
                }
            }
        }
    }

    /// Does a job and notes how it ended; `jitter` is in 0..1. A panic is that object's alone: it is tried again, slowly,
    /// and nobody else notices.
    pub(crate) async fn work(&self, job: &Job<K>, jitter: f64, sync: impl Future<Output = Again>)
    where
        K: Display,
    {
        let again = AssertUnwindSafe(sync).catch_unwind().await.unwrap_or_else(|_| {
            tracing::error!(object = %job.key, "syncing this object panicked, which is a bug; it is tried again");
            Again::Slowly
        });
        self.done(&job.key, again, jitter);
    }

    /// Says how a job ended; `jitter` is in 0..1.
    fn done(&self, key: &K, again: Again, jitter: f64) {
        self.lock().done(key, again, jitter, Instant::now());
        self.changed.notify_one();
    }

    /// What waits in a lane right now.
    pub(crate) fn waiting(&self, lane: Lane) -> Waiting {
        self.lock().waiting(lane, Instant::now())
    }

    fn lock(&self) -> MutexGuard<'_, Schedule<K>> {
        // The schedule has no step that can panic half-way, so a poisoned lock still guards a whole value.
        self.schedule.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn an_object_whose_sync_panicked_is_tried_again() {
        let queue = Queue::new(Limits {
            per_partition: 1,
            reserved_for_new: 0,
            slow: Duration::from_millis(1),
            ..Limits::default()
        });
        queue.add(1, "v", Lane::New, Reasons::default());
        let job = queue.next().await;
        queue.work(&job, 0.0, async { panic!("a bug") }).await;
        let again = tokio::time::timeout(Duration::from_secs(10), queue.next()).await;
        assert_eq!(again.expect("it has its room in the partition back").key, 1);
    }
}
