//! Who reads a vault for an AKVS: the controller's own identity, or that of a ServiceAccount of the AKVS's namespace.
//!
//! ```text
//!  annotations of the ServiceAccount ──▶ account: client id, tenant, subject ──▶ Identity ◀── token_request: assertions
//! ```
//!
//! A ServiceAccount is looked at each time it is needed, so that an annotation counts, and stops to count, without a
//! restart. Its token is asked for only when Entra has to be, and never leaves memory.

mod account;
mod explain;
mod token_request;

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use akv2k8s_shared::diagnosis::{Diagnosis, Retry};
use akv2k8s_shared::http::HttpClient;
use akv2k8s_shared::identity::{Identity, Provider, TokenError};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::Api;
use tracing::info;

pub(crate) use account::Account;
use account::{Federation, federation};
use token_request::TokenRequests;

/// For so long a ServiceAccount is not looked at again: a thousand AKVS of one cost one request.
const FRESH: Duration = Duration::from_secs(5);

/// Who is to read.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Reader {
    /// The controller itself.
    Controller,
    /// A ServiceAccount of the AKVS's own namespace.
    ServiceAccount(Account),
}

impl Reader {
    /// Whom an AKVS in `namespace` asks for by `spec.vault.serviceAccountName`.
    pub(crate) fn new(namespace: &str, service_account: Option<&str>) -> Self {
        match service_account {
            None => Self::Controller,
            Some(name) => Self::ServiceAccount(Account::new(namespace, name)),
        }
    }
}

/// One vault as one reader sees it. What was listed, found out or refused there is nobody else's.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Sight {
    /// The vault's name, in lower case.
    pub(crate) vault: String,
    /// Who looks.
    pub(crate) reader: Reader,
}

impl fmt::Display for Sight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.reader {
            Reader::Controller => f.write_str(&self.vault),
            Reader::ServiceAccount(account) => write!(f, "{} as {account}", self.vault),
        }
    }
}

/// Everybody who reads.
pub(crate) struct Readers {
    controller: Provider,
    accounts: Option<ServiceAccounts>,
}

impl Readers {
    /// The controller's identity, and those of ServiceAccounts where they are allowed.
    pub(crate) fn new(controller: Provider, accounts: Option<ServiceAccounts>) -> Self {
        Self { controller, accounts }
    }

    /// Tells who the controller itself is.
    pub(crate) fn controller(&self) -> &Provider {
        &self.controller
    }

    /// The identity of `reader` as it is now.
    ///
    /// # Errors
    /// There is none; for a ServiceAccount: it may not be used, lacks its annotation, or cannot be looked at.
    pub(crate) async fn identity(&self, reader: &Reader) -> Result<Identity, TokenError> {
        match (reader, &self.accounts) {
            (Reader::Controller, _) => {
                let found = self.controller.identity().await;
                found.map_err(|diagnosis| slowly(*diagnosis))
            }
            (Reader::ServiceAccount(account), None) => Err(slowly(explain::switched_off(account))),
            (Reader::ServiceAccount(account), Some(accounts)) => accounts.identity(account).await,
        }
    }

    /// Forgets the ServiceAccounts, and with them the tokens, that no AKVS names any more.
    pub(crate) fn retain<'a>(&self, named: impl Iterator<Item = &'a Reader>) {
        let Some(accounts) = &self.accounts else { return };
        let named: HashSet<_> = named
            .filter_map(|reader| match reader {
                Reader::Controller => None,
                Reader::ServiceAccount(account) => Some(account),
            })
            .collect();
        accounts.with(|known| known.retain(|account, _| named.contains(account)));
    }
}

/// A refusal that lasts until somebody does something about it.
fn slowly(diagnosis: Diagnosis) -> TokenError {
    TokenError {
        diagnosis,
        retry: Retry::Slowly,
    }
}

/// ServiceAccounts that vaults are read as.
pub(crate) struct ServiceAccounts {
    client: kube::Client,
    /// Says in which cloud they all are, and the tenant of those whose annotations name none.
    home: Provider,
    http: HttpClient,
    known: Mutex<HashMap<Account, Arc<tokio::sync::Mutex<Known>>>>,
}

/// What is known of one ServiceAccount.
#[derive(Default)]
struct Known {
    /// When it was looked at, and what came of it.
    looked: Option<(Instant, Result<Identity, TokenError>)>,
    /// Who it was last, as long as nothing says otherwise: the tokens are in it.
    identity: Option<Identity>,
}

impl ServiceAccounts {
    /// None is looked at yet. They are at home where `home` says, whoever that is itself.
    pub(crate) fn new(client: kube::Client, home: Provider, http: HttpClient) -> Self {
        Self {
            client,
            home,
            http,
            known: Mutex::default(),
        }
    }

    async fn identity(&self, account: &Account) -> Result<Identity, TokenError> {
        let known = self.with(|known| Arc::clone(known.entry(account.clone()).or_default()));
        // Whoever waits here finds what the one before has just seen.
        let mut known = known.lock().await;
        if let Some((at, outcome)) = &known.looked
            && at.elapsed() < FRESH
        {
            return outcome.clone();
        }
        let outcome = self.look(account, known.identity.as_ref()).await;
        match &outcome {
            Ok(identity) => known.identity = Some(identity.clone()),
            Err(error) if error.retry == Retry::Slowly => known.identity = None,
            // While the API server is away, the tokens stay.
            Err(_) => {}
        }
        known.looked = Some((Instant::now(), outcome.clone()));
        outcome
    }

    /// Who the ServiceAccount is now; `before` when nothing changed.
    async fn look(&self, account: &Account, before: Option<&Identity>) -> Result<Identity, TokenError> {
        let api = Api::<ServiceAccount>::namespaced(self.client.clone(), &account.namespace);
        let meta = api.get_metadata(&account.name).await;
        let meta = meta.map_err(|error| explain::look_failed(account, &error))?;
        let annotations = meta.metadata.annotations.unwrap_or_default();
        let home = self.home.home().await.map_err(|diagnosis| slowly(*diagnosis))?;
        let federation = federation(account, &annotations, home.tenant_id.as_deref()).map_err(slowly)?;
        if let Some(before) = before.filter(|it| federation.is_of(it.info()) && *it.cloud() == home.cloud) {
            return Ok(before.clone());
        }
        let Federation { client_id, tenant_id } = federation;
        info!(%account, client_id, tenant_id, "vaults are read as this ServiceAccount");
        let source = TokenRequests::new(self.client.clone(), account.clone());
        Identity::federated(home.cloud, client_id, tenant_id, account.subject(), source, &self.http)
            .map_err(|diagnosis| slowly(*diagnosis))
    }

    fn with<T>(&self, f: impl FnOnce(&mut HashMap<Account, Arc<tokio::sync::Mutex<Known>>>) -> T) -> T {
        f(&mut self.known.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
