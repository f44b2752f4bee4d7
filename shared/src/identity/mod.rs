//! How to become somebody at Entra, and which cloud that somebody lives in.

mod account;
mod assertion;
mod auth_type;
mod azure_cli;
mod caveat;
mod certificate;
mod choice;
mod cloud;
mod cloud_config;
mod counts;
mod credential;
mod home;
mod managed;
mod password;
mod provider;
mod tenants;
mod token;
mod token_proxy;
#[cfg(feature = "kube")]
mod token_request;
mod variables;

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use account::Account;
pub use assertion::{Assertion, AssertionSource};
pub use auth_type::AuthType;
use caveat::Caveat;
use choice::Choice;
pub use cloud::{Cloud, ContainerRegistries};
pub use counts::{TokenCount, token_counts};
use credential::{Credential, Exchange};
pub use home::Home;
pub use provider::Provider;
pub use tenants::AllowedTenants;
pub(crate) use token::closed;
pub use token::{Token, TokenError};

use crate::diagnosis::{Diagnosis, case};
pub use crate::environment::Environment;
use crate::http::HttpClient;

/// How a token is obtained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Method {
    /// An application's client secret.
    ClientSecret,
    /// An application's certificate.
    ClientCertificate,
    /// A person's user name and password.
    UsernamePassword,
    /// A Kubernetes ServiceAccount token, exchanged at Entra.
    WorkloadIdentity,
    /// The identity of the node or container, from the instance metadata service.
    ManagedIdentity,
    /// Whoever is logged in to the Azure CLI.
    AzureCli,
}

impl Method {
    /// The method as written in status and configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ClientSecret => "clientSecret",
            Self::ClientCertificate => "clientCertificate",
            Self::UsernamePassword => "usernamePassword",
            Self::WorkloadIdentity => "workloadIdentity",
            Self::ManagedIdentity => "managedIdentity",
            Self::AzureCli => "azureCli",
        }
    }
}

/// Who somebody is; nothing in it is secret.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct IdentityInfo {
    /// How tokens are obtained.
    pub method: Method,
    /// The application's or managed identity's client id; `None` for a node's only identity.
    pub client_id: Option<String>,
    /// The tenant; `None` when the platform knows it.
    pub tenant_id: Option<String>,
    /// Whose assertion Entra exchanges, where that is decided object by object: `system:serviceaccount:NAMESPACE:NAME`.
    /// Two who name the same client id are two: only Entra can say whether both may have its tokens.
    pub subject: Option<String>,
}

/// Somebody who can ask Entra for tokens. Cheap to clone; equal when cloud, [`IdentityInfo`], credential and HTTP client are.
///
/// Equal identities share their tokens in the whole process, however often they are made.
#[derive(Clone)]
pub struct Identity {
    account: Arc<Account>,
}

impl Identity {
    /// Whoever `choice` makes of us. `environment` says where a managed identity's tokens are asked for.
    ///
    /// # Errors
    /// The platform's form of managed identities is not supported, or only half of its variables are there.
    fn from_choice(choice: &Choice, environment: &Environment, http: &HttpClient) -> Result<Self, Box<Diagnosis>> {
        let credential = Credential::of(&choice.plan, environment, &choice.cloud)
            .map_err(|diagnosis| Box::new(choice.caveat.explain(*diagnosis)))?;
        let (cloud, info) = (choice.cloud.clone(), choice.info.clone());
        Ok(Self::new(cloud, info, credential, choice.caveat.clone(), http))
    }

    /// The application or managed identity `client_id` of `tenant_id`, by workload identity federation: `source` gives
    /// the assertions of `subject`, which a federated credential of the identity must name.
    ///
    /// # Errors
    /// [`crate::diagnosis::Code::TenantNotFound`]: `tenant_id` cannot be a tenant's id or domain.
    pub fn federated(
        cloud: Cloud,
        client_id: String,
        tenant_id: String,
        subject: String,
        source: impl AssertionSource + 'static,
        http: &HttpClient,
    ) -> Result<Self, Box<Diagnosis>> {
        let info = IdentityInfo {
            method: Method::WorkloadIdentity,
            client_id: Some(client_id),
            tenant_id: Some(checked_tenant(tenant_id)?),
            subject: Some(subject),
        };
        let credential = Credential::Assertion {
            source: Box::new(source),
            token_proxy: None,
        };
        Ok(Self::new(cloud, info, credential, Caveat::default(), http))
    }

    fn new(cloud: Cloud, info: IdentityInfo, credential: Credential, caveat: Caveat, http: &HttpClient) -> Self {
        let http = http.clone();
        Self {
            account: account::open(Exchange {
                cloud,
                info,
                credential: Arc::new(credential),
                caveat,
                http,
            }),
        }
    }

    /// Who this is.
    pub fn info(&self) -> &IdentityInfo {
        &self.account.exchange.info
    }

    /// Where this somebody lives.
    pub fn cloud(&self) -> &Cloud {
        &self.account.exchange.cloud
    }

    /// A token for `audience` (a resource, `https://vault.azure.net`): the one that is kept, or a new one.
    ///
    /// One exchange per audience and lifetime, renewed ahead of its end while the old token still serves.
    pub async fn token(&self, audience: &str) -> Result<Arc<Token>, TokenError> {
        self.token_in(None, audience).await
    }

