//! A line on standard error while something takes longer than a second; only where somebody looks.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval_at};

/// After this time something is said, and again each time it has passed.
const TICK: Duration = Duration::from_secs(1);
/// Back to the begin of the line, and what stands there goes (`EL` of ECMA-48).
const CLEAR: &str = "\r\x1b[K";

/// Waits for `work`, and says so meanwhile when standard error is a terminal.
pub(crate) async fn during<T>(what: &str, work: impl Future<Output = T>) -> T {
    let mut error = std::io::stderr();
    if error.is_terminal() {
        told(what, work, &mut error).await
    } else {
        work.await
    }
}

async fn told<T>(what: &str, work: impl Future<Output = T>, to: &mut impl Write) -> T {
    let started = Instant::now();
    let mut ticks = interval_at(started + TICK, TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut work = std::pin::pin!(work);
    let mut said = false;
    loop {
        tokio::select! {
            biased;
            done = &mut work => {
                if said {
                    let _ = to.write_all(CLEAR.as_bytes());
                }
                return done;
            }
            _ = ticks.tick() => {
                said = true;
                let line = format!("{CLEAR}{what} … {} s", started.elapsed().as_secs());
                // Nobody is left to be told when it is closed.
                let _ = to.write_all(line.as_bytes()).and_then(|()| to.flush());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn only_what_takes_longer_than_a_second_is_told_and_the_line_goes_at_the_end() {
        for (millis, expected) in [(900, ""), (2500, "\r\x1b[Kreading … 1 s\r\x1b[Kreading … 2 s\r\x1b[K")] {
            let mut said = Vec::new();
            told("reading", tokio::time::sleep(Duration::from_millis(millis)), &mut said).await;
            assert_eq!(String::from_utf8(said).unwrap(), expected);
        }
    }
}
