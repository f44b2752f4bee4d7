//! What `doctor` says: checks in causal order, and the one thing to do next.
//!
//! ```text
//!  gather (I/O, each program's own) ──▶ facts ──▶ pure checks ──▶ Report ──▶ text or JSON
//! ```

mod probe;
mod report;

pub use probe::{identity as try_identity, vault as try_vault, vault_rights as try_vault_rights};
pub use report::Report;

use crate::diagnosis::Diagnosis;

/// One question and its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// What was asked, stable: the `id` in JSON.
    pub id: &'static str,
    /// What came out.
    pub outcome: Outcome,
}

/// What came out of a check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// As it should be; the sentence says what was found.
    Passed(String),
    /// Not as it should be.
    Failed(Box<Diagnosis>),
    /// Not looked at, or not to be known from here; the sentence says why.
    NotMade(String),
    /// Nothing can be said without it, and there was no right to look; the sentence says which.
    NotAllowed(String),
}

impl Check {
    /// `id` is as it should be.
    pub fn passed(id: &'static str, found: impl Into<String>) -> Self {
        let outcome = Outcome::Passed(found.into());
        Self { id, outcome }
    }

    /// `id` is not as it should be.
    pub fn failed(id: &'static str, diagnosis: Diagnosis) -> Self {
        let outcome = Outcome::Failed(Box::new(diagnosis));
        Self { id, outcome }
    }

    /// `id` was not looked at.
    pub fn not_made(id: &'static str, why: impl Into<String>) -> Self {
        let outcome = Outcome::NotMade(why.into());
        Self { id, outcome }
    }

    /// `id` would have to be known, and there is no right to look.
    pub fn not_allowed(id: &'static str, why: impl Into<String>) -> Self {
        let outcome = Outcome::NotAllowed(why.into());
        Self { id, outcome }
    }

    /// The failure, if it is one.
    pub fn failure(&self) -> Option<&Diagnosis> {
        match &self.outcome {
            Outcome::Failed(diagnosis) => Some(diagnosis),
            Outcome::Passed(_) | Outcome::NotMade(_) | Outcome::NotAllowed(_) => None,
        }
    }
}

/// Something that was looked for, with the rights at hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen<T> {
    /// It is there.
    Found(T),
    /// It is not there.
    Missing,
    /// There was no right to look.
    NotAllowed,
}

impl<T> Seen<T> {
    /// What was found.
    pub fn found(&self) -> Option<&T> {
        match self {
            Self::Found(it) => Some(it),
            Self::Missing | Self::NotAllowed => None,
        }
    }
}
