//! Bodies of requests, read within limits of size, time, and of memory for all of them together.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::{Body as _, Bytes};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// Limits of bodies.
#[derive(Debug, Clone, Copy)]
pub struct BodyLimits {
    /// Longest body, in bytes.
    pub longest: usize,
    /// Bytes of all bodies together that are in memory at a time.
    pub together: usize,
    /// Time for a body to arrive.
    pub arrival: Duration,
    /// Time to wait for memory.
    pub wait: Duration,
}

/// Reads bodies. Cheap to clone; clones share the memory.
#[derive(Clone)]
pub struct Bodies {
    limits: BodyLimits,
    memory: Arc<Semaphore>,
}

/// A body, and its share of the memory for as long as it is worked on.
pub struct Whole {
    /// What was sent.
    pub bytes: Bytes,
    _share: OwnedSemaphorePermit,
}

/// Why there is no body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoBody {
    /// Longer than allowed.
    TooLong,
    /// It did not arrive in time.
    TooSlow,
    /// It did not arrive as a whole.
    Broken,
    /// Too many others are being worked on.
    Busy,
}

impl Bodies {
    /// Within `limits`.
    pub fn new(limits: BodyLimits) -> Self {
        Self {
            limits,
            memory: Arc::new(Semaphore::new(limits.together)),
        }
    }

    /// The longest body, in bytes.
    pub fn longest(&self) -> usize {
        self.limits.longest
    }

    /// Waits for memory for as much as the request announces (the most, when it does not), then reads.
    ///
    /// # Errors
    /// Why there is no body.
    pub async fn read(&self, body: Body) -> Result<Whole, NoBody> {
        let BodyLimits {
            longest,
            together,
            arrival,
            wait,
        } = self.limits;
        let announced = body.size_hint().exact().and_then(|size| usize::try_from(size).ok());
        let size = announced.unwrap_or(longest).min(longest).min(together);
        let size = u32::try_from(size).unwrap_or(u32::MAX);
        let share = timeout(wait, self.memory.clone().acquire_many_owned(size)).await;
        let share = share.ok().and_then(Result::ok).ok_or(NoBody::Busy)?;
        let read = timeout(arrival, Limited::new(body, longest).collect()).await;
        let collected = read.map_err(|_| NoBody::TooSlow)?.map_err(|error| of(error.as_ref()))?;
        Ok(Whole {
            bytes: collected.to_bytes(),
            _share: share,
        })
    }
}

fn of(error: &(dyn Error + Send + Sync + 'static)) -> NoBody {
    if error.is::<LengthLimitError>() {
        NoBody::TooLong
    } else {
        NoBody::Broken
    }
}

#[cfg(test)]
mod tests {
    use futures::stream;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn bodies() -> Bodies {
        Bodies::new(BodyLimits {
            longest: 10,
            together: 25,
            arrival: 10 * SECOND,
            wait: 2 * SECOND,
        })
    }

    /// A body whose length nobody knows before, and that never ends.
    fn endless(first: &'static str) -> Body {
        let first = stream::iter([Ok::<_, std::io::Error>(first)]);
        Body::from_stream(futures::StreamExt::chain(first, stream::pending()))
    }

    #[tokio::test(start_paused = true)]
    async fn memory_is_shared_and_given_back() {
        let bodies = bodies();
        let kept = [
            bodies.read("0123456789".into()).await.ok(),
            bodies.read("0123456789".into()).await.ok(),
        ];
        assert!(kept.iter().flatten().all(|it| it.bytes.len() == 10));
        assert_eq!(bodies.read("012345".into()).await.err(), Some(NoBody::Busy));
        assert_eq!(bodies.read("01234".into()).await.unwrap().bytes, "01234");
        assert_eq!(
            bodies.read(endless("")).await.err(),
            Some(NoBody::Busy),
            "it may be as long as can be"
        );
        drop(kept);
        assert_eq!(bodies.read("012345".into()).await.unwrap().bytes, "012345");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_too_long_too_slow_or_broken_is_told_apart() {
        let bodies = bodies();
        assert_eq!(bodies.read("01234567890".into()).await.err(), Some(NoBody::TooLong));
        assert_eq!(bodies.read(endless("01234567890")).await.err(), Some(NoBody::TooLong));
        assert_eq!(bodies.read(endless("0")).await.err(), Some(NoBody::TooSlow));
        let broken = Body::from_stream(stream::iter([Err::<&str, _>(std::io::Error::other("x"))]));
        assert_eq!(bodies.read(broken).await.err(), Some(NoBody::Broken));
        assert_eq!(bodies.memory.available_permits(), 25, "nothing is lost");
    }
}
