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

/// A bucket for each pod, told apart by UID. It is kept as the moment at which it is full again.
#[derive(Default)]
pub(super) struct RateLimit(Mutex<HashMap<String, Instant>>);

impl RateLimit {
    /// Takes one request from the share of the pod `uid`.
    pub(super) fn take(&self, uid: &str, now: Instant) -> Result<(), Refused> {
        let mut full_at = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if full_at.len() > 1000 {
            full_at.retain(|_, full| *full > now);
        }
        let before = full_at.get(uid).copied().unwrap_or(now).max(now);
        let after = before + PERIOD;
        let capacity = PERIOD * BURST;
        let missing = after.duration_since(now);
        if missing > capacity {
            return Err(too_often().again(missing.saturating_sub(capacity)));
        }
        full_at.insert(uid.to_owned(), after);
        Ok(())
    }
}

fn too_often() -> Refused {
    let what = "The pod asks the broker too often.";
    Refused::new(429, Diagnosis::of(Code::BrokerBusy, what, &[]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_has_a_burst_then_one_request_in_two_seconds_and_others_do_not_feel_it() {
        let (limit, start) = (RateLimit::default(), Instant::now());
        for _ in 0..BURST {
            limit.take("a", start).unwrap();
        }
        let refused = limit.take("a", start).unwrap_err();
        assert_eq!((refused.status, refused.code), (429, Code::BrokerBusy));
        assert!(refused.refusal.retry);
        let response = refused.into_response();
        assert_eq!(response.headers()["retry-after"], "2");
        limit.take("b", start).unwrap();
        limit.take("a", start + PERIOD).unwrap();
        assert!(limit.take("a", start + PERIOD).is_err());
    }
}
