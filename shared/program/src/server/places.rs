//! Places that many want: so many in all, and so many for each, so that nobody takes all of them.

use std::hash::Hash;
use std::sync::Arc;

use akv2k8s_shared::single_flight::SharedMap;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// So many are remembered before those are forgotten who have no place.
const REMEMBERED: usize = 1000;

/// Places, told apart by who wants them.
pub struct Places<K> {
    all: Arc<Semaphore>,
    each: usize,
    by_key: SharedMap<K, Arc<Semaphore>>,
}

/// A place; free again when dropped.
pub struct Place {
    _own: OwnedSemaphorePermit,
    _of_all: OwnedSemaphorePermit,
}

impl<K: Eq + Hash> Places<K> {
    /// `all` places, `each` at most for one.
    pub fn new(all: usize, each: usize) -> Self {
        Self {
            all: Arc::new(Semaphore::new(all)),
            each,
            by_key: SharedMap::new(),
        }
    }

    /// A place, if there is one now.
    pub fn try_take(&self, key: K) -> Option<Place> {
        Some(Place {
            _own: self.of(key).try_acquire_owned().ok()?,
            _of_all: self.all.clone().try_acquire_owned().ok()?,
        })
    }

    /// A place, once there is one. Whoever has many others waiting waits behind those, not in the way of others.
    pub async fn take(&self, key: K) -> Place {
        const NEVER_CLOSED: &str = "the semaphores are never closed";
        Place {
            _own: self.of(key).acquire_owned().await.expect(NEVER_CLOSED),
            _of_all: self.all.clone().acquire_owned().await.expect(NEVER_CLOSED),
        }
    }

    fn of(&self, key: K) -> Arc<Semaphore> {
        self.by_key.with(|by_key| {
            if by_key.len() >= REMEMBERED {
                by_key.retain(|_, own| Arc::strong_count(own) > 1);
            }
            let own = by_key.entry(key).or_insert_with(|| Arc::new(Semaphore::new(self.each)));
            Arc::clone(own)
        })
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[test]
    fn nobody_takes_more_than_his_share_and_all_together_no_more_than_there_are() {
        let places = Places::new(5, 2);
        let mine: Vec<_> = (0..9).map_while(|_| places.try_take("a")).collect();
        assert_eq!(mine.len(), 2);
        let others: Vec<_> = ["b", "b", "c", "d", "e"]
            .map(|it| places.try_take(it))
            .into_iter()
            .flatten()
            .collect();
        assert_eq!(others.len(), 3);
        drop(mine);
        assert!(places.try_take("e").is_some());
    }

    #[test]
    fn who_waits_for_his_own_share_does_not_keep_a_place_from_others() {
        let places = Places::new(2, 1);
        let first = places.take("a").now_or_never().unwrap();
        let mut second = Box::pin(places.take("a"));
        assert!((&mut second).now_or_never().is_none());
        let _other = places.take("b").now_or_never().unwrap();
        drop(first);
        assert!(second.now_or_never().is_some());
    }

    #[test]
    fn who_has_no_place_is_forgotten() {
        let places = Places::new(10_000, 1);
        let held = places.try_take(0).unwrap();
        for key in 1..5 * REMEMBERED {
            places.try_take(key).unwrap();
        }
        places
            .by_key
            .with(|by_key| assert!(by_key.len() <= REMEMBERED && by_key.contains_key(&0)));
        drop(held);
    }
}