    /// Like [`Self::token`], for a vault that says it belongs to `vault_tenant`: a token of that tenant, where the identity
    /// can have one and the operator allows it ([`AllowedTenants`]); else one of its own.
    pub async fn token_in(&self, vault_tenant: Option<&str>, audience: &str) -> Result<Arc<Token>, TokenError> {
        match self.slot(vault_tenant, audience) {
            Some(slot) => slot.get().await,
            None => Err(closed()),
        }
    }

    /// Gives this identity up: its tokens are dropped and zeroised, no new ones are asked for, and nobody gets any through this
    /// value, its clones, or others of the process that were equal to it until now. An equal one that is made later starts anew.
    ///
    /// For identities that may be taken away (a ServiceAccount's), by the one who knows that.
    pub fn close(&self) {
        account::close(&self.account);
    }

    /// Whether it was given up.
    pub fn is_closed(&self) -> bool {
        self.account.is_closed()
    }

    /// Tells that a vault did not accept `token`: the next call with the same arguments gets a new one. Not so when the vault is
    /// of a tenant that this identity asks no tokens of: it takes none, and the one it refused serves all other vaults.
    pub(crate) fn reject(&self, vault_tenant: Option<&str>, audience: &str, token: &Arc<Token>) {
        if self.cloud().allowed_tenants.out_of_reach(self.info(), vault_tenant) {
            return;
        }
        if let Some(slot) = self.slot(vault_tenant, audience) {
            slot.reject(token);
        }
    }

    fn slot(&self, vault_tenant: Option<&str>, audience: &str) -> Option<token::Slot> {
        let tenant = self.cloud().allowed_tenants.foreign(self.info(), vault_tenant);
        self.account.slot(tenant, audience)
    }
}

fn checked_tenant(tenant: String) -> Result<String, Box<Diagnosis>> {
    if tenant
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.')
    {
        return Ok(tenant);
    }
    Err(Box::new(Diagnosis::case(
        case::TenantIdMalformed,
        "AZURE_TENANT_ID is not a tenant's id or domain.",
    )))
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("cloud", &self.cloud().name)
            .field("info", self.info())
            .finish_non_exhaustive()
    }
}

impl PartialEq for Identity {
    fn eq(&self, other: &Self) -> bool {
        self.account.key == other.account.key
    }
}

impl Eq for Identity {}

impl Hash for Identity {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.account.key.hash(state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnosis::Code;
    use crate::http::Limits;

    fn identity(variables: &[(&str, &str)]) -> Result<Identity, Code> {
        let environment = variables.iter().copied().collect();
        let http = HttpClient::from_environment(&Environment::default(), Limits::default()).unwrap();
        let identity = choice::choose(AuthType::Environment, &environment, &choice::Files::default())
            .and_then(|choice| Identity::from_choice(&choice, &environment, &http));
        identity.map_err(|diagnosis| diagnosis.code)
    }

    const CLIENT: (&str, &str) = ("AZURE_CLIENT_ID", "c-1");
    const TENANT: (&str, &str) = ("AZURE_TENANT_ID", "t-1");
    const FILE: (&str, &str) = ("AZURE_FEDERATED_TOKEN_FILE", "/token");

    #[test]
    fn the_same_application_for_two_subjects_is_two_identities() {
        struct Never;
        #[async_trait::async_trait]
        impl AssertionSource for Never {
            fn name(&self) -> String {
                "never".to_owned()
            }

            async fn assertion(&self) -> Result<Assertion, TokenError> {
                unreachable!("no token is asked for")
            }
        }
        let http = HttpClient::from_environment(&Environment::default(), Limits::default()).unwrap();
        let of = |client: &str, tenant: &str, subject: &str| {
            let cloud = Cloud::named("AzurePublicCloud").unwrap();
            Identity::federated(cloud, client.into(), tenant.into(), subject.into(), Never, &http)
        };
        let reader = of("c-1", "t-1", "system:serviceaccount:shop:reader").unwrap();
        assert_eq!(reader, of("c-1", "t-1", "system:serviceaccount:shop:reader").unwrap());
        for (client, tenant, subject) in [
            ("c-1", "t-1", "system:serviceaccount:bank:reader"),
            ("c-1", "t-2", "system:serviceaccount:shop:reader"),
            ("c-2", "t-1", "system:serviceaccount:shop:reader"),
        ] {
            assert_ne!(
                reader,
                of(client, tenant, subject).unwrap(),
                "{client} {tenant} {subject}"
            );
        }
        assert_ne!(
            reader,
            identity(&[CLIENT, TENANT, FILE]).unwrap(),
            "the controller itself is another one"
        );
        assert_eq!(of("c-1", "t/../common", "s").unwrap_err().code, Code::TenantNotFound);
    }

    #[test]
    fn debug_output_holds_no_secret() {
        let identity = identity(&[CLIENT, TENANT, ("AZURE_CLIENT_SECRET", "canary")]).unwrap();
        assert!(!format!("{identity:?}").contains("canary"));
    }
}
