//! When to make, promote and sign. Pure.

use jiff::{SignedDuration, Timestamp};

use super::authority::Span;

/// So long before its end an authority is replaced by the next one: twice what its certificates last.
const RETIRE: SignedDuration = SignedDuration::from_hours(180 * 24);
/// So long an authority is published before it signs, if its predecessor lasts so long.
const PUBLISHED: SignedDuration = SignedDuration::from_hours(90 * 24);
/// So long before its end an authority is replaced even by one that was not published for long.
const LAST: SignedDuration = SignedDuration::from_hours(7 * 24);

/// One step; they are taken in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// A new authority that signs at once. Who trusts only former ones has to learn of it: at the first start, or when both
    /// authorities ended.
    MakeCurrent,
    /// The next authority becomes the current one.
    Promote,
    /// A new authority that is published and signs later.
    MakeNext,
    /// The current authority signs a serving certificate.
    Issue,
    /// A key for secret paths.
    MakePathKey,
}

/// What decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Outline {
    /// The authority that signs.
    pub(super) current: Option<Span>,
    /// The one that will.
    pub(super) next: Option<Span>,
    /// The serving certificate; `None` too when the current authority did not sign it, or it is not for all our names.
    pub(super) serving: Option<Span>,
    /// Whether there is a key for secret paths.
    pub(super) path_key: bool,
}

/// What is to be done now; nothing, nearly always.
pub(super) fn plan(now: Timestamp, has: &Outline) -> Vec<Step> {
    let lasts = |span: &Span, time| span.until > now + time;
    let next = has.next.filter(|next| lasts(next, RETIRE));
    let authorities: &[Step] = match (has.current, next) {
        (Some(current), Some(_)) if lasts(&current, RETIRE) => &[],
        (Some(current), None) if lasts(&current, LAST) => &[Step::MakeNext],
        (Some(current), Some(next)) if lasts(&current, LAST) && next.from + PUBLISHED > now => &[],
        (_, Some(_)) => &[Step::Promote, Step::MakeNext],
        (_, None) => &[Step::MakeCurrent, Step::MakeNext],
    };
    let mut steps = authorities.to_vec();
    let new_authority = steps
        .iter()
        .any(|step| matches!(step, Step::MakeCurrent | Step::Promote));
    if new_authority || !has.serving.is_some_and(|it| is_young(now, &it)) {
        steps.push(Step::Issue);
    }
    if !has.path_key {
        steps.push(Step::MakePathKey);
    }
    steps
}

/// Whether two thirds of its time are still to come, or at least not over.
fn is_young(now: Timestamp, span: &Span) -> bool {
    let life = span.until.duration_since(span.from);
    now >= span.from && now < span.from + life / 3 * 2
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pki::authority::{SERVING, TERM};

    const DAY: SignedDuration = SignedDuration::from_hours(24);

    fn day(number: i32) -> Timestamp {
        Timestamp::UNIX_EPOCH + DAY * number
    }

    #[expect(clippy::unnecessary_wraps, reason = "the tables below read better")]
    fn days(from: i32, until: i32) -> Option<Span> {
        Some(Span {
            from: day(from),
            until: day(until),
        })
    }

    #[test]
    fn a_step_is_taken_when_its_time_has_come_and_not_before() {
        use Step::{Issue, MakeCurrent, MakeNext, Promote};
        // An authority that signs from day 0 to day 1825, the next one until day 3650.
        let (current, next, young) = (days(0, 1825), days(0, 3650), |now: i32| days(now - 1, now + 89));
        for (now, current, next, serving, steps) in [
            (0, None, None, None, &[MakeCurrent, MakeNext, Issue][..]),
            (1, current, next, young(1), &[]),
            (1, current, None, young(1), &[MakeNext]),
            (1, current, next, None, &[Issue]),
            (1, None, next, young(1), &[Promote, MakeNext, Issue]),
            (60, current, next, days(0, 90), &[Issue]),
            (59, current, next, days(0, 90), &[]),
            (1644, current, next, young(1644), &[]),
            (1645, current, next, young(1645), &[Promote, MakeNext, Issue]),
            // The next one was lost and made again late: it is published first, as long as there is time.
            (1700, current, days(1650, 3650), young(1700), &[]),
            (
                1740,
                current,
                days(1650, 3650),
                young(1740),
                &[Promote, MakeNext, Issue],
            ),
            (1817, current, days(1816, 3650), young(1817), &[]),
            (
                1818,
                current,
                days(1817, 3650),
                young(1818),
                &[Promote, MakeNext, Issue],
            ),
            // Nobody ran for years.
            (2000, current, next, days(0, 90), &[Promote, MakeNext, Issue]),
            (3600, current, next, days(0, 90), &[MakeCurrent, MakeNext, Issue]),
            // The clock was put back.
            (-10, current, next, days(0, 90), &[Issue]),
        ] {
            let path_key = true;
            let has = Outline {
                current,
                next,
                serving,
                path_key,
            };
            assert_eq!(plan(day(now), &has), steps, "day {now}: {has:?}");
        }
    }

    #[test]
    fn in_twenty_years_of_days_a_bundle_of_any_day_is_good_for_the_following_five_years() {
        let mut has = Outline::default();
        // Authorities by the day they were made; which of them signs on which day, and what was published on it.
        let (mut signs, mut published) = (Vec::new(), Vec::new());
        let (mut current, mut next) = (-1, -1);
        for today in 0..20 * 365 {
            let now = day(today);
            for step in plan(now, &has) {
                match step {
                    Step::MakeCurrent => {
                        assert_eq!(today, 0, "an authority nobody was told of signs");
                        current = today;
                        has.current = Some(Span {
                            from: now,
                            until: now + TERM,
                        });
                    }
                    Step::MakeNext => {
                        next = today + 1;
                        let until = has.current.expect("there is one").until + TERM;
                        has.next = Some(Span { from: now, until });
                    }
                    Step::Promote => {
                        current = next;
                        has.current = has.next.take();
                    }
                    Step::Issue => {
                        has.serving = Some(Span {
                            from: now,
                            until: now + SERVING,
                        });
                    }
                    Step::MakePathKey => has.path_key = true,
                }
            }
            let (authority, serving) = (has.current.expect("there is one"), has.serving.expect("there is one"));
            assert!(serving.until > now && serving.until <= authority.until, "day {today}");
            signs.push(current);
            published.push([current, next]);
        }
        let promotions = signs.windows(2).filter(|pair| pair[0] != pair[1]).count();
        assert_eq!(promotions, 4);
        for (today, bundle) in published.iter().enumerate() {
            let good = signs[today..].iter().take_while(|it| bundle.contains(it)).count();
            let whole_future = signs.len() - today;
            assert!(good >= (5 * 365).min(whole_future), "day {today}: {good} days");
        }
    }
}
