//! A place every request passes twice, where a test may count it, hold it up or cut it off: the emulator's and the [API server
//! proxy](crate::proxy)'s.

use std::sync::Arc;

use futures::future::BoxFuture;

/// Where a request stands when it passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// It arrived whole; nothing has been done about it.
    Arrived,
    /// It was carried out; the client has not been told.
    Answered,
}

/// What becomes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It goes on.
    Pass,
    /// The connection is closed without a (further) answer.
    Cut,
}

/// Decides about requests, at both moments of each.
pub trait Gate: Send + Sync {
    /// `request` is method and path, for people.
    fn pass<'a>(&'a self, moment: Moment, request: &'a str) -> BoxFuture<'a, Verdict>;
}

/// A gate that many connections share.
pub type SharedGate = Arc<dyn Gate>;
