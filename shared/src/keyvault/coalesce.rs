//! One read for many askers, and nobody is served a value older than they may expect.

use std::fmt;
use std::future::Future;
use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use super::Priority;
use crate::single_flight::{Flight, SharedMap, launch};

/// An answer serves whoever came to want it up to this long after it was asked for. A value that was rotated in the
/// meantime shows in the next LIST, whose fingerprint differs.
const TOLERANCE: Duration = Duration::from_secs(1);

/// An answer, and when the question left this process.
pub(super) struct Answer<T> {
    pub(super) value: Arc<T>,
    pub(super) asked: Instant,
}

impl<T> Clone for Answer<T> {
    fn clone(&self) -> Self {
        Self {
            value: self.value.clone(),
            asked: self.asked,
        }
    }
}

type Outcome<T, E> = Result<Answer<T>, E>;

/// How many wait for one read.
#[derive(Clone, Default)]
pub(super) struct Askers(Arc<AtomicUsize>);

impl Askers {
    /// Whether nobody waits any more.
    pub(super) fn are_gone(&self) -> bool {
        self.0.load(Ordering::SeqCst) == 0
    }

    fn join(&self) -> Asker {
        self.0.fetch_add(1, Ordering::SeqCst);
        Asker(self.clone())
    }
}

/// One who waits, until dropped.
struct Asker(Askers);

impl Drop for Asker {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::SeqCst);
    }
}

struct Entry<T, E> {
    number: u64,
    priority: Priority,
    askers: Askers,
    flight: Flight<Outcome<T, E>>,
}

impl<T, E> Entry<T, E> {
    /// New work does not join a refresh that still waits for its turn.
    fn serves(&self, priority: Priority) -> bool {
        priority == Priority::Refresh || self.priority == Priority::New || self.flight.peek().is_some()
    }
}

/// Reads in flight, and answers of the last seconds. Cheap to clone.
pub(super) struct Coalescer<K, T, E> {
    entries: SharedMap<K, Entry<T, E>>,
    numbers: Arc<AtomicU64>,
    /// How long an answer is kept for those who wanted it in time and are late to call.
    kept: Duration,
}

impl<K, T, E> Coalescer<K, T, E>
where
    K: Eq + Hash + Clone + Send + 'static,
    T: Send + Sync + 'static,
    E: Clone + Send + Sync + 'static,
{
    pub(super) fn new(kept: Duration) -> Self {
        Self {
            entries: SharedMap::new(),
            numbers: Arc::default(),
            kept,
        }
    }

    /// The answer for `key` as of `since` or later: one in flight, a recent one, or a new one by `read`, which is told who waits
    /// for it. `None`: the read panicked.
    pub(super) async fn get<F>(
        &self,
        key: K,
        priority: Priority,
        since: Instant,
        read: impl Fn(Askers) -> F,
    ) -> Option<Result<Arc<T>, E>>
    where
        F: Future<Output = Outcome<T, E>> + Send + 'static,
    {
        loop {
            let (number, flight, _asker) = self.join_or_start(&key, priority, &read);
            let Some(outcome) = flight.await else {
                // What panicked once may not stand in the way of the next attempt.
                self.forget(&key, number);
                return None;
            };
            match outcome {
                Ok(answer) if answer.asked + TOLERANCE >= since => return Some(Ok(answer.value)),
                Ok(_) => self.forget(&key, number),
                Err(error) => return Some(Err(error)),
            }
        }
    }

    fn join_or_start<F>(
        &self,
        key: &K,
        priority: Priority,
        read: impl Fn(Askers) -> F,
    ) -> (u64, Flight<Outcome<T, E>>, Asker)
    where
        F: Future<Output = Outcome<T, E>> + Send + 'static,
    {
        self.entries.with(|entries| {
            if let Some(entry) = entries.get(key).filter(|entry| entry.serves(priority)) {
                return (entry.number, entry.flight.clone(), entry.askers.join());
            }
            let askers = Askers::default();
            let asker = askers.join();
            let number = self.numbers.fetch_add(1, Ordering::Relaxed);
            let flight = launch(self.clone().run(key.clone(), number, read(askers.clone())));
            let entry = Entry {
                number,
                priority,
                askers,
                flight: flight.clone(),
            };
            entries.insert(key.clone(), entry);
            (number, flight, asker)
        })
    }

    async fn run(self, key: K, number: u64, read: impl Future<Output = Outcome<T, E>>) -> Outcome<T, E> {
        let outcome = read.await;
        if outcome.is_ok() {
            tokio::spawn(async move {
                tokio::time::sleep(self.kept).await;
                self.forget(&key, number);
            });
        } else {
            self.forget(&key, number);
        }
        outcome
    }

    fn forget(&self, key: &K, number: u64) {
        self.entries.with(|entries| {
            if entries.get(key).is_some_and(|entry| entry.number == number) {
                entries.remove(key);
            }
        });
    }
}

