//! Waiting on conditions instead of sleeping.

use std::time::{Duration, Instant};

/// How often a condition is looked at.
const INTERVAL: Duration = Duration::from_millis(25);

/// The condition did not come true in time.
#[derive(Debug, thiserror::Error)]
#[error("waited {} s for {what}, in vain", limit.as_secs_f32())]
pub struct TimedOut {
    what: String,
    limit: Duration,
}

/// Calls `look` every 25 ms until it gives a value, for at most `limit`; `what` names the condition in the error.
pub async fn until<T>(what: &str, limit: Duration, mut look: impl AsyncFnMut() -> Option<T>) -> Result<T, TimedOut> {
    let start = Instant::now();
    loop {
        if let Some(found) = look().await {
            return Ok(found);
        }
        if start.elapsed() >= limit {
            return Err(TimedOut {
                what: what.to_owned(),
                limit,
            });
        }
        tokio::time::sleep(INTERVAL).await;
    }
}
