//! Trying it: a token of the ServiceAccount, exchanged at Entra, shown to the vault.

use std::sync::Arc;

use akv2k8s_shared::diagnosis::{Diagnosis, Explanation, case};
use akv2k8s_shared::doctor::{Check, try_identity, try_vault_rights};
use akv2k8s_shared::environment::Environment;
use akv2k8s_shared::environment::common::AZURE_TENANT_ID;
use akv2k8s_shared::http::{HttpClient, Limits};
use akv2k8s_shared::identity::{Assertion, AssertionSource, Cloud, Identity, TokenError};
use akv2k8s_shared::keyvault::{KeyVault, Settings};
use akv2k8s_shared::reference::VaultName;
use kube::Error;

use crate::args::ServiceAccountName;
use crate::cluster::Cluster;

/// Who is tried.
pub(crate) struct Who {
    pub(crate) account: ServiceAccountName,
    pub(crate) client_id: Option<String>,
    pub(crate) tenant_id: Option<String>,
}

/// Checks `token-request`, `token` and `vault`, as far as each is reached.
pub(crate) async fn checks(
    cluster: &Cluster,
    who: Who,
    vault: Option<&VaultName>,
    environment: &Environment,
) -> Vec<Check> {
    let assertion = match request(cluster, &who.account).await {
        Ok(assertion) => assertion,
        Err(check) => return vec![*check],
    };
    let claims = assertion.claims();
    let granted = format!(
        "The cluster gives a token: issuer {}, subject {}, audience {}.",
        claims.issuer, claims.subject, claims.audience
    );
    let mut checks = vec![Check::passed("token-request", granted)];
    match become_it(who, assertion, environment) {
        Ok((http, identity)) => {
            let token = try_identity(&identity).await;
            let works = token.failure().is_none();
            checks.push(token);
            if let (true, Some(vault)) = (works, vault) {
                let client = KeyVault::new(http, Settings::default());
                checks.extend(try_vault_rights(&client, &identity, vault).await);
            }
        }
        Err(check) => checks.push(*check),
    }
    checks
}

async fn request(cluster: &Cluster, account: &ServiceAccountName) -> Result<Assertion, Box<Check>> {
    const ID: &str = "token-request";
    let answer = Assertion::request(&cluster.client, &account.namespace, &account.name).await;
    let refused = |why: Explanation| {
        let what = format!("The cluster gives no token of ServiceAccount {account}.");
        Box::new(Check::failed(ID, Diagnosis::case(why, what)))
    };
    match answer {
        Ok(assertion) => assertion.ok_or_else(|| refused(case::TokenMissingInAnswer.into())),
        Err(Error::Api(status)) if status.code == 403 => Err(Box::new(Check::not_allowed(
            ID,
            format!(
                "A token of ServiceAccount {account}: no right to create serviceaccounts/token there, so nothing was tried."
            ),
        ))),
        Err(Error::Api(status)) => {
            let message = &status.message;
            Err(refused(case::TokenRefusedToUser { message }.into()))
        }
        Err(error) => Err(refused(case::TokenNotAnswered { error: &error }.into())),
    }
}

/// The identity at Entra, with what talks to it.
fn become_it(who: Who, assertion: Assertion, environment: &Environment) -> Result<(HttpClient, Identity), Box<Check>> {
    const ID: &str = "token";
    let failed = |diagnosis: Box<Diagnosis>| Box::new(Check::failed(ID, *diagnosis));
    let Some(client_id) = who.client_id else {
        let why = "A token from Entra: nothing names the client id to ask for.";
        return Err(Box::new(Check::not_made(ID, why)));
    };
    let tenant_id = who
        .tenant_id
        .or_else(|| environment.get(AZURE_TENANT_ID).map(str::to_owned));
    let Some(tenant_id) = tenant_id else {
        let why = "A token from Entra: neither pod nor ServiceAccount names the tenant; set AZURE_TENANT_ID for this command.";
        return Err(Box::new(Check::not_made(ID, why)));
    };
    let http = HttpClient::from_environment(environment, Limits::default()).map_err(failed)?;
    let cloud = Cloud::from_environment(environment).map_err(failed)?;
    let subject = assertion.claims().subject.clone();
    let source = Once(Arc::new(assertion));
    let identity = Identity::federated(cloud, client_id, tenant_id, subject, source, &http).map_err(failed)?;
    Ok((http, identity))
}

/// One assertion, for as long as this program runs.
struct Once(Arc<Assertion>);

#[async_trait::async_trait]
impl AssertionSource for Once {
    fn name(&self) -> String {
        self.0.claims().subject.clone()
    }

    async fn assertion(&self) -> Result<Assertion, TokenError> {
        Ok((*self.0).clone())
    }
}
