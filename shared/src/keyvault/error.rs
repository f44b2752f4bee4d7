//! What a failed vault call tells its caller.

use std::time::Duration;

use thiserror::Error;

use crate::diagnosis::Diagnosis;

/// When asking again makes sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// Throttled: not before this time has passed.
    After(Duration),
    /// Transient: seconds, with back-off.
    Soon,
    /// Somebody must change something (a role, a name): minutes.
    Slowly,
}

/// A vault call that failed, after the client's own retries.
#[derive(Debug, Clone, Error)]
#[error("{diagnosis}")]
pub struct VaultError {
    /// What happened, why, and how to fix it.
    pub diagnosis: Diagnosis,
    /// When to ask again.
    pub retry: Retry,
}
