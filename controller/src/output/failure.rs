//! What the API server's refusals mean.

use akv2k8s_shared::diagnosis::{Diagnosis, Explanation, case};
use akv2k8s_shared::readers::is_rbac;
use akv2k8s_shared::text::shortened;
use kube::core::Status;
use kube::core::response::StatusCause;

use super::echo::repeats;
use super::{Desired, Target};

/// Longest message of the API server (an admission webhook's, say) that is passed on, in characters.
const LONGEST_MESSAGE: usize = 400;

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

/// What was tried.
pub(super) struct Attempt<'a> {
    pub(super) namespace: &'a str,
    pub(super) target: &'a Target,
    /// As RBAC spells it: `get`, `patch`, `delete`.
    pub(super) verb: &'static str,
    /// What was sent, so that no message of the API server can carry a value of it further.
    pub(super) desired: Option<&'a Desired>,
}

impl Attempt<'_> {
    /// The diagnosis of `error`.
    pub(super) fn failed(&self, error: &kube::Error) -> ApplyError {
        let (diagnosis, retry) = match error {
            kube::Error::Api(status) => self.refused(status),
            other => (
                self.unavailable(case::ApiServerSilent {
                    error: &outermost(other),
                }),
                Retry::BackOff,
            ),
        };
        ApplyError {
            target: self.target.clone(),
            diagnosis: Box::new(diagnosis),
            retry,
        }
    }

    fn refused(&self, status: &Status) -> (Diagnosis, Retry) {
        match status.code {
            409 if is_type_mismatch(status) => (self.type_immutable(), Retry::Changed),
            404 | 409 => (self.changed_meanwhile(status), Retry::Observe),
            401 => (self.token_refused(), Retry::Changed),
            403 if is_rbac(status) => (self.forbidden(), Retry::Changed),
            422 if is_immutable(status) => (self.immutable(), Retry::Changed),
            422 if is_type_mismatch(status) => (self.type_immutable(), Retry::Changed),
            408 | 429 | 500.. => (
                self.unavailable(case::ApiServerBusy {
                    status: &status.code,
                    reason: &status.reason,
                }),
                Retry::BackOff,
            ),
            _ => (self.rejected(status), Retry::Changed),
        }
    }

    fn changed_meanwhile(&self, status: &Status) -> Diagnosis {
        let managers = conflicting_managers(status).join(", ");
        let what = format!("{} changed while it was being written.", self.object());
        if managers.is_empty() {
            return Diagnosis::case(case::ChangedMeanwhile, what);
        }
        let managers = &managers;
        Diagnosis::case(case::ChangedMeanwhileBy { managers }, what)
    }

    fn token_refused(&self) -> Diagnosis {
        let refused = case::ControllerTokenRefused {
            verbs: &self.verbs(),
            resource: &self.target.kind.plural(),
            namespace: &self.namespace,
        };
        Diagnosis::case(refused, self.not_allowed())
    }

    fn forbidden(&self) -> Diagnosis {
        let forbidden = case::OutputForbidden {
            verbs: &self.verbs(),
            resource: &self.target.kind.plural(),
            namespace: &self.namespace,
        };
        Diagnosis::case(forbidden, self.not_allowed())
    }

    fn not_allowed(&self) -> String {
        format!("The controller may not {} {}.", self.verb, self.object())
    }

    /// The rights that it takes.
    fn verbs(&self) -> &'static str {
        match self.verb {
            "patch" => "create and patch",
            verb => verb,
        }
    }

    fn immutable(&self) -> Diagnosis {
        let immutable = case::MarkedImmutable {
            kind: &self.kind(),
            namespace: &self.namespace,
            name: &self.target.name,
        };
        let what = format!(
            "{} is marked immutable, so its data cannot follow the vault.",
            self.object()
        );
        Diagnosis::case(immutable, what)
    }

    fn type_immutable(&self) -> Diagnosis {
        let kept = case::OtherTypeKept {
            kind: &self.kind(),
            namespace: &self.namespace,
            name: &self.target.name,
        };
        let what = format!(
            "{} exists with another type, which Kubernetes cannot change.",
            self.object()
        );
        Diagnosis::case(kept, what)
    }

    fn rejected(&self, status: &Status) -> Diagnosis {
        let what = format!("The API server refused {}.", self.object());
        match &self.without_values(&status.message) {
            Some(message) => Diagnosis::case(case::RejectedWith { message }, what),
            None => Diagnosis::case(case::RejectedWithValue, what),
        }
    }

    fn unavailable(&self, why: impl Into<Explanation>) -> Diagnosis {
        Diagnosis::case(why, format!("{} could not be {}.", self.object(), self.done()))
    }

    fn object(&self) -> String {
        format!("{} in namespace {}", self.target, self.namespace)
    }

    fn done(&self) -> &'static str {
        match self.verb {
            "get" => "read",
            "delete" => "deleted",
            _ => "written",
        }
    }

    /// As kubectl names it.
    fn kind(&self) -> String {
        self.target.kind.as_str().to_lowercase()
    }

    /// `message`, shortened; `None` when it holds a value that was sent.
    fn without_values(&self, message: &str) -> Option<String> {
        let repeats = |desired: &Desired| repeats(message, &desired.data) || repeats(message, &desired.binary);
        (!self.desired.is_some_and(repeats)).then(|| shortened(message, LONGEST_MESSAGE))
    }
}

/// The error's own words and those of its first cause: stable for equal failures, without addresses of connections.
fn outermost(error: &kube::Error) -> String {
    match std::error::Error::source(error) {
        Some(source) => source.to_string(),
        None => error.to_string(),
    }
}

