//! Entra ID: tenants, app registrations, users; who may call themselves what.
//!
//! Errors arise from this state (an expired secret is registered as expired), never from a canned answer.

mod discovery;
mod error;
mod federation;
mod token;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use serde_json::json;

pub(crate) use self::federation::Federation;
use super::crypto::{self, CryptoError, KeyType, PrivateKey};
use super::http::{Reply, Request};
use super::operation::Operation;
use super::{Shared, jwt};

/// Somebody who can hold tokens and rights: an application's service principal, a managed identity, a user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Principal {
    /// The tenant it lives in.
    pub tenant_id: String,
    /// Application (client) id; for a user, the id of no application.
    pub client_id: String,
    /// Object id: what roles and access policies are granted to.
    pub object_id: String,
}

impl Principal {
    /// A principal with new random ids.
    pub(crate) fn random(tenant_id: &str) -> Self {
        Self {
            tenant_id: tenant_id.into(),
            client_id: crypto::random_uuid(),
            object_id: crypto::random_uuid(),
        }
    }
}

/// A federated identity credential: whose tokens the application accepts in place of a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FederatedCredential {
    /// `iss` of the tokens, exactly: its openid-configuration is fetched below it.
    pub issuer: String,
    /// `sub` of the tokens, exactly: `system:serviceaccount:NAMESPACE:NAME`.
    pub subject: String,
    /// Accepted values of `aud`.
    #[serde(default = "FederatedCredential::default_audiences")]
    pub audiences: Vec<String>,
}

impl FederatedCredential {
    /// For a Kubernetes ServiceAccount, with the usual audience `api://AzureADTokenExchange`.
    pub fn service_account(issuer: &str, namespace: &str, name: &str) -> Self {
        Self {
            issuer: issuer.into(),
            subject: format!("system:serviceaccount:{namespace}:{name}"),
            audiences: Self::default_audiences(),
        }
    }

    fn default_audiences() -> Vec<String> {
        vec!["api://AzureADTokenExchange".into()]
    }
}

/// A client secret of an application.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct ClientSecret {
    pub(crate) value: String,
    /// Unix seconds; `None` never expires.
    #[serde(default)]
    pub(crate) expires: Option<i64>,
}

/// An app registration and its service principal.
#[derive(Debug, Clone)]
pub(crate) struct Application {
    pub(crate) principal: Principal,
    pub(crate) secrets: Vec<ClientSecret>,
    /// DER.
    pub(crate) certificates: Vec<Vec<u8>>,
    pub(crate) federated: Vec<FederatedCredential>,
}

#[derive(Debug, Clone)]
pub(crate) struct User {
    pub(crate) password: String,
    pub(crate) principal: Principal,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Tenant {
    /// By client id.
    pub(crate) applications: BTreeMap<String, Application>,
    /// By user name, lower-cased.
    pub(crate) users: BTreeMap<String, User>,
}

/// Everything Entra knows.
pub(crate) struct Directory {
    pub(crate) tenants: BTreeMap<String, Tenant>,
    /// Resources tokens are issued for besides the vaults' audience.
    pub(crate) resources: Vec<String>,
    /// Lifetime of issued tokens in seconds.
    pub(crate) token_lifetime: i64,
}

/// The emulator's Entra: state, and the key its tokens are signed with.
pub(crate) struct Entra {
    directory: Mutex<Directory>,
    pub(crate) federation: Federation,
    signing_key: PrivateKey,
    signing_key_id: String,
    pub(crate) default_tenant: String,
}

impl Entra {
    pub(crate) fn new() -> Result<Self, CryptoError> {
        let default_tenant = crypto::random_uuid();
        Ok(Self {
            directory: Mutex::new(Directory {
                tenants: BTreeMap::from([(default_tenant.clone(), Tenant::default())]),
                resources: vec!["https://management.azure.com".into(), "https://vault.azure.net".into()],
                token_lifetime: 3599,
            }),
            federation: Federation::default(),
            signing_key: PrivateKey::generate(KeyType::Rsa(2048))?,
            signing_key_id: crypto::random_token(20),
            default_tenant,
        })
    }

