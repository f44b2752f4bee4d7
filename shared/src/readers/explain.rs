//! Why a vault cannot be read as a ServiceAccount. Pure.

use crate::diagnosis::{Code, Diagnosis, Explanation, Retry, case};
use crate::identity::TokenError;
use crate::text::{one_line, shortened};
use kube::core::Status;

use super::{Account, slowly};

/// Longest message of the API server that is passed on, in characters.
const LONGEST_MESSAGE: usize = 400;

/// The feature is off.
pub(super) fn switched_off(account: &Account) -> Diagnosis {
    let Account { namespace, name } = account;
    let what = format!("Vaults are not read as ServiceAccount '{name}' of namespace '{namespace}', nor as any other.");
    Diagnosis::of(Code::ServiceAccountIdentitiesOff, what, &[])
}

/// The ServiceAccount could not be looked at.
pub(super) fn look_failed(account: &Account, error: &kube::Error) -> TokenError {
    failed(account, "be looked at", error)
}

/// Its token could not be had.
pub(super) fn token_failed(account: &Account, error: &kube::Error) -> TokenError {
    failed(account, "be given a token", error)
}

/// The API server's answer holds no token.
pub(super) fn no_token(account: &Account) -> TokenError {
    unavailable(account, "be given a token", case::TokenAnswerEmpty)
}

fn failed(account: &Account, what: &str, error: &kube::Error) -> TokenError {
    let kube::Error::Api(status) = error else {
        let source = std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string);
        return unavailable(account, what, case::ApiServerSilent { error: &source });
    };
    match status.code {
        404 => slowly(not_found(account)),
        403 if is_rbac(status) => slowly(forbidden(account, what, status)),
        401 | 408 | 429 | 500.. => unavailable(
            account,
            what,
            case::ApiServerBusy {
                status: &status.code,
                reason: &status.reason,
            },
        ),
        _ => slowly(refused(account, what, status)),
    }
}

fn unavailable(account: &Account, what: &str, why: impl Into<Explanation>) -> TokenError {
    TokenError {
        diagnosis: Diagnosis::case(why, format!("{} cannot {what} now.", named(account))),
        retry: Retry::Soon,
    }
}

fn not_found(account: &Account) -> Diagnosis {
    let Account { namespace, name } = account;
    let what = format!("There is no ServiceAccount '{name}' in namespace '{namespace}'.");
    Diagnosis::case(case::VaultsAccountMissing { name, namespace }, what)
}

fn forbidden(account: &Account, what: &str, status: &Status) -> Diagnosis {
    // RBAC says: User "system:serviceaccount:NAMESPACE:NAME" cannot …
    let user = status
        .message
        .split('"')
        .skip_while(|part| !part.ends_with("User "))
        .nth(1);
    let user = user.unwrap_or("USER");
    // Controller and injector each have a binding of their own.
    let own = user.rsplit(':').next().unwrap_or(user);
    let subject = match user.strip_prefix("system:serviceaccount:") {
        Some(account) => format!("--serviceaccount {account}"),
        None => format!("--user {user}"),
    };
    let missing = case::RoleBindingMissing {
        namespace: &account.namespace,
        user: &user,
        message: &tidy(&status.message),
        own: &own,
        subject: &subject,
    };
    Diagnosis::case(
        missing,
        format!("{} cannot {what}: akv2k8s lacks the right.", named(account)),
    )
}

fn refused(account: &Account, what: &str, status: &Status) -> Diagnosis {
    let message = &tidy(&status.message);
    Diagnosis::case(
        case::TokenDenied { message },
        format!("{} cannot {what}: a policy of the cluster forbids it.", named(account)),
    )
}

fn named(account: &Account) -> String {
    format!("ServiceAccount '{}' of namespace '{}'", account.name, account.namespace)
}

/// RBAC says `… cannot create resource "serviceaccounts/token" …`; policies and webhooks answer in words of their own.
pub fn is_rbac(status: &Status) -> bool {
    status.message.contains("cannot ") && status.message.contains(" resource \"")
}

/// One line that ends like a sentence, of bounded length.
fn tidy(message: &str) -> String {
    let line = shortened(&one_line(message), LONGEST_MESSAGE);
    if line.ends_with(['.', '…']) {
        line
    } else {
        format!("{line}.")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What kube-apiserver 1.35 says.
    const BY_RBAC: &str = "serviceaccounts \"reader\" is forbidden: User \"system:serviceaccount:akv2k8s:akv2k8s-controller\" \
         cannot create resource \"serviceaccounts/token\" in API group \"\" in the namespace \"shop\"";
    const BY_POLICY: &str = "serviceaccounts \"reader\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied \
         request: namespace 'shop' is not labelled";

    fn token_failed(code: u16, message: &str) -> TokenError {
        let status = Status {
            code,
            message: message.to_owned(),
            ..Status::default()
        };
        super::token_failed(&Account::new("shop", "reader"), &kube::Error::Api(Box::new(status)))
    }

    #[test]
    fn each_refusal_of_the_api_server_is_told_apart() {
        for (code, message, expected, retry) in [
            (
                404,
                "serviceaccounts \"reader\" not found",
                Code::ServiceAccountNotFound,
                Retry::Slowly,
            ),
            (403, BY_RBAC, Code::ServiceAccountForbidden, Retry::Slowly),
            (422, BY_POLICY, Code::ServiceAccountTokenRefused, Retry::Slowly),
            (403, BY_POLICY, Code::ServiceAccountTokenRefused, Retry::Slowly),
            (429, "", Code::ApiServerUnavailable, Retry::Soon),
            (503, "", Code::ApiServerUnavailable, Retry::Soon),
        ] {
            let error = token_failed(code, message);
            assert_eq!(
                (error.diagnosis.code, error.retry),
                (expected, retry),
                "{code} {message}"
            );
            assert!(error.diagnosis.to_string().contains("reader"), "{error}");
        }
    }

    #[test]
    fn the_missing_right_comes_with_the_command_that_grants_it_to_whom_the_api_server_named() {
        assert_eq!(
            token_failed(403, BY_RBAC).diagnosis.fix,
            "kubectl create rolebinding akv2k8s-controller-identities --namespace shop --clusterrole \
             akv2k8s-service-account-identities --serviceaccount akv2k8s:akv2k8s-controller"
        );
        let person = BY_RBAC.replace("system:serviceaccount:akv2k8s:akv2k8s-controller", "ann");
        assert!(token_failed(403, &person).diagnosis.fix.ends_with("--user ann"));
    }

    #[test]
    fn a_policys_words_are_passed_on() {
        let diagnosis = token_failed(422, BY_POLICY).diagnosis;
        assert!(
            diagnosis.cause.contains("namespace 'shop' is not labelled"),
            "{diagnosis}"
        );
        let long = token_failed(422, &"x".repeat(10_000)).diagnosis;
        assert!(long.cause.chars().count() < 500);
    }
}
