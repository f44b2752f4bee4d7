//! A failure of the wrapper's own, as it is told: at most three lines, and never a byte of a value.

use std::time::Duration;

use akv2k8s_shared::diagnosis::{Diagnosis, Retry};
use akv2k8s_shared::injection::wire::Refusal;
use serde_json::{Map, Value};

/// Names of variables that are told; there may be a thousand.
const MOST_NAMES: usize = 5;

/// What went wrong, and whether trying again may help.
#[derive(Debug)]
pub(crate) struct Failure {
    told: Box<Told>,
    /// How long to wait before another try; `None`: it would not help.
    pub(crate) again: Option<Duration>,
}

/// What people read of it.
#[derive(Debug, Default)]
struct Told {
    variables: Vec<String>,
    reference: Option<String>,
    /// Of the catalogue; a newer broker may know more of them than this program.
    code: String,
    what: String,
    cause: String,
    fix: String,
}

impl Failure {
    /// One that stays as it is.
    pub(crate) fn of(diagnosis: Diagnosis) -> Self {
        let told = Told {
            code: diagnosis.code.to_string(),
            what: diagnosis.what,
            cause: diagnosis.cause.into(),
            fix: diagnosis.fix.into(),
            ..Told::default()
        };
        Self {
            told: Box::new(told),
            again: None,
        }
    }

    /// One that may pass.
    pub(crate) fn passing(diagnosis: Diagnosis) -> Self {
        Self::of(diagnosis).with(Retry::Soon)
    }

    /// What the broker said; `pause` is its `Retry-After`.
    pub(crate) fn refused(refusal: Refusal, pause: Option<Duration>) -> Self {
        let told = Told {
            reference: refusal.reference,
            code: refusal.code,
            what: refusal.message,
            fix: refusal.fix,
            ..Told::default()
        };
        Self {
            told: Box::new(told),
            again: refusal.retry.then(|| pause.unwrap_or_default()),
        }
    }

    /// The reference it is about, when it is about one.
    pub(crate) fn reference(&self) -> Option<&str> {
        self.told.reference.as_deref()
    }

    /// Says whether and when to try again.
    pub(crate) fn with(mut self, retry: Retry) -> Self {
        self.again = match retry {
            Retry::After(pause) => Some(pause),
            Retry::Soon => Some(Duration::ZERO),
            Retry::Slowly => None,
        };
        self
    }

    /// Names the reference.
    pub(crate) fn about(mut self, reference: &str) -> Self {
        self.told.reference = Some(reference.to_owned());
        self
    }

    /// Names the variables.
    pub(crate) fn at(mut self, variables: &[String]) -> Self {
        self.told.variables = variables.to_vec();
        self
    }

    /// Tells for how long it was tried.
    pub(crate) fn after(mut self, time: Duration) -> Self {
        self.told.what = format!("{} (tried for {} s)", self.told.what, time.as_secs());
        self
    }

    /// The variables and the reference; empty when it is about neither.
    fn place(&self) -> String {
        let first = self
            .told
            .variables
            .iter()
            .take(MOST_NAMES)
            .cloned()
            .collect::<Vec<_>>()
            .join(", ");
        let more = self.told.variables.len().saturating_sub(MOST_NAMES);
        let all = if more > 0 {
            format!("{first} and {more} more")
        } else {
            first
        };
        match (&self.told.reference, all.is_empty()) {
            (Some(reference), false) => format!("{all} ({reference}): "),
            (Some(reference), true) => format!("{reference}: "),
            (None, false) => format!("{all}: "),
            (None, true) => String::new(),
        }
    }

    /// Three lines at most.
    pub(crate) fn text(&self) -> String {
        let line = |label: &str, text: &str| match text {
            "" => String::new(),
            _ => format!("\n  {label}: {}", one_line(text)),
        };
        let head = format!("{}{}: {}", self.place(), self.told.code, one_line(&self.told.what));
        head + &line("Cause", &self.told.cause) + &line("Fix", &self.told.fix)
    }

    /// What happened, in one line.
    pub(crate) fn message(&self) -> String {
        one_line(&self.told.what)
    }

    /// All else, for programs; what says nothing is left out.
    pub(crate) fn fields(&self) -> Map<String, Value> {
        let told = &self.told;
        let texts = [
            ("code", told.code.as_str()),
            ("reference", told.reference.as_deref().unwrap_or_default()),
            ("cause", &told.cause),
            ("fix", &told.fix),
        ];
        let texts = texts.into_iter().filter(|(_, text)| !text.is_empty());
        let mut fields: Map<_, _> = texts.map(|(name, text)| (name.to_owned(), text.into())).collect();
        if !told.variables.is_empty() {
            fields.insert("variables".to_owned(), told.variables.as_slice().into());
        }
        fields
    }
}

/// `text` without line breaks.
pub(crate) fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_three_lines_whatever_is_in_its_texts() {
        let told = Diagnosis::told("AkvsNotFound", "What\nhappened. Cause: Why\r\nso. Fix: Do\nthat.");
        let diagnosis = told.unwrap();
        let names: Vec<_> = (0..1000).map(|number| format!("V{number}")).collect();
        let failure = Failure::of(diagnosis).at(&names).about("db@azurekeyvault");
        assert_eq!(
            failure.text(),
            "V0, V1, V2, V3, V4 and 995 more (db@azurekeyvault): AkvsNotFound: What happened.\n  Cause: Why so.\n  Fix: Do that."
        );
    }
}
