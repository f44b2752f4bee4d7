//! When in a period something has its turn: hashed from its name, so that restarts move nothing and equals do not crowd.

use std::time::Duration;

use sha2::{Digest, Sha256};

/// The offset of `name` within `period`, the same in every process.
pub(crate) fn slot(name: &str, period: Duration) -> Duration {
    let digest = Sha256::digest(name.as_bytes());
    let number = digest
        .iter()
        .take(6)
        .fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    let period = u64::try_from(period.as_millis()).unwrap_or(u64::MAX).max(1);
    Duration::from_millis(number % period)
}

/// The first time after `since` (both since the Unix epoch) that belongs to `name`.
pub(crate) fn next(name: &str, period: Duration, since: Duration) -> Duration {
    let offset = slot(name, period).as_millis();
    let (period, since) = (period.as_millis().max(1), since.as_millis());
    let elapsed = (since + period - offset) % period;
    Duration::from_millis(u64::try_from(since + period - elapsed).unwrap_or(u64::MAX))
}

/// Whether a time that belongs to `name` lies in `(since, until]`.
pub(crate) fn falls_between(name: &str, period: Duration, since: Duration, until: Duration) -> bool {
    next(name, period, since) <= until
}

#[cfg(test)]
mod tests {
    use super::*;

    const PERIOD: Duration = Duration::from_secs(30);

    #[test]
    fn a_thousand_names_spread_over_the_period() {
        let mut seconds = [0; 30];
        for number in 0..1000 {
            seconds[usize::try_from(slot(&format!("ns/akvs-{number}"), PERIOD).as_secs()).unwrap()] += 1;
        }
        assert!(seconds.iter().all(|count| (10..80).contains(count)), "{seconds:?}");
    }

    #[test]
    fn every_window_of_one_period_holds_exactly_one_turn() {
        let start = Duration::from_hours(500_000);
        for step in 0..100 {
            let since = start + Duration::from_millis(step * 777);
            let turn = next("kv1", PERIOD, since);
            assert!(turn > since && turn <= since + PERIOD);
            assert_eq!(turn.as_millis() % PERIOD.as_millis(), slot("kv1", PERIOD).as_millis());
            assert!(falls_between("kv1", PERIOD, since, since + PERIOD));
            let almost = PERIOD.saturating_sub(Duration::from_millis(1));
            assert!(!falls_between("kv1", PERIOD, turn, turn + almost));
        }
    }
}
