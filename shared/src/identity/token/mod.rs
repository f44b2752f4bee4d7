//! Access tokens, and the places that keep them.

mod slot;
#[cfg(test)]
mod tests;

use std::fmt;
use std::time::Duration;

pub(super) use slot::Slot;
pub(crate) use slot::{broken, closed};
use thiserror::Error;
use tokio::time::Instant;

use crate::diagnosis::{Diagnosis, Retry};
use crate::secret::SecretBytes;

/// Least lead of a refresh over the end of a token that lasts at least three times as long.
const REFRESH_LEAD: Duration = Duration::from_mins(5);
/// Largest safety margin before the end: clocks differ, `expires_in` is in whole seconds, and a request takes its time.
const MARGIN: Duration = Duration::from_secs(30);

/// A token could not be had.
#[derive(Debug, Clone, Error)]
#[error("{diagnosis}")]
pub struct TokenError {
    /// What happened, why, and how to fix it.
    pub diagnosis: Diagnosis,
    /// When to ask again.
    pub retry: Retry,
}

/// No service issues tokens for longer than a day; what an answer says besides may not fit into a time.
const LONGEST: Duration = Duration::from_hours(48);

/// An access token. It cannot be printed.
pub struct Token {
    secret: SecretBytes,
    issued: Instant,
    expires: Instant,
}

impl Token {
    /// A token that was just issued and lasts for `lifetime`, of which no more than [`LONGEST`] is believed.
    pub(crate) fn new(secret: SecretBytes, lifetime: Duration) -> Self {
        let issued = Instant::now();
        let lifetime = lifetime.min(LONGEST);
        Self {
            secret,
            issued,
            expires: issued + lifetime,
        }
    }

    /// The value of an `Authorization` header; to be moved into the request, whose memory is not ours.
    pub(crate) fn bearer(&self) -> Option<String> {
        Some(format!("Bearer {}", self.secret.expose_str()?))
    }

    /// The token itself, for the rare service that takes it elsewhere than in `Authorization`.
    pub fn secret(&self) -> &SecretBytes {
        &self.secret
    }

    /// How long it was good for when it was issued.
    pub(crate) fn lifetime(&self) -> Duration {
        self.expires - self.issued
    }

    fn usable(&self, now: Instant) -> bool {
        now + MARGIN.min(self.lifetime() / 4) < self.expires
    }

    /// When a refresh begins: the longer a token lasts, the longer an outage of Entra it bridges.
    fn due(&self) -> Instant {
        let lead = REFRESH_LEAD.max(self.lifetime() / 12).min(self.lifetime() / 3);
        self.expires - lead
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}
