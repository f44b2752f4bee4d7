//! How often one pod may ask.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use akv2k8s_shared::diagnosis::{Code, Diagnosis};

use super::refusal::Refused;

/// Requests at once: each container of a pod asks once when it starts.
const BURST: u32 = 30;
/// After that, one request in so much time.
const PERIOD: Duration = Duration::from_secs(2);

/// So many references, and steps of paths into values, count as one request more: each step may read the value anew.
const STEPS: usize = 256;
/// So many bytes that were given count as one request more.
const BYTES: usize = 256 * 1024;

/// What asking for `references` costs, besides the request itself.
pub(super) fn weight_of_references(references: &[String]) -> u32 {
    let dots = |reference: &String| reference.bytes().filter(|b| *b == b'.').count();
    let steps: usize = references.iter().map(|it| 1 + dots(it)).sum();
    u32::try_from(steps / STEPS).unwrap_or(u32::MAX)
}

/// What so many bytes cost.
pub(super) fn weight_of_bytes(count: usize) -> u32 {
    u32::try_from(count / BYTES).unwrap_or(u32::MAX)
}

/// A bucket for each pod, told apart by UID. It is kept as the moment at which it is full again.
#[derive(Default)]
pub(super) struct RateLimit(Mutex<HashMap<String, Instant>>);

impl RateLimit {
    /// Takes what weighs as much as `weight` requests from the share of the pod `uid`.
    pub(super) fn take(&self, uid: &str, weight: u32, now: Instant) -> Result<(), Refused> {
        let missing = self.change(uid, weight, now, PERIOD * BURST);
        missing.map_or(Ok(()), |missing| Err(too_often().again(missing)))
    }

    /// The same for what was given already: whoever took more than there was has to wait longer the next time.
    pub(super) fn debit(&self, uid: &str, weight: u32, now: Instant) {
        self.change(uid, weight, now, Duration::MAX);
    }

    /// Takes it unless that would be more than `most`; how long to wait then.
    fn change(&self, uid: &str, weight: u32, now: Instant, most: Duration) -> Option<Duration> {
        let mut full_at = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if full_at.len() > 1000 {
            full_at.retain(|_, full| *full > now);
        }
        let before = full_at.get(uid).copied().unwrap_or(now).max(now);
        let after = before + PERIOD * weight;
        let missing = after.duration_since(now);
        if missing > most {
            return Some(missing.saturating_sub(most));
        }
        full_at.insert(uid.to_owned(), after);
        None
    }
}

fn too_often() -> Refused {
    let what = "The pod asks the broker too often.";
    Refused::new(429, Diagnosis::of(Code::BrokerBusy, what, &[]))
}

#[cfg(test)]
mod tests {
    use akv2k8s_shared::injection::wire::{MAX_ANSWER, MAX_REFERENCES};

    use super::*;

    #[test]
    fn a_pod_has_a_burst_then_one_request_in_two_seconds_and_others_do_not_feel_it() {
        let (limit, start) = (RateLimit::default(), Instant::now());
        for _ in 0..BURST {
            limit.take("a", 1, start).unwrap();
        }
        let refused = limit.take("a", 1, start).unwrap_err();
        assert_eq!((refused.status, refused.code), (429, Code::BrokerBusy));
        assert!(refused.refusal.retry);
        let response = refused.into_response();
        assert_eq!(response.headers()["retry-after"], "2");
        limit.take("b", 1, start).unwrap();
        limit.take("a", 1, start + PERIOD).unwrap();
        assert!(limit.take("a", 1, start + PERIOD).is_err());
    }

    #[test]
    fn what_is_large_weighs_more_and_the_largest_request_is_possible() {
        let (limit, start) = (RateLimit::default(), Instant::now());
        let references = |count, query: &str| vec![format!("db@azurekeyvault?{query}"); count];
        let largest = 1 + weight_of_references(&references(MAX_REFERENCES, "a.b"));
        assert!(largest <= BURST);
        limit.take("a", largest, start).unwrap();
        assert!(limit.take("a", largest, start).is_err());
        let deep = "a.".repeat(120);
        assert!(
            weight_of_references(&references(MAX_REFERENCES, &deep)) > BURST,
            "nobody means that"
        );
        assert_eq!(
            (weight_of_references(&references(255, "a")), weight_of_bytes(BYTES - 1)),
            (0, 0)
        );
        // Four of the largest answers: more than the share, to be paid back before the next.
        limit.debit("b", 4 * weight_of_bytes(MAX_ANSWER), start);
        assert!(limit.take("b", 1, start).is_err());
        assert!(limit.take("b", 1, start + PERIOD * 34).is_err());
        limit.take("b", 1, start + PERIOD * 35).unwrap();
    }
}
