//! What is to be said of a choice when it does not work out: the first cause may be a method that was not chosen.

use crate::diagnosis::{Code, Diagnosis, Explanation, case};

/// What was passed over when a method was chosen.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Caveat {
    /// One sentence for each.
    pub(super) not_used: Vec<String>,
    /// What it is called when the chosen method turns out not to be there at all.
    code: Option<Code>,
}

impl Caveat {
    pub(super) fn of(code: Code, not_used: Vec<String>) -> Self {
        Self {
            not_used,
            code: Some(code),
        }
    }

    /// Adds what was passed over to why the chosen method failed. Where that one was only the last resort, or hides the one
    /// that was meant, the code is the caveat's.
    pub(super) fn explain(&self, failure: Diagnosis) -> Diagnosis {
        let Some(code) = self.code else { return failure };
        let passed_over = self.not_used.join(" ");
        let not_there = match code {
            Code::SecretShadowsWorkloadIdentity => matches!(
                failure.code,
                Code::ClientSecretInvalid | Code::ClientSecretExpired | Code::AppNotFoundInTenant
            ),
            _ => failure.code == Code::ImdsUnreachable,
        };
        if !not_there {
            return failure.after(&passed_over);
        }
        let Explanation { code, cause, fix } = instead(code, &passed_over, &failure);
        Diagnosis {
            code,
            cause,
            fix,
            ..failure
        }
    }
}

/// What `failure` is called when it only hides a method that was begun.
fn instead(code: Code, passed_over: &str, failure: &Diagnosis) -> Explanation {
    let (passed_over, cause, fix) = (&passed_over, &failure.cause, &failure.fix);
    match code {
        Code::SecretShadowsWorkloadIdentity => case::SecretTriedFirst {
            passed_over,
            cause,
            fix,
        }
        .into(),
        Code::WorkloadIdentityIncomplete => case::WorkloadIdentityPassedOver {
            passed_over,
            cause,
            fix,
        }
        .into(),
        Code::NoMethodWorked => case::MethodsPassedOver {
            passed_over,
            cause,
            fix,
        }
        .into(),
        _ => case::MethodPassedOver {
            passed_over,
            cause,
            fix,
        }
        .into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(code: Code) -> Diagnosis {
        Diagnosis::told(code.as_str(), "No token. Cause: The cause. Fix: The fix.").expect("a code of this version")
    }

    #[test]
    fn a_method_that_is_not_there_gives_way_to_the_one_that_was_begun() {
        let caveat = Caveat::of(
            Code::EnvironmentIncomplete,
            vec!["AZURE_CLIENT_SECRET is not set.".to_owned()],
        );
        let explained = caveat.explain(failure(Code::ImdsUnreachable));
        assert_eq!(explained.code, Code::EnvironmentIncomplete);
        assert_eq!(explained.cause, "AZURE_CLIENT_SECRET is not set. The cause.");
        assert_eq!(
            explained.fix,
            "Set what is missing of the method that is meant. Else: The fix."
        );
        let kept = caveat.explain(failure(Code::ImdsIdentityNotAssigned));
        assert_eq!(kept.code, Code::ImdsIdentityNotAssigned);
        assert!(kept.cause.contains("AZURE_CLIENT_SECRET is not set."));
    }

    #[test]
    fn a_secret_that_hides_workload_identity_is_the_cause_when_it_does_not_work() {
        let caveat = Caveat::of(
            Code::SecretShadowsWorkloadIdentity,
            vec!["It hides the other.".to_owned()],
        );
        assert_eq!(
            caveat.explain(failure(Code::ClientSecretExpired)).code,
            Code::SecretShadowsWorkloadIdentity
        );
        assert_eq!(
            caveat.explain(failure(Code::TokenRequestFailed)).code,
            Code::TokenRequestFailed
        );
    }

    #[test]
    fn without_a_caveat_a_failure_stays_as_it_is() {
        let plain = failure(Code::ImdsUnreachable);
        assert_eq!(Caveat::default().explain(plain.clone()), plain);
    }
}
