//! The daily pass: everything is read once a day, each object at its own time, and what was missed is made up for. Pure.

use std::time::Duration;

use crate::phase;

const DAY: Duration = Duration::from_hours(24);
/// What was missed is spread over so many periods: with `--change-detection=get` a single period has as many reads.
const SPREAD: u32 = 10;

/// Whether the time of `name` lies in `(since, until]`, both since the Unix epoch.
pub(super) fn is_due(name: &str, since: Duration, until: Duration) -> bool {
    phase::falls_between(name, DAY, since, until)
}

/// How long after the start the time of `name` is made up for that fell between the end of the last controller's work and the
/// start of this one's; `None`: none did.
pub(super) fn made_up(name: &str, ended: Duration, started: Duration, period: Duration) -> Option<Duration> {
    is_due(name, ended, started).then(|| phase::slot(name, period.saturating_mul(SPREAD)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PERIOD: Duration = Duration::from_secs(30);

    fn missed(downtime: Duration) -> Vec<Duration> {
        let started = Duration::from_hours(500_000);
        let names = (0..1000).map(|number| format!("ns/akvs-{number}"));
        names
            .filter_map(|name| made_up(&name, started.checked_sub(downtime).unwrap(), started, PERIOD))
            .collect()
    }

    #[test]
    fn only_what_was_missed_is_made_up_for() {
        assert_eq!(missed(Duration::ZERO).len(), 0);
        assert!(
            missed(Duration::from_secs(10)).len() <= 3,
            "a restart re-reads next to nothing"
        );
        let half = missed(Duration::from_hours(12)).len();
        assert!((400..600).contains(&half), "{half}");
        assert_eq!(missed(DAY).len(), 1000);
        assert_eq!(missed(100 * DAY).len(), 1000);
    }

    #[test]
    fn what_was_missed_does_not_come_at_once() {
        let delays = missed(DAY);
        for number in 0..SPREAD {
            let window = PERIOD * number..PERIOD * (number + 1);
            let count = delays.iter().filter(|delay| window.contains(*delay)).count();
            assert!((50..200).contains(&count), "{count} in period {number}");
        }
    }

    #[test]
    fn a_lease_of_a_clock_that_is_ahead_makes_nothing_due() {
        let now = Duration::from_hours(500_000);
        assert_eq!(made_up("ns/a", now + PERIOD, now, PERIOD), None);
    }
}
