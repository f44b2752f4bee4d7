//! Who reads a vault for an AKVS: the program's own identity, or that of a `ServiceAccount` of the AKVS's namespace.
//!
//! ```text
//!  annotations of the ServiceAccount ──▶ account: client id, tenant, subject ──▶ Identity ◀── token_request: assertions
//! ```
//!
//! A `ServiceAccount` is looked at each time it is needed, so that an annotation counts, and stops to count, without a
//! restart. Its token is asked for every 5 minutes that it is needed, since a policy is asked only then, and never leaves memory.
//! Whoever is refused, or is needed no more, loses all tokens at once.

mod account;
mod explain;
mod token_request;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use k8s_openapi::api::core::v1::ServiceAccount;
use kube::Api;
use tokio::time::Instant;
use tracing::info;

use crate::diagnosis::{Diagnosis, Retry};
use crate::http::HttpClient;
use crate::identity::{AssertionSource, Identity, Provider, TokenError};

pub use account::Account;
use account::{Federation, federation};
pub use explain::is_rbac;
use token_request::TokenRequests;

/// For so long a ServiceAccount is not looked at again: a thousand AKVS of one cost one request.
const FRESH: Duration = Duration::from_secs(5);

/// Who is to read.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reader {
    /// The program itself.
    Program,
    /// A `ServiceAccount` of the AKVS's own namespace.
    ServiceAccount(Account),
}

impl Reader {
    /// Whom an AKVS in `namespace` asks for by `spec.vault.serviceAccountName`.
    pub fn new(namespace: &str, service_account: Option<&str>) -> Self {
        match service_account {
            None => Self::Program,
            Some(name) => Self::ServiceAccount(Account::new(namespace, name)),
        }
    }
}

/// Everybody who reads.
pub struct Readers {
    program: Provider,
    accounts: Option<ServiceAccounts>,
}

impl Readers {
    /// The program's identity, and those of `ServiceAccounts` where they are allowed.
    pub fn new(program: Provider, accounts: Option<ServiceAccounts>) -> Self {
        Self { program, accounts }
    }

    /// Tells who the program itself is.
    pub fn program(&self) -> &Provider {
        &self.program
    }

    /// The identity of `reader` as it is now.
    ///
    /// # Errors
    /// There is none; for a `ServiceAccount`: it may not be used, lacks its annotation, or cannot be looked at.
    pub async fn identity(&self, reader: &Reader) -> Result<Identity, TokenError> {
        match (reader, &self.accounts) {
            (Reader::Program, _) => {
                let found = self.program.identity().await;
                found.map_err(|diagnosis| slowly(*diagnosis))
            }
            (Reader::ServiceAccount(account), None) => Err(slowly(explain::switched_off(account))),
            (Reader::ServiceAccount(account), Some(accounts)) => accounts.identity(account).await,
        }
    }

    /// Gives up the `ServiceAccounts`, and with them the tokens, that no AKVS names any more.
    pub fn retain<'a>(&self, named: impl Iterator<Item = &'a Reader>) {
        let Some(accounts) = &self.accounts else { return };
        let named: HashSet<_> = named
            .filter_map(|reader| match reader {
                Reader::Program => None,
                Reader::ServiceAccount(account) => Some(account),
            })
            .collect();
        accounts.with(|known| known.retain(|account, _| named.contains(account)));
    }

    /// Gives up the ServiceAccounts that nobody asked for in this time, where it is not known who will.
    pub fn retain_used(&self, within: Duration) {
        if let Some(accounts) = &self.accounts {
            accounts.with(|known| known.retain(|_, known| is_used(known, within)));
        }
    }

    /// Gives up one: nobody may have it read anything. Whoever may again later starts anew.
    pub fn release(&self, reader: &Reader) {
        if let (Reader::ServiceAccount(account), Some(accounts)) = (reader, &self.accounts) {
            accounts.with(|known| known.remove(account));
        }
    }
}

/// Whether somebody asks for it now, or did lately. Whoever begins to ask has it from the map, which nobody else may touch meanwhile.
fn is_used(known: &Arc<tokio::sync::Mutex<Known>>, within: Duration) -> bool {
    let Ok(state) = known.try_lock() else { return true };
    let lately = state.looked.as_ref().is_some_and(|(at, _)| at.elapsed() < within);
    lately || Arc::strong_count(known) > 1
}

/// A refusal that lasts until somebody does something about it.
fn slowly(diagnosis: Diagnosis) -> TokenError {
    TokenError {
        diagnosis,
        retry: Retry::Slowly,
    }
}

/// `ServiceAccounts` that vaults are read as.
pub struct ServiceAccounts {
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
    /// Who it was last, as long as nothing says otherwise.
    admitted: Option<Admitted>,
}

/// A ServiceAccount that may be used, with its tokens. They end with it.
struct Admitted {
    identity: Identity,
    /// Where its identity has assertions from; asking shows whether it may still have any.
    source: Arc<TokenRequests>,
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.identity.close();
    }
}

impl ServiceAccounts {
    /// None is looked at yet. They are at home where `home` says, whoever that is itself.
    pub fn new(client: kube::Client, home: Provider, http: HttpClient) -> Self {
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
        match self.look(account, known.admitted.as_ref()).await {
            Ok(None) => {}
            Ok(admitted) => known.admitted = admitted,
            Err(error) => {
                // While the API server is away, the tokens stay.
                if error.retry == Retry::Slowly {
                    known.admitted = None;
                }
                known.looked = Some((Instant::now(), Err(error.clone())));
                return Err(error);
            }
        }
        let identity = known.admitted.as_ref().map(|it| it.identity.clone());
        let outcome = identity.ok_or_else(|| explain::no_token(account));
        known.looked = Some((Instant::now(), outcome.clone()));
        outcome
    }

    /// Who the ServiceAccount is now; `None`: as `before`.
    async fn look(&self, account: &Account, before: Option<&Admitted>) -> Result<Option<Admitted>, TokenError> {
        let api = Api::<ServiceAccount>::namespaced(self.client.clone(), &account.namespace);
        let meta = api.get_metadata(&account.name).await;
        let meta = meta.map_err(|error| explain::look_failed(account, &error))?;
        let annotations = meta.metadata.annotations.unwrap_or_default();
        let home = self.home.home().await.map_err(|diagnosis| slowly(*diagnosis))?;
        let federation = federation(account, &annotations, home.tenant_id.as_deref()).map_err(slowly)?;
        let source = before.map_or_else(
            || Arc::new(TokenRequests::new(self.client.clone(), account.clone())),
            |before| Arc::clone(&before.source),
        );
        // Only the token shows whether a policy still admits it.
        source.assertion().await?;
        let is_the_same = |it: &Identity| federation.is_of(it.info()) && *it.cloud() == home.cloud && !it.is_closed();
        if before.is_some_and(|before| is_the_same(&before.identity)) {
            return Ok(None);
        }
        let Federation { client_id, tenant_id } = federation;
        info!(%account, client_id, tenant_id, "vaults are read as this ServiceAccount");
        let identity = Identity::federated(
            home.cloud,
            client_id,
            tenant_id,
            account.subject(),
            Arc::clone(&source),
            &self.http,
        );
        let identity = identity.map_err(|diagnosis| slowly(*diagnosis))?;
        Ok(Some(Admitted { identity, source }))
    }

    fn with<T>(&self, f: impl FnOnce(&mut HashMap<Account, Arc<tokio::sync::Mutex<Known>>>) -> T) -> T {
        f(&mut self.known.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests;