    pub(crate) fn directory(&self) -> MutexGuard<'_, Directory> {
        self.directory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The public half of the signing key, as a JSON Web Key.
    pub(crate) fn signing_jwk(&self) -> serde_json::Map<String, serde_json::Value> {
        let mut jwk = self.signing_key.public().jwk();
        for (name, value) in [
            ("use", "sig"),
            ("kid", &self.signing_key_id),
            ("x5t", &self.signing_key_id),
        ] {
            jwk.insert(name.into(), value.into());
        }
        jwk
    }

    /// Signs arbitrary claims: what [`IssuedToken`] and tests of wrong tokens are made of.
    pub(crate) fn sign(&self, claims: &serde_json::Value) -> Result<String, CryptoError> {
        jwt::sign(&self.signing_key, &self.signing_key_id, claims)
    }

    /// An access token for `resource`, issued to `principal` at `now` in the form of Entra's version 1.0 tokens.
    pub(crate) fn issue(&self, principal: &Principal, resource: &str, now: i64) -> Result<IssuedToken, CryptoError> {
        let lifetime = self.directory().token_lifetime;
        let issuer = issuer_of(&principal.tenant_id);
        let token = self.sign(&json!({
            "aud": resource, "iss": issuer, "iat": now, "nbf": now, "exp": now + lifetime,
            "appid": principal.client_id, "appidacr": "1", "idp": issuer, "idtyp": "app",
            "oid": principal.object_id, "sub": principal.object_id, "tid": principal.tenant_id,
            "uti": crypto::random_token(16), "ver": "1.0",
        }))?;
        Ok(IssuedToken {
            token,
            lifetime,
            expires: now + lifetime,
            not_before: now,
        })
    }
}

/// A token as the endpoints hand it out.
pub(crate) struct IssuedToken {
    pub(crate) token: String,
    /// Seconds.
    pub(crate) lifetime: i64,
    /// Unix seconds.
    pub(crate) expires: i64,
    /// Unix seconds.
    pub(crate) not_before: i64,
}

/// `iss` of the version 1.0 tokens of a tenant.
pub(crate) fn issuer_of(tenant_id: &str) -> String {
    format!("https://sts.windows.net/{tenant_id}/")
}

/// What a request to `login.…` asks for.
pub(crate) fn operation(request: &Request) -> Operation {
    match request.segments().as_slice() {
        [_, "oauth2", "token"] | [_, "oauth2", "v2.0", "token"] => Operation::Token,
        [_, "discovery", "keys"] | [_, "discovery", "v2.0", "keys"] => Operation::SigningKeys,
        [.., "openid-configuration"] | ["common", ..] => Operation::Discovery,
        _ => Operation::Unknown,
    }
}

/// Answers a request to `login.…`.
pub(crate) async fn handle(shared: &Shared, operation: Operation, request: &Request) -> Reply {
    match operation {
        Operation::Token => token::handle(shared, request).await,
        Operation::SigningKeys => Reply::ok(&json!({ "keys": [shared.entra.signing_jwk()] })),
        Operation::Discovery => discovery::handle(shared, request),
        _ => Reply::text(hyper::StatusCode::NOT_FOUND, "Entra offers nothing at this path\n"),
    }
}

/// Entra's state, for tests and tools in the emulator's own process.
#[derive(Clone)]
pub struct EntraHandle(pub(crate) Arc<Shared>);

impl EntraHandle {
    /// The tenant that exists from the start; vaults live in it unless told otherwise.
    pub fn tenant_id(&self) -> &str {
        &self.0.entra.default_tenant
    }

    /// Adds an empty tenant.
    pub fn add_tenant(&self, tenant_id: &str) {
        self.0
            .entra
            .directory()
            .tenants
            .entry(tenant_id.to_ascii_lowercase())
            .or_default();
    }

