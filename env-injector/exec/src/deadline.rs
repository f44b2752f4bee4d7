//! Trying again, inside one budget of time.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::time::Duration;

use akv2k8s_shared::diagnosis::{Diagnosis, Explanation};
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::failure::Failure;
use crate::settings::Patience;

/// Longest pause that nobody asked for.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Calls `attempt` until it succeeds, fails in a way that no further try can mend, or `patience` is used up; then tells the last failure,
/// or `unanswered` when the first attempt did not even end.
pub(crate) async fn retry<T>(
    patience: &Patience,
    unanswered: impl Into<Explanation>,
    attempt: impl AsyncFn() -> Result<T, Failure>,
) -> Result<T, Failure> {
    let started = Instant::now();
    let end = started + patience.budget;
    let mut pause = patience.first_pause;
    let mut last = None;
    for number in 0_u32.. {
        let Ok(outcome) = timeout_at(end, attempt()).await else {
            break;
        };
        let failure = match outcome {
            Ok(done) => return Ok(done),
            Err(failure) => failure,
        };
        let Some(asked) = failure.again else {
            return Err(failure);
        };
        let next = Instant::now() + asked.max(jittered(pause));
        last = Some(failure);
        if patience.retries.is_some_and(|retries| number >= retries) || next >= end {
            break;
        }
        sleep_until(next).await;
        pause = (pause * 2).min(LONGEST_PAUSE.max(patience.first_pause));
    }
    Err(last
        .unwrap_or_else(|| Failure::of(Diagnosis::case(unanswered, "The values did not come in time.")))
        .after(started.elapsed()))
}

/// Between half of `pause` and all of it, so that the pods of a rollout do not come all at once. Nothing depends on its quality.
fn jittered(pause: Duration) -> Duration {
    let random = u32::try_from(RandomState::new().hash_one(()) & 0xffff).unwrap_or_default();
    pause / 2 + pause / 2 * random / 0xffff
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use akv2k8s_shared::diagnosis::{Code, Retry};

    use super::*;

    const PATIENCE: Patience = Patience {
        budget: Duration::from_mins(1),
        retries: None,
        first_pause: Duration::from_millis(250),
    };

    fn failure() -> Failure {
        Failure::passing(Diagnosis::of(Code::BrokerUnavailable, "No.", &[]))
    }

    fn run<T>(future: impl Future<Output = T>) -> (T, Duration) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build();
        runtime.unwrap().block_on(async {
            let started = Instant::now();
            (future.await, started.elapsed())
        })
    }

    #[test]
    fn what_may_pass_is_tried_until_the_time_is_over_and_no_longer() {
        let tries = Cell::new(0);
        let (outcome, took) = run(retry(&PATIENCE, Code::BrokerUnavailable, async || {
            tries.set(tries.get() + 1);
            Err::<(), _>(failure())
        }));
        assert!(outcome.unwrap_err().text().contains("tried for"));
        assert!(
            took <= PATIENCE.budget && took + LONGEST_PAUSE >= PATIENCE.budget,
            "{took:?}"
        );
        assert!((12..40).contains(&tries.get()), "{}", tries.get());
    }

    #[test]
    fn what_cannot_pass_is_told_at_once_and_success_ends_it() {
        let (outcome, took) = run(retry(&PATIENCE, Code::BrokerUnavailable, async || {
            Err::<(), _>(Failure::of(Diagnosis::of(Code::ForbiddenByRbac, "No.", &[])))
        }));
        assert!(outcome.is_err() && took.is_zero());
        let tries = Cell::new(0);
        let (outcome, _) = run(retry(&PATIENCE, Code::BrokerUnavailable, async || {
            tries.set(tries.get() + 1);
            if tries.get() < 3 {
                Err(failure())
            } else {
                Ok(tries.get())
            }
        }));
        assert_eq!(outcome.ok(), Some(3));
    }

    #[test]
    fn retries_and_wait_of_akv2k8s_are_kept() {
        let patience = Patience {
            retries: Some(2),
            first_pause: Duration::from_secs(8),
            ..PATIENCE
        };
        let tries = Cell::new(0);
        let (outcome, took) = run(retry(&patience, Code::BrokerUnavailable, async || {
            tries.set(tries.get() + 1);
            Err::<(), _>(failure())
        }));
        assert!(outcome.is_err());
        assert_eq!(tries.get(), 3);
        assert!(
            took >= Duration::from_secs(8) && took <= Duration::from_secs(16),
            "{took:?}"
        );
    }

    #[test]
    fn a_pause_that_is_asked_for_is_kept_and_one_beyond_the_end_is_not_waited_for() {
        for (asked, expected) in [(20, 40), (90, 0)] {
            let failing = || failure().with(Retry::After(Duration::from_secs(asked)));
            let (_, took) = run(retry(&PATIENCE, Code::BrokerUnavailable, async || {
                Err::<(), _>(failing())
            }));
            assert_eq!(took.as_secs(), expected);
        }
    }

    #[test]
    fn an_attempt_that_hangs_is_given_up() {
        let (outcome, took) = run(retry(&PATIENCE, Code::BrokerUnavailable, async || {
            std::future::pending::<Result<(), Failure>>().await
        }));
        assert!(outcome.is_err());
        assert_eq!(took, PATIENCE.budget);
    }
}
