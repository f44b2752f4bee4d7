//! The service's request limit per vault: a window that slides, as strict as any reading of "N per 10 s" can be.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// At most `requests` within any `seconds`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limit {
    /// Requests allowed within the window.
    pub requests: usize,
    /// Length of the window in seconds.
    pub seconds: u64,
    /// Whether a refused request is told when to come back (`Retry-After`, whole seconds).
    #[serde(default)]
    pub retry_after: bool,
}

impl Limit {
    /// What Key Vault is safely planned with: 2,000 transactions per vault and 10 s.
    pub const SERVICE: Self = Self {
        requests: 2_000,
        seconds: 10,
        retry_after: true,
    };
}

/// The requests of one vault that still count.
pub(crate) struct Limiter {
    limit: Limit,
    admitted: VecDeque<Instant>,
}

impl Limiter {
    pub(crate) fn new(limit: Limit) -> Self {
        Self {
            limit,
            admitted: VecDeque::new(),
        }
    }

    /// Admits a request made at `now`, or says how long it would have to wait. Refused requests do not count.
    pub(crate) fn admit(&mut self, now: Instant) -> Result<(), Refused> {
        let window = Duration::from_secs(self.limit.seconds);
        while self
            .admitted
            .front()
            .is_some_and(|first| now.duration_since(*first) >= window)
        {
            self.admitted.pop_front();
        }
        if self.admitted.len() < self.limit.requests {
            self.admitted.push_back(now);
            return Ok(());
        }
        let wait = self
            .admitted
            .front()
            .map_or(window, |first| window.saturating_sub(now.duration_since(*first)));
        Err(Refused {
            retry_after: self.limit.retry_after.then(|| wait.as_secs() + 1),
        })
    }
}

/// The limit is used up.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    /// Seconds for `Retry-After`, when the limit tells them.
    pub(crate) retry_after: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_window_of_ten_seconds_holds_more_than_the_limit() {
        let mut limiter = Limiter::new(Limit {
            requests: 3,
            seconds: 10,
            retry_after: true,
        });
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(limiter.admit(at(0)), Ok(()));
        assert_eq!(limiter.admit(at(6)), Ok(()));
        assert_eq!(limiter.admit(at(6)), Ok(()));
        assert_eq!(limiter.admit(at(9)), Err(Refused { retry_after: Some(2) }));
        assert_eq!(
            limiter.admit(at(10)),
            Ok(()),
            "the first has left the window; the refused one never counted"
        );
        assert!(limiter.admit(at(15)).is_err());
        assert_eq!(limiter.admit(at(16)), Ok(()));
    }
}
