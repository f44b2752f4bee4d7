//! A report as text for people and as JSON for programs.

use std::fmt;

use serde_json::{Value, json};

use super::{Check, Outcome};
use crate::diagnosis::Diagnosis;

/// The version of the JSON form: it changes only when a field goes or changes its meaning.
const JSON_VERSION: u32 = 1;

/// All checks of one subject, first causes first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// What was looked at: `pod shop/web-0`.
    pub subject: String,
    /// The checks, in causal order.
    pub checks: Vec<Check>,
}

impl Report {
    /// The first failure in the chain: what to do next.
    pub fn next(&self) -> Option<&Diagnosis> {
        self.checks.iter().find_map(Check::failure)
    }

    /// Whether there was a right to look at all that has to be known.
    pub fn complete(&self) -> bool {
        let is_missing = |check: &Check| matches!(check.outcome, Outcome::NotAllowed(_));
        !self.checks.iter().any(is_missing)
    }

    /// Whether nothing failed, and all was looked at that has to be known. Other checks that were not made do not count.
    pub fn healthy(&self) -> bool {
        self.next().is_none() && self.complete()
    }

    /// The exit code of programs. 0: nothing was found to be wrong. 1: something was. 2: nothing was, and not all that has to be known
    /// could be looked at.
    pub fn exit_code(&self) -> u8 {
        match (self.next(), self.complete()) {
            (Some(_), _) => 1,
            (None, false) => 2,
            (None, true) => 0,
        }
    }

    /// The documented JSON form.
    pub fn to_json(&self) -> Value {
        json!({
            "version": JSON_VERSION,
            "subject": self.subject,
            "healthy": self.healthy(),
            "complete": self.complete(),
            "checks": self.checks.iter().map(check).collect::<Vec<_>>(),
            "next": self.next().map(explained),
        })
    }
}

fn check(check: &Check) -> Value {
    match &check.outcome {
        Outcome::Passed(text) => json!({"id": check.id, "state": "passed", "text": text}),
        Outcome::NotMade(text) => json!({"id": check.id, "state": "notMade", "text": text}),
        Outcome::NotAllowed(text) => json!({"id": check.id, "state": "notMade", "text": text, "required": true}),
        Outcome::Failed(diagnosis) => {
            json!({"id": check.id, "state": "failed", "text": diagnosis.what, "code": diagnosis.code.as_str()})
        }
    }
}

fn explained(diagnosis: &Diagnosis) -> Value {
    json!({
        "code": diagnosis.code.as_str(),
        "what": diagnosis.what,
        "cause": diagnosis.cause,
        "fix": diagnosis.fix,
        "help": diagnosis.code.link(),
        "trace": diagnosis.trace.as_ref().map(|trace| json!({
            "requestId": trace.request_id,
            "correlationId": trace.correlation_id,
            "timestamp": trace.timestamp,
        })),
    })
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.subject)?;
        for check in &self.checks {
            match &check.outcome {
                Outcome::Passed(text) => writeln!(f, "✓ {text}")?,
                Outcome::NotMade(text) => writeln!(f, "– {text}")?,
                Outcome::NotAllowed(text) => writeln!(f, "? {text}")?,
                Outcome::Failed(diagnosis) => writeln!(f, "✗ {} ({})", diagnosis.what, diagnosis.code)?,
            }
        }
        match self.next() {
            None if self.complete() => writeln!(f, "\nNothing is wrong that can be seen from here."),
            None => writeln!(
                f,
                "\nWhether anything is wrong could not be determined: it takes the rights that are missing (?)."
            ),
            Some(next) => {
                writeln!(
                    f,
                    "\nNext ({}):\n  Cause: {}\n  Fix: {}",
                    next.code, next.cause, next.fix
                )?;
                if let Some(trace) = &next.trace {
                    writeln!(f, "  For Microsoft's support: {trace}")?;
                }
                writeln!(f, "  More: {}", next.code.link())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnosis::{Code, Trace};

    fn report() -> Report {
        let trace = Trace {
            request_id: Some("r-1".into()),
            ..Trace::default()
        };
        let failure = |code: Code, what: &str| {
            let told = Diagnosis::told(code.as_str(), &format!("{what} Cause: Because. Fix: Do that."));
            told.expect("a code of this version").traced(trace.clone())
        };
        Report {
            subject: "pod a/b".into(),
            checks: vec![
                Check::passed("one", "One is fine."),
                Check::not_made("two", "Two: no right to look."),
                Check::failed("three", failure(Code::ApiServerForbidden, "Three is not.")),
                Check::failed("four", failure(Code::TokenFileUnreadable, "Nor is four.")),
            ],
        }
    }

    #[test]
    fn text_has_a_line_a_check_and_one_thing_to_do() {
        assert_eq!(
            report().to_string(),
            "pod a/b\n✓ One is fine.\n– Two: no right to look.\n✗ Three is not. (ApiServerForbidden)\n\
             ✗ Nor is four. (TokenFileUnreadable)\n\nNext (ApiServerForbidden):\n  Cause: Because.\n  Fix: Do that.\n  \
             For Microsoft's support: request r-1\n  More: LINK\n"
                .replace("LINK", &Code::ApiServerForbidden.link())
        );
    }

    #[test]
    fn json_has_the_documented_shape() {
        assert_eq!(
            report().to_json(),
            json!({
                "version": 1,
                "subject": "pod a/b",
                "healthy": false,
                "complete": true,
                "checks": [
                    {"id": "one", "state": "passed", "text": "One is fine."},
                    {"id": "two", "state": "notMade", "text": "Two: no right to look."},
                    {"id": "three", "state": "failed", "text": "Three is not.", "code": "ApiServerForbidden"},
                    {"id": "four", "state": "failed", "text": "Nor is four.", "code": "TokenFileUnreadable"},
                ],
                "next": {
                    "code": "ApiServerForbidden", "what": "Three is not.", "cause": "Because.", "fix": "Do that.",
                    "help": Code::ApiServerForbidden.link(),
                    "trace": {"requestId": "r-1", "correlationId": null, "timestamp": null},
                },
            })
        );
    }

    #[test]
    fn what_was_not_looked_at_is_no_finding() {
        let mut report = report();
        report.checks.truncate(2);
        assert_eq!((report.healthy(), report.exit_code()), (true, 0));
        assert_eq!(report.to_json()["next"], Value::Null);
        assert!(
            report
                .to_string()
                .ends_with("Nothing is wrong that can be seen from here.\n")
        );
    }
    #[test]
    fn without_a_right_to_what_has_to_be_known_nothing_is_healthy_and_a_failure_counts_more() {
        let mut report = report();
        report
            .checks
            .push(Check::not_allowed("five", "Five: no right to list them."));
        assert_eq!((report.healthy(), report.exit_code()), (false, 1));
        report.checks.retain(|check| check.failure().is_none());
        assert_eq!((report.healthy(), report.exit_code()), (false, 2));
        let json = report.to_json();
        assert_eq!(
            (&json["healthy"], &json["complete"], &json["next"]),
            (&json!(false), &json!(false), &Value::Null)
        );
        let five = json!({"id": "five", "state": "notMade", "text": "Five: no right to list them.", "required": true});
        assert_eq!(json["checks"][2], five);
        let text = report.to_string();
        assert!(
            text.contains("\n? Five: no right to list them.\n") && text.contains("could not be determined"),
            "{text}"
        );
    }
}
