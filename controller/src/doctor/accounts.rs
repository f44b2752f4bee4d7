//! With `--service-account-identities`: may the controller ask for the tokens of the ServiceAccounts that are named, and for no others?

use std::collections::BTreeSet;

use akv2k8s_shared::api::AzureKeyVaultSecret;
use akv2k8s_shared::diagnosis::{Code, Diagnosis};
use akv2k8s_shared::doctor::Check;
use akv2k8s_shared::readers::{Account, is_rbac};
use akv2k8s_shared::secret::SecretBytes;
use k8s_openapi::api::authentication::v1::{SelfSubjectReview, TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::PostParams;
use kube::{Api, Client, ResourceExt};

use super::rights::{Right, is_allowed, unanswered};

const RIGHTS: &str = "account-rights";
const POLICY: &str = "token-policy";
/// An audience that nobody has: a token for it would open nothing.
const NOBODYS: &str = "akv2k8s-doctor.invalid";

/// The ServiceAccounts that `objects` want to be read as.
pub(super) fn named(objects: &[AzureKeyVaultSecret]) -> BTreeSet<Account> {
    let of = |akvs: &AzureKeyVaultSecret| {
        let name = akvs.spec.vault.service_account_name.as_deref()?;
        Some(Account::new(&akvs.namespace()?, name))
    };
    objects.iter().filter_map(of).collect()
}

/// Checks `account-rights` and `token-policy`, one each for a namespace.
pub(super) async fn checks(client: &Client, named: &BTreeSet<Account>) -> Vec<Check> {
    if named.is_empty() {
        let why =
            "Reading as ServiceAccounts is on, and no AzureKeyVaultSecret names one: rights and policy were not tried.";
        return vec![Check::not_made(RIGHTS, why)];
    }
    let user = user(client).await.unwrap_or_else(|_| "USER".to_owned());
    let mut checks = Vec::new();
    let mut seen = BTreeSet::new();
    for account in named {
        if seen.insert(&account.namespace) {
            let (right, may_ask) = rights(client, account, &user).await;
            checks.push(right);
            if may_ask {
                checks.push(policy(client, account, &user).await);
            }
        }
    }
    checks
}

/// Who this is at the API server.
async fn user(client: &Client) -> kube::Result<String> {
    let reviews: Api<SelfSubjectReview> = Api::all(client.clone());
    let review = reviews
        .create(&PostParams::default(), &SelfSubjectReview::default())
        .await?;
    let info = review.status.and_then(|status| status.user_info);
    Ok(info.and_then(|info| info.username).unwrap_or_default())
}

/// Whether the two rights are there, and whether a token may be asked for.
async fn rights(client: &Client, account: &Account, user: &str) -> (Check, bool) {
    let namespace = &account.namespace;
    let right = |verb, subresource| Right {
        verb,
        group: "",
        resource: "serviceaccounts",
        subresource,
        namespace: Some(namespace.clone()),
        name: None,
    };
    let mut missing = Vec::new();
    for right in [right("get", None), right("create", Some("token"))] {
        match is_allowed(client, &right).await {
            Ok(true) => {}
            Ok(false) => missing.push(right.to_string()),
            Err(error) => return (unanswered(RIGHTS, &error), false),
        }
    }
    if missing.is_empty() {
        let text = format!("The API server lets the controller ask for tokens of ServiceAccounts in {namespace}.");
        return (Check::passed(RIGHTS, text), true);
    }
    let may_ask = missing.len() == 1 && missing[0].starts_with("get");
    let what = format!("The API server denies {}.", missing.join(", "));
    let controller = user.trim_start_matches("system:serviceaccount:");
    let names = [("namespace", namespace.as_str()), ("controller", controller)];
    let diagnosis = Diagnosis::of(Code::ServiceAccountForbidden, what, &names);
    (Check::failed(RIGHTS, diagnosis), may_ask)
}

/// Asks, in dry run, for a token that the policy of examples/isolation has to refuse. An API server runs policies on a dry run, and
/// hands out a token all the same if none refuses: it is dropped, unseen.
async fn policy(client: &Client, account: &Account, user: &str) -> Check {
    let request = TokenRequest {
        spec: Some(TokenRequestSpec {
            audiences: Some(vec![NOBODYS.to_owned()]),
            expiration_seconds: Some(600),
            ..TokenRequestSpec::default()
        }),
        ..TokenRequest::default()
    };
    let dry_run = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), &account.namespace);
    let answer = accounts.create_token_request(&account.name, &dry_run, &request).await;
    // Zeroised as it goes.
    let unseen = answer.map(|it| drop(it.status.and_then(|status| status.token).map(SecretBytes::from)));
    verdict(account, user, unseen)
}

fn verdict(account: &Account, user: &str, answer: kube::Result<()>) -> Check {
    let not_made = |why: &str| {
        let text = format!(
            "Whether an admission policy keeps other tokens of ServiceAccount {account} from the controller: {why}."
        );
        Check::not_made(POLICY, text)
    };
    match answer {
        Ok(()) => {
            let what = format!(
                "No admission policy refused a token of ServiceAccount {account} for another audience than Entra's (tried in dry run)."
            );
            Check::failed(
                POLICY,
                Diagnosis::of(Code::TokenRequestsUnrestricted, what, &[("user", user)]),
            )
        }
        Err(kube::Error::Api(status)) if status.code == 403 && is_rbac(&status) => not_made("no right to ask for any"),
        Err(kube::Error::Api(status)) if matches!(status.code, 403 | 422) => Check::passed(
            POLICY,
            format!(
                "An admission policy keeps tokens for others than Entra from the controller in {}.",
                account.namespace
            ),
        ),
        Err(kube::Error::Api(status)) if status.code == 404 => not_made("it does not exist"),
        Err(_) => not_made("the API server does not answer"),
    }
}

#[cfg(test)]
mod tests {
    use akv2k8s_shared::doctor::Outcome;
    use kube::core::Status;

    use super::*;

    #[test]
    fn only_a_refusal_by_a_policy_is_well_and_a_token_is_a_finding() {
        let refusal = |code, message: &str| {
            let status = Status {
                code,
                ..Status::failure(message, "")
            };
            Err(kube::Error::Api(status.boxed()))
        };
        let rbac = "serviceaccounts \"a\" is forbidden: User \"u\" cannot create resource \"serviceaccounts/token\" in API group";
        let by_policy =
            "serviceaccounts \"a\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'p' denied request";
        for (answer, mark) in [
            (Ok(()), '✗'),
            (refusal(403, by_policy), '✓'),
            (refusal(422, by_policy), '✓'),
            (refusal(403, rbac), '–'),
            (refusal(404, "not found"), '–'),
            (refusal(500, "etcd"), '–'),
        ] {
            let said = format!("{answer:?}");
            let check = verdict(&Account::new("shop", "a"), "system:serviceaccount:x:y", answer);
            let found = match &check.outcome {
                Outcome::Passed(_) => '✓',
                Outcome::Failed(diagnosis) => {
                    assert!(diagnosis.fix.contains("'system:serviceaccount:x:y'"), "{diagnosis}");
                    '✗'
                }
                Outcome::NotMade(_) | Outcome::NotAllowed(_) => '–',
            };
            assert_eq!(found, mark, "{said}");
        }
    }
}
