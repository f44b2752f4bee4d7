//! What the API server's refusals mean.

use akv2k8s_shared::diagnosis::Diagnosis;

use super::Target;

/// When another attempt makes sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// The object changed between looking and writing: observe, plan and apply again at once (with back-off if it recurs).
    Observe,
    /// The API server is busy or away: with back-off.
    BackOff,
    /// Not before somebody changes the AKVS, the output or the controller's rights; slowly, to notice the latter.
    Changed,
}

/// A request for one output that failed. The output is as it was.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{diagnosis}")]
pub struct ApplyError {
    /// Which output.
    pub target: Target,
    /// What happened, why, and the fix.
    pub diagnosis: Box<Diagnosis>,
    /// When to try again.
    pub retry: Retry,
}