impl<K, T, E> Clone for Coalescer<K, T, E> {
    fn clone(&self) -> Self {
        Self {
            entries: self.entries.clone(),
            numbers: self.numbers.clone(),
            kept: self.kept,
        }
    }
}

impl<K, T, E> fmt::Debug for Coalescer<K, T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Coalescer(…)")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const KEPT: Duration = Duration::from_secs(30);

    /// A vault whose only value is the number of reads so far; a read takes `latency` of its priority's queue.
    struct Vault {
        coalescer: Coalescer<&'static str, usize, &'static str>,
        reads: Arc<AtomicUsize>,
    }

    impl Vault {
        fn new() -> Self {
            Self {
                coalescer: Coalescer::new(KEPT),
                reads: Arc::default(),
            }
        }

        async fn get(&self, priority: Priority, queue: Duration, since: Instant) -> Result<usize, &'static str> {
            let read = |_| {
                let reads = self.reads.clone();
                async move {
                    tokio::time::sleep(queue).await;
                    let asked = Instant::now();
                    let value = Arc::new(reads.fetch_add(1, Ordering::SeqCst));
                    if queue.is_zero() {
                        Err("refused")
                    } else {
                        Ok(Answer { value, asked })
                    }
                }
            };
            let outcome = self.coalescer.get("key", priority, since, read).await.unwrap();
            outcome.map(|value| *value)
        }
    }

    #[tokio::test(start_paused = true)]
    async fn five_hundred_equal_reads_cost_one_even_when_workers_are_slow() {
        let vault = Vault::new();
        let wanted = Instant::now();
        for _ in 0..5 {
            let all = (0..100).map(|_| vault.get(Priority::New, SECOND / 10, wanted));
            let all = futures::future::join_all(all).await;
            assert!(all.iter().all(|value| *value == Ok(0)));
            tokio::time::sleep(SECOND).await;
        }
        assert_eq!(vault.reads.load(Ordering::SeqCst), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_comes_later_is_not_served_the_old_value() {
        let vault = Vault::new();
        assert_eq!(vault.get(Priority::New, SECOND / 10, Instant::now()).await, Ok(0));
        tokio::time::sleep(TOLERANCE + SECOND / 10).await;
        assert_eq!(vault.get(Priority::New, SECOND / 10, Instant::now()).await, Ok(1));
    }

    #[tokio::test(start_paused = true)]
    async fn new_work_does_not_wait_for_a_queued_refresh() {
        let vault = Vault::new();
        let start = Instant::now();
        let refresh = vault.get(Priority::Refresh, 60 * SECOND, start);
        let new = async {
            tokio::time::sleep(SECOND).await;
            vault.get(Priority::New, SECOND / 10, Instant::now()).await.unwrap();
            start.elapsed()
        };
        let (_, waited) = tokio::join!(refresh, new);
        assert!(waited < 2 * SECOND, "{waited:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn failures_are_shared_in_flight_and_not_kept() {
        let vault = Vault::new();
        let now = Instant::now();
        let both = tokio::join!(
            vault.get(Priority::New, Duration::ZERO, now),
            vault.get(Priority::New, Duration::ZERO, now)
        );
        assert_eq!(both, (Err("refused"), Err("refused")));
        assert_eq!(vault.get(Priority::New, SECOND, now).await, Ok(1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_read_that_panicked_does_not_stand_in_the_way_of_the_next() {
        let vault = Vault::new();
        let panics = |_| async { panic!("a bug") };
        assert!(
            vault
                .coalescer
                .get("key", Priority::New, Instant::now(), panics)
                .await
                .is_none()
        );
        assert_eq!(vault.get(Priority::New, SECOND, Instant::now()).await, Ok(0));
    }

    #[tokio::test(start_paused = true)]
    async fn answers_are_not_kept_for_long() {
        let vault = Vault::new();
        vault.get(Priority::New, SECOND, Instant::now()).await.unwrap();
        tokio::time::sleep(KEPT + SECOND).await;
        vault.coalescer.entries.with(|entries| assert!(entries.is_empty()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_read_knows_whether_anybody_still_waits_for_it() {
        let (coalescer, start) = (Coalescer::<_, _, &str>::new(KEPT), Instant::now());
        let get = |patience: u64| {
            let read = |askers: Askers| async move {
                tokio::time::sleep(10 * SECOND).await;
                let value = Arc::new(askers.are_gone());
                Ok(Answer {
                    value,
                    asked: Instant::now(),
                })
            };
            let answer = coalescer.get("key", Priority::New, start, read);
            tokio::time::timeout(Duration::from_secs(patience), answer)
        };
        let (gave_up, waits) = tokio::join!(get(1), get(20));
        assert!(gave_up.is_err());
        assert_eq!(waits.unwrap(), Some(Ok(Arc::new(false))), "one is left");
        coalescer.entries.with(HashMap::clear);
        assert!(get(1).await.is_err());
        tokio::time::sleep(20 * SECOND).await;
        assert_eq!(
            get(1).await.unwrap(),
            Some(Ok(Arc::new(true))),
            "what it found is kept for a while"
        );
    }
}
