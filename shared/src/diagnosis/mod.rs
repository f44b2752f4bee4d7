//! The failure catalogue: what was observed → stable code, cause, and the fix to print.
//!
//! ```text
//!  HTTP answer, token claims, environment, files, API objects ──▶ recognise ──▶ Diagnosis ──▶ condition, event, log, metric, doctor
//!                                                     catalogue (texts) ──┘└──▶ docs/troubleshooting.md
//! ```
//!
//! Recognition is pure: it looks at what others observed. Where several things are wrong, [`first_cause`] tells what to repair first.

mod assertion;
mod catalogue;
mod client_secret;
mod entra;
mod imds;
mod stray;
mod unseen;
mod vault;
#[cfg(feature = "kube")]
pub mod workload;

use std::fmt;
use std::time::Duration;

use crate::text::{one_line, shortened};

pub use assertion::{AUDIENCE, AssertionClaims, TOKEN_PROXY};
pub use catalogue::{Case, Code, EventReason, Explanation, Row, SECTIONS, Section, Text, case};
pub use client_secret::{explain_secret, mistaken_secret};
pub use entra::TokenRefusal;
pub use imds::ImdsRefusal;
pub use stray::{Stray, stray, without_stray};
pub use unseen::{UNSEEN, Unseen};
pub use vault::VaultRefusal;
pub(crate) use vault::throttled;

/// A failure that explains itself. None of the texts ever holds a secret value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnosis {
    /// The catalogue row.
    pub code: Code,
    /// What happened, to which object: one plain sentence.
    pub what: String,
    /// Why.
    pub cause: Text,
    /// The command or edit that fixes it.
    pub fix: Text,
    /// How the service's operators find the request, when it told. It differs each time, so it goes to log and `doctor` only: neither
    /// `Display` nor a status has it.
    pub trace: Option<Box<Trace>>,
}

/// What a support engineer asks for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Trace {
    /// The id of the failed request: Entra's trace id, the vault's `x-ms-request-id`.
    pub request_id: Option<String>,
    /// Entra's correlation id.
    pub correlation_id: Option<String>,
    /// When, by the service's clock, in its own words.
    pub timestamp: Option<String>,
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [
            ("request", &self.request_id),
            ("correlation", &self.correlation_id),
            ("at", &self.timestamp),
        ];
        let known = parts.iter().filter_map(|(name, value)| Some((name, value.as_ref()?)));
        for (number, (name, value)) in known.enumerate() {
            let comma = if number == 0 { "" } else { ", " };
            write!(f, "{comma}{name} {value}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message())
    }
}

impl Diagnosis {
    /// A diagnosis of `code` in the words of its row: `what` is a sentence, `names` the values of the `{names}` in cause and fix.
    /// One that is not given stands there in capitals, for the reader to fill in.
    pub fn of(code: Code, what: impl Into<String>, names: &[(&str, &str)]) -> Self {
        Self::case(code.explain(names), what)
    }

    /// A diagnosis in the words of one of the catalogue's [cases](case): `what` is a sentence.
    pub fn case(case: impl Into<Explanation>, what: impl Into<String>) -> Self {
        let Explanation { code, cause, fix } = case.into();
        Self {
            code,
            what: what.into(),
            cause,
            fix,
            trace: None,
        }
    }

    /// All of it but the code, for where that stands by itself. [`Self::told`] reads it.
    pub fn message(&self) -> String {
        format!("{} Cause: {} Fix: {}", self.what, self.cause, self.fix)
    }

    /// Adds the service's own words.
    #[must_use]
    pub(crate) fn quoting(self, who: &str, said: &str) -> Self {
        Self {
            cause: self.cause.quoting(who, said),
            ..self
        }
    }

    /// Adds what was found out on the way before the cause: whole sentences.
    #[must_use]
    pub fn after(self, findings: &str) -> Self {
        Self {
            cause: self.cause.after(findings),
            ..self
        }
    }

    /// Adds how the service's operators find the request.
    #[must_use]
    pub fn traced(mut self, trace: Trace) -> Self {
        self.trace = (trace != Trace::default()).then(|| Box::new(trace));
        self
    }
}

impl std::error::Error for Diagnosis {}

/// Of all that was found wrong, what explains the rest: the one that stands first in the catalogue, whose order is the order of
/// causes. Among equals the one found first.
pub fn first_cause(findings: impl IntoIterator<Item = Diagnosis>) -> Option<Diagnosis> {
    findings.into_iter().min_by_key(|finding| finding.code)
}

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

/// Makes foreign text fit for a message: one line, bounded length.
pub(crate) fn tidy(text: &str) -> String {
    shortened(&one_line(text), 300)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_cause_is_the_one_that_explains_the_rest() {
        let finding = |code| Diagnosis::of(code, "Something failed.", &[]);
        let found = [
            Code::TokenRequestFailed,
            Code::TokenFileUnreadable,
            Code::WorkloadIdentityLabelMissing,
            Code::WorkloadIdentityIncomplete,
        ];
        let first = first_cause(found.map(finding)).unwrap();
        assert_eq!(first.code, Code::WorkloadIdentityLabelMissing);
        assert_eq!(first_cause([]), None);
    }

    #[test]
    fn what_differs_each_time_is_not_in_the_message() {
        let trace = Trace {
            request_id: Some("r-1".to_owned()),
            correlation_id: Some("c-1".to_owned()),
            timestamp: None,
        };
        assert_eq!(trace.to_string(), "request r-1, correlation c-1");
        let plain = Diagnosis::of(Code::Throttled, "Reading failed.", &[]);
        let traced = plain.clone().traced(trace);
        assert_eq!(plain.to_string(), traced.to_string());
        assert!(traced.trace.is_some() && plain.traced(Trace::default()).trace.is_none());
    }
}