    /// Registers an application with new ids in the default tenant.
    pub fn register_app(&self) -> AppHandle {
        self.register(Principal::random(self.tenant_id()))
    }

    /// Registers an application with given ids; its tenant is added if need be, an equal client id there is replaced.
    pub fn register(&self, principal: Principal) -> AppHandle {
        let application = Application {
            principal: principal.clone(),
            secrets: Vec::new(),
            certificates: Vec::new(),
            federated: Vec::new(),
        };
        let mut directory = self.0.entra.directory();
        let tenant = directory.tenants.entry(principal.tenant_id.clone()).or_default();
        tenant.applications.insert(principal.client_id.clone(), application);
        AppHandle {
            shared: self.0.clone(),
            principal,
        }
    }

    /// Adds a user to the default tenant for the password grant.
    pub fn add_user(&self, name: &str, password: &str) -> Principal {
        let principal = Principal::random(self.tenant_id());
        let user = User {
            password: password.into(),
            principal: principal.clone(),
        };
        let mut directory = self.0.entra.directory();
        let tenant = directory.tenants.entry(principal.tenant_id.clone()).or_default();
        tenant.users.insert(name.to_ascii_lowercase(), user);
        principal
    }

    /// Issues tokens for this resource too (`https://example.com`), as if an application exposed it.
    pub fn add_resource(&self, resource: &str) {
        self.0
            .entra
            .directory()
            .resources
            .push(resource.trim_end_matches('/').into());
    }

    /// Trusts this authority (PEM) when the openid-configuration of federated issuers is fetched.
    pub fn trust_issuer_ca(&self, pem: &str) {
        self.0.entra.federation.trust(pem);
    }

    /// Lifetime of tokens issued from now on, in seconds.
    pub fn set_token_lifetime(&self, seconds: i64) {
        self.0.entra.directory().token_lifetime = seconds;
    }

    /// A token as Entra would issue it to `principal` for `resource`, without asking for credentials.
    pub fn token(&self, principal: &Principal, resource: &str) -> Result<String, CryptoError> {
        self.0
            .entra
            .issue(principal, resource, self.0.clock.now())
            .map(|issued| issued.token)
    }
}

/// One app registration.
#[derive(Clone)]
pub struct AppHandle {
    shared: Arc<Shared>,
    principal: Principal,
}

impl AppHandle {
    /// The application's service principal: what vaults grant rights to.
    pub fn principal(&self) -> &Principal {
        &self.principal
    }

    /// Application (client) id.
    pub fn client_id(&self) -> &str {
        &self.principal.client_id
    }

    /// Adds a client secret that never expires and returns its value.
    pub fn add_secret(&self) -> String {
        let value = crypto::random_token(30);
        self.add_secret_with(&value, None);
        value
    }

    /// Adds a client secret with a given value; `expires` in Unix seconds.
    pub fn add_secret_with(&self, value: &str, expires: Option<i64>) {
        self.update(|application| {
            application.secrets.push(ClientSecret {
                value: value.into(),
                expires,
            });
        });
    }

    /// Takes all client secrets away.
    pub fn remove_secrets(&self) {
        self.update(|application| application.secrets.clear());
    }

    /// Registers a certificate (DER) for certificate assertions.
    pub fn add_certificate(&self, der: &[u8]) {
        self.update(|application| application.certificates.push(der.to_vec()));
    }

    /// Adds a federated identity credential.
    pub fn add_federated_credential(&self, credential: FederatedCredential) {
        self.update(|application| application.federated.push(credential));
    }

    /// Takes all federated identity credentials away.
    pub fn remove_federated_credentials(&self) {
        self.update(|application| application.federated.clear());
    }

    fn update(&self, change: impl FnOnce(&mut Application)) {
        let mut directory = self.shared.entra.directory();
        let tenant = directory.tenants.get_mut(&self.principal.tenant_id);
        if let Some(application) = tenant.and_then(|tenant| tenant.applications.get_mut(&self.principal.client_id)) {
            change(application);
        }
    }
}
