//! Answers that are kept for a while, and asked for once however many want them.

use std::collections::HashMap;
use std::future::Future;
use std::hash::Hash;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use akv2k8s_shared::single_flight::{Flight, SharedMap, launch};
use tokio::time::Instant;

/// Most answers that are kept at once.
const CAPACITY: usize = 2048;

/// Answers by question. Cheap to clone.
pub(super) struct Cache<K, V>(SharedMap<K, Entry<V>>);

struct Entry<V> {
    flight: Flight<V>,
    /// Since when the answer is there, and how long it is good for; empty while it is awaited.
    answered: Arc<OnceLock<(Instant, Duration)>>,
}

impl<V> Entry<V> {
    fn serves(&self, now: Instant, oldest: Duration) -> bool {
        let fresh = |(since, keep): &(Instant, Duration)| now < *since + (*keep).min(oldest);
        self.answered.get().is_none_or(fresh)
    }

    /// When it may be forgotten; `None` while it is awaited.
    fn ends(&self) -> Option<Instant> {
        self.answered.get().map(|(since, keep)| *since + *keep)
    }
}

impl<K, V> Clone for Cache<K, V> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<K, V> Cache<K, V>
where
    K: Eq + Hash + Clone,
    V: Clone + Send + Sync + 'static,
{
    pub(super) fn new() -> Self {
        Self(SharedMap::new())
    }

    /// The answer to `question`: one that is awaited already, one that is kept and no older than `oldest`, or that of `work`, which goes on
    /// when the asker leaves. `keep` says how long an answer is good for. `None`: the work panicked.
    pub(super) async fn get(
        &self,
        question: K,
        oldest: Duration,
        keep: impl FnOnce(&V) -> Duration + Send + 'static,
        work: impl Future<Output = V> + Send + 'static,
    ) -> Option<V> {
        let flight = self.0.with(|entries| {
            let now = Instant::now();
            if let Some(entry) = entries.get(&question).filter(|entry| entry.serves(now, oldest)) {
                return entry.flight.clone();
            }
            make_room(entries, now);
            let answered = Arc::new(OnceLock::new());
            let at = answered.clone();
            let flight = launch(async move {
                let value = work.await;
                let _first = at.set((Instant::now(), keep(&value)));
                value
            });
            let entry = Entry {
                flight: flight.clone(),
                answered,
            };
            entries.insert(question.clone(), entry);
            flight
        });
        self.land(&question, flight).await
    }

    /// The answer to `question`, if one is awaited already, or kept and no older than `oldest`.
    pub(super) async fn known(&self, question: &K, oldest: Duration) -> Option<V> {
        let flight = self.0.with(|entries| {
            let entry = entries.get(question)?;
            entry.serves(Instant::now(), oldest).then(|| entry.flight.clone())
        })?;
        self.land(question, flight).await
    }

    async fn land(&self, question: &K, flight: Flight<V>) -> Option<V> {
        let outcome = flight.clone().await;
        if outcome.is_none() {
            // What panicked once may not stand in the way of the next attempt.
            self.0.with(|entries| {
                if entries.get(question).is_some_and(|entry| entry.flight.ptr_eq(&flight)) {
                    entries.remove(question);
                }
            });
        }
        outcome
    }
}

/// Forgets what has ended; then, if that is not enough, what would end first.
fn make_room<K: Eq + Hash + Clone, V>(entries: &mut HashMap<K, Entry<V>>, now: Instant) {
    if entries.len() < CAPACITY {
        return;
    }
    entries.retain(|_, entry| entry.ends().is_none_or(|end| now < end));
    if entries.len() < CAPACITY {
        return;
    }
    let ends = entries.iter().filter_map(|(key, entry)| Some((entry.ends()?, key)));
    if let Some(first) = ends.min_by_key(|(end, _)| *end).map(|(_, key)| key.clone()) {
        entries.remove(&first);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[derive(Clone)]
    struct Counter {
        cache: Cache<usize, usize>,
        worked: Arc<AtomicUsize>,
    }

    impl Counter {
        fn new() -> Self {
            Self {
                cache: Cache::new(),
                worked: Arc::default(),
            }
        }

        /// The answer is how often there was work; it takes a second, and keeps for ten.
        async fn get(&self, question: usize, oldest: Duration) -> usize {
            let worked = self.worked.clone();
            let work = async move {
                tokio::time::sleep(SECOND).await;
                worked.fetch_add(1, Ordering::SeqCst)
            };
            self.cache.get(question, oldest, |_| 10 * SECOND, work).await.unwrap()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn three_hundred_askers_cost_one_look_up() {
        let counter = Counter::new();
        let answers = futures::future::join_all((0..300).map(|_| counter.get(1, 60 * SECOND))).await;
        assert!(answers.iter().all(|answer| *answer == 0));
        assert_eq!(counter.worked.load(Ordering::SeqCst), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_kept_for_its_time_and_no_older_than_its_asker_wants() {
        let counter = Counter::new();
        assert_eq!(counter.get(1, 60 * SECOND).await, 0);
        tokio::time::advance(6 * SECOND).await;
        assert_eq!(counter.get(1, 60 * SECOND).await, 0);
        assert_eq!(counter.get(1, 5 * SECOND).await, 1);
        tokio::time::advance(11 * SECOND).await;
        assert_eq!(counter.get(1, 60 * SECOND).await, 2);
    }

    #[tokio::test(start_paused = true)]
    async fn the_work_goes_on_when_its_asker_leaves() {
        let counter = Counter::new();
        let impatient = tokio::time::timeout(SECOND / 2, counter.get(1, SECOND)).await;
        assert!(impatient.is_err());
        assert_eq!(counter.get(1, SECOND).await, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn what_panicked_is_tried_again() {
        let counter = Counter::new();
        let failed = counter.cache.get(1, SECOND, |_| SECOND, async { panic!("a bug") });
        assert_eq!(failed.await, None);
        assert_eq!(counter.get(1, SECOND).await, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_is_kept_than_there_is_room_for() {
        let cache = Cache::new();
        for question in 0..CAPACITY + 100 {
            cache.get(question, SECOND, |()| 60 * SECOND, async {}).await;
            tokio::time::advance(SECOND / 1000).await;
        }
        cache.0.with(|entries| {
            assert_eq!(entries.len(), CAPACITY);
            assert!(!entries.contains_key(&0) && entries.contains_key(&(CAPACITY + 99)));
        });
    }
}