fn causes(status: &Status) -> impl Iterator<Item = &StatusCause> {
    status.details.iter().flat_map(|details| &details.causes)
}

fn is_immutable(status: &Status) -> bool {
    causes(status).any(|cause| cause.message.contains("when `immutable` is set"))
}

/// Whether the object's type differs from the one applied: as validation says it (422), or as server-side apply does when
/// another manager owns the type (409).
pub(super) fn is_type_mismatch(status: &Status) -> bool {
    !is_immutable(status)
        && causes(status).any(|cause| match status.code {
            422 => cause.field == "type",
            409 => cause.reason == "FieldManagerConflict" && cause.field == ".type",
            _ => false,
        })
}

/// The managers a 409 of server-side apply names: `conflict with "kubectl-edit" using v1: .data.password`.
fn conflicting_managers(status: &Status) -> Vec<String> {
    let conflicts = causes(status).filter(|cause| cause.reason == "FieldManagerConflict");
    let mut managers: Vec<_> = conflicts
        .filter_map(|c| Some(c.message.split('"').nth(1)?.to_owned()))
        .collect();
    managers.sort_unstable();
    managers.dedup();
    managers
}

#[cfg(test)]
mod tests {
    use akv2k8s_shared::diagnosis::Code;
    use kube::core::response::StatusDetails;

    use super::super::testing::{desired, secret};
    use super::*;

    fn status(code: u16, message: &str, causes: &[(&str, &str, &str)]) -> Status {
        let cause = |(reason, message, field): &(&str, &str, &str)| StatusCause {
            reason: (*reason).into(),
            message: (*message).into(),
            field: (*field).into(),
        };
        Status {
            code,
            details: Some(StatusDetails {
                causes: causes.iter().map(cause).collect(),
                name: String::new(),
                group: String::new(),
                kind: String::new(),
                uid: String::new(),
                retry_after_seconds: 0,
            }),
            ..Status::failure(message, "")
        }
    }

    fn failed(desired: &Desired, status: Status) -> ApplyError {
        let attempt = Attempt {
            namespace: "team",
            target: &secret(),
            verb: "patch",
            desired: Some(desired),
        };
        attempt.failed(&kube::Error::Api(status.boxed()))
    }

    #[test]
    fn every_answer_has_a_code_and_a_time_to_try_again() {
        let rbac = "secrets \"db\" is forbidden: User \"x\" cannot patch resource \"secrets\" in API group \"\"";
        let immutable = (
            "FieldValueForbidden",
            "Forbidden: field is immutable when `immutable` is set",
            "data",
        );
        let type_changed = (
            "FieldValueInvalid",
            "Invalid value: \"Opaque\": field is immutable",
            "type",
        );
        let held = (
            "FieldManagerConflict",
            "conflict with \"kubectl-edit\" using v1",
            ".data.k",
        );
        let type_held = ("FieldManagerConflict", "conflict with \"akv2k8s-x\" using v1", ".type");
        let table = [
            (
                status(401, "Unauthorized", &[]),
                Code::ApiServerForbidden,
                Retry::Changed,
            ),
            (status(403, rbac, &[]), Code::ApiServerForbidden, Retry::Changed),
            (
                status(403, "exceeded quota: q", &[]),
                Code::OutputRejected,
                Retry::Changed,
            ),
            (status(404, "not found", &[]), Code::OutputConflict, Retry::Observe),
            (status(409, "uid mismatch", &[]), Code::OutputConflict, Retry::Observe),
            (status(409, "conflict", &[held]), Code::OutputConflict, Retry::Observe),
            (
                status(409, "conflict", &[type_held]),
                Code::OutputTypeImmutable,
                Retry::Changed,
            ),
            (
                status(422, "invalid", &[type_changed]),
                Code::OutputTypeImmutable,
                Retry::Changed,
            ),
            (
                status(422, "invalid", &[type_changed, immutable]),
                Code::OutputImmutable,
                Retry::Changed,
            ),
            (status(422, "invalid", &[]), Code::OutputRejected, Retry::Changed),
            (
                status(400, "admission webhook \"w\" denied the request", &[]),
                Code::OutputRejected,
                Retry::Changed,
            ),
            (
                status(429, "slow down", &[]),
                Code::ApiServerUnavailable,
                Retry::BackOff,
            ),
            (status(500, "oops", &[]), Code::ApiServerUnavailable, Retry::BackOff),
            (status(503, "etcd", &[]), Code::ApiServerUnavailable, Retry::BackOff),
        ];
        for (answer, code, retry) in table {
            let error = failed(&desired(&["k"]), answer.clone());
            assert_eq!((error.diagnosis.code, error.retry), (code, retry), "{answer:?}");
        }
    }

    #[test]
    fn a_message_that_repeats_a_value_in_any_spelling_is_withheld() {
        let mut wanted = desired(&[]);
        wanted.data = [("k".to_owned(), "a\"canary\"".into())].into();
        for spelling in ["a\"canary\"", "a\\\"canary\\\"", "YSJjYW5hcnki"] {
            let error = failed(&wanted, status(400, &format!("denied: {spelling} is weak"), &[]));
            assert!(error.diagnosis.cause.contains("withheld"), "{error}");
            assert!(
                !error.to_string().contains("canary") && !error.to_string().contains("YSJj"),
                "{error}"
            );
        }
        let error = failed(&wanted, status(400, "denied: too weak", &[]));
        assert_eq!(error.diagnosis.cause, "denied: too weak");
    }

    #[test]
    fn long_messages_are_cut_between_characters() {
        let error = failed(&desired(&[]), status(400, &"ü".repeat(1000), &[]));
        assert_eq!(error.diagnosis.cause.chars().count(), LONGEST_MESSAGE + 1);
    }
}
