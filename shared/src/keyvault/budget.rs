//! How often one vault may be asked: a token bucket that halves after a 429 and recovers. Pure: time is an argument.

use std::time::Duration;

use tokio::time::Instant;

/// The service's own limit per vault and 10 seconds; older documents say 2,000, newer 4,000: the safe one counts.
const SERVICE_LIMIT: f64 = 2000.0;
/// Whatever happens, a vault is asked this often per 10 seconds.
const FLOOR: f64 = 10.0;
/// Pauses without a `Retry-After`: 1, 2, 4, 8, 16 s, as the service's guidance says.
const LONGEST_PAUSE_EXPONENT: u32 = 4;

/// The bucket of one vault.
#[derive(Debug)]
pub(super) struct Budget {
    configured: f64,
    /// Requests per 10 s, now.
    rate: f64,
    capacity: f64,
    level: f64,
    filled_at: Instant,
    paused_until: Option<Instant>,
    strikes: u32,
    throttled: u64,
}

/// Whether a request may be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Now; it has been counted.
    Go,
    /// Not before this time has passed.
    Wait(Duration),
}

impl Budget {
    /// A full bucket of `per_10s` requests per 10 seconds. Its capacity is such that no window of 10 seconds exceeds the
    /// service's limit, burst included.
    pub(super) fn new(per_10s: u32, now: Instant) -> Self {
        let configured = f64::from(per_10s.max(1));
        let capacity = configured.min(SERVICE_LIMIT - configured).max(1.0);
        Self {
            configured,
            rate: configured,
            capacity,
            level: capacity,
            filled_at: now,
            paused_until: None,
            strikes: 0,
            throttled: 0,
        }
    }

    /// Takes one request out, if there is one.
    pub(super) fn take(&mut self, now: Instant) -> Verdict {
        if let Some(pause) = self.pause(now) {
            return Verdict::Wait(pause);
        }
        self.fill(now);
        if self.level >= 1.0 {
            self.level -= 1.0;
            return Verdict::Go;
        }
        let missing = 1.0 - self.level;
        Verdict::Wait(Duration::from_secs_f64(missing * 10.0 / self.rate))
    }

    /// The vault answered 429: everybody pauses, and the rate halves once per pause. Gives the pause.
    pub(super) fn throttle(&mut self, retry_after: Option<Duration>, now: Instant) -> Duration {
        self.throttled += 1;
        let pausing = self.pause(now);
        if pausing.is_none() {
            self.fill(now);
            self.rate = (self.rate / 2.0).max(FLOOR.min(self.configured));
            self.strikes += 1;
        }
        self.level = 0.0;
        let own = Duration::from_secs(1 << (self.strikes.saturating_sub(1)).min(LONGEST_PAUSE_EXPONENT));
        let pause = retry_after.or(pausing).unwrap_or(own).max(pausing.unwrap_or_default());
        self.paused_until = Some(now + pause);
        self.filled_at = now + pause;
        pause
    }

    /// The vault answered something else.
    pub(super) fn answered(&mut self, now: Instant) {
        if self.pause(now).is_none() {
            self.strikes = 0;
        }
    }

    /// What is left of a pause.
    pub(super) fn pause(&self, now: Instant) -> Option<Duration> {
        self.paused_until
            .and_then(|until| until.checked_duration_since(now))
            .filter(|left| !left.is_zero())
    }

    /// Requests per 10 s, now; requests that may be sent at once; 429s so far.
    pub(super) fn state(&mut self, now: Instant) -> (f64, f64, u64) {
        self.fill(now);
        (self.rate, self.level, self.throttled)
    }

    fn fill(&mut self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.filled_at).as_secs_f64();
        if elapsed <= 0.0 {
            return;
        }
        self.filled_at = now;
        self.level = (self.level + self.rate * elapsed / 10.0).min(self.capacity);
        // Additive recovery: from half to whole in 50 seconds.
        self.rate = (self.rate + self.configured * elapsed / 100.0).min(self.configured);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// Times of requests sent by somebody who sends whenever allowed, for `length`.
    fn greedy(budget: &mut Budget, start: Instant, length: Duration) -> Vec<Duration> {
        let mut now = start;
        let mut sent = Vec::new();
        while now < start + length {
            match budget.take(now) {
                Verdict::Go => sent.push(now - start),
                Verdict::Wait(wait) => now += wait.max(MS / 10),
            }
        }
        sent
    }

    fn most_in_any_window(sent: &[Duration]) -> usize {
        let window = Duration::from_secs(10);
        (0..sent.len())
            .map(|first| {
                sent[first..]
                    .iter()
                    .take_while(|at| (**at).checked_sub(sent[first]).unwrap() < window)
                    .count()
            })
            .max()
            .unwrap_or(0)
    }

    #[test]
    fn a_configured_rate_is_reached_and_no_window_exceeds_the_services_limit() {
        for per_10s in [10, 100, 1000, 1500, 1900, 1999] {
            let start = Instant::now();
            let sent = greedy(&mut Budget::new(per_10s, start), start, Duration::from_secs(30));
            assert!(most_in_any_window(&sent) <= 2000, "{per_10s}");
            assert!(
                sent.len() >= 3 * per_10s as usize * 95 / 100,
                "{per_10s}: {}",
                sent.len()
            );
        }
    }

    #[test]
    fn one_burst_of_429_halves_once_and_recovers() {
        let start = Instant::now();
        let mut budget = Budget::new(1000, start);
        for number in 0..30 {
            budget.throttle(None, start + number * MS);
        }
        let (rate, level, throttled) = budget.state(start + 30 * MS);
        assert!((490.0..=510.0).contains(&rate), "{rate}");
        assert!(level < 1.0 && throttled == 30);
        assert!(matches!(budget.take(start + 500 * MS), Verdict::Wait(_)));
        let (rate, ..) = budget.state(start + Duration::from_mins(1));
        assert!((rate - 1000.0).abs() < 1.0, "{rate}");
    }

    #[test]
    fn pauses_grow_while_429_repeats_and_retry_after_is_obeyed() {
        let mut now = Instant::now();
        let mut budget = Budget::new(1000, now);
        let mut pauses = Vec::new();
        for _ in 0..6 {
            let pause = budget.throttle(None, now);
            pauses.push(pause.as_secs());
            now += pause;
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 16]);
        budget.answered(now);
        assert_eq!(
            budget.throttle(Some(Duration::from_secs(7)), now),
            Duration::from_secs(7)
        );
        assert_eq!(
            budget.take(now + Duration::from_secs(5)),
            Verdict::Wait(Duration::from_secs(2))
        );
    }

    proptest! {
        #[test]
        fn whatever_happens_the_rate_stays_within_its_bounds(
            per_10s in 1u32..3000, events in proptest::collection::vec((any::<bool>(), 0u64..3000), 1..200),
        ) {
            let mut now = Instant::now();
            let mut budget = Budget::new(per_10s, now);
            for (throttle, wait) in events {
                now += Duration::from_millis(wait);
                if throttle { budget.throttle(None, now); } else { budget.take(now); }
                let (rate, level, _) = budget.state(now);
                prop_assert!(rate <= f64::from(per_10s) && rate >= FLOOR.min(f64::from(per_10s)));
                prop_assert!(level >= 0.0 && level <= budget.capacity);
            }
        }
    }
}
