//! The Key Vault data plane, as every program here uses it.

mod budget;
mod challenge;
pub mod changes;
mod coalesce;
mod convert;
mod error;
mod fingerprint;
mod gate;
pub mod model;
mod policy;
mod stats;
mod vault;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use coalesce::Coalescer;
pub use error::{Retry, VaultError};
use model::{Fingerprint, VaultObject};
pub use stats::{RequestCount, Stats, VaultState};
use tokio::time::Instant;
use vault::Vault;

use crate::http::HttpClient;
use crate::identity::{Cloud, Identity};
use crate::reference::{ObjectName, ObjectRef, VaultName};
use crate::single_flight::SharedMap;

/// Who goes first when a vault's budget is short.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Priority {
    /// New and edited objects: somebody waits.
    New,
    /// The routine look.
    Refresh,
}

/// Policy of the client.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Requests per 10 seconds and vault.
    pub requests_per_10s: u32,
    /// Longest time for one GET or one LIST page with all its tries; waiting for the budget does not count.
    pub call_deadline: Duration,
    /// How often one request is tried again after a transient failure.
    pub retries: usize,
    /// Requests in flight to one vault.
    pub max_connections_per_vault: usize,
    /// Longest `Retry-After` that is believed.
    pub retry_after_cap: Duration,
    /// How long an answer is kept for those who want no newer one: see [`KeyVault::get_since`].
    pub answers_kept: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            requests_per_10s: 1000,
            call_deadline: Duration::from_secs(30),
            retries: 2,
            max_connections_per_vault: 32,
            retry_after_cap: Duration::from_mins(2),
            answers_kept: Duration::from_secs(30),
        }
    }
}

/// What a GET gave.
pub struct Fetched {
    /// The object.
    pub object: VaultObject,
    /// Its change mark.
    pub fingerprint: Fingerprint,
    /// Whether the mark may be kept: the last change lies more than 2 s before the vault's own clock.
    pub settled: bool,
}

/// What a vault can list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Collection {
    /// `/secrets`: also those behind certificates.
    Secrets,
    /// `/certificates`.
    Certificates,
    /// `/keys`: also those behind certificates.
    Keys,
}

impl Collection {
    /// As in paths and permissions: `secrets`, `certificates`, `keys`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Secrets => "secrets",
            Self::Certificates => "certificates",
            Self::Keys => "keys",
        }
    }
}

/// One whole LIST.
#[derive(Debug, Clone)]
pub struct Listing {
    /// What the vault holds, disabled objects included.
    pub items: HashMap<ObjectName, Listed>,
    /// How many requests it took.
    pub pages: u32,
}

/// One object in a LIST.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its change mark, equal to that of a GET of the same state.
    pub fingerprint: Fingerprint,
    /// Whether the mark may be kept, as in [`Fetched`].
    pub settled: bool,
    /// Whether the newest version is enabled.
    pub enabled: bool,
}

/// How long a vault must have rested before it is forgotten: a budget is full again by then, and no pause after a 429 lasts so
/// long, so that whoever names it anew gets no second helping.
const REST: Duration = Duration::from_mins(5);

/// A vault, and when it was last asked for.
struct Known {
    vault: Arc<Vault>,
    used: Instant,
}

/// What makes two reads the same.
type ReadKey = (Identity, ObjectRef);

/// The client: one per process. Cheap to clone.
///
/// Vaults are told apart by cloud and name, and answers by identity too: nobody is ever served what somebody else read.
#[derive(Clone)]
pub struct KeyVault {
    http: HttpClient,
    settings: Arc<Settings>,
    vaults: SharedMap<(Cloud, VaultName), Known>,
    reads: Coalescer<ReadKey, Fetched, VaultError>,
}

impl KeyVault {
    /// A client over `http`; nothing is sent yet.
    pub fn new(http: HttpClient, settings: Settings) -> Self {
        Self {
            http,
            reads: Coalescer::new(settings.answers_kept),
            settings: Arc::new(settings),
            vaults: SharedMap::new(),
        }
    }

    /// Reads one object as it is now: [`Self::get_since`] with this moment.
    pub async fn get(
        &self,
        identity: &Identity,
        object: &ObjectRef,
        priority: Priority,
    ) -> Result<Arc<Fetched>, VaultError> {
        self.get_since(identity, object, priority, Instant::now()).await
    }

    /// Reads one object as of `since` or later, in the eyes of the caller: the moment it learnt that it needs it.
    ///
    /// Equal reads share one request: one in flight, or one of the last 30 s ([`Settings::answers_kept`]), if it was sent no earlier than 1 s before
    /// `since`. So 500 references to one object that appear together cost one request however long it takes to work them
    /// off, and a reference made right after a rotation gets the new value, or at worst one that was valid a second
    /// before; then the next LIST differs from the fingerprint, and it is read again. New work never waits for a refresh
    /// that is still queued. The request goes on when the caller gives up, since others may be waiting for it; one that nobody waits
    /// for any more is not sent.
    pub async fn get_since(
        &self,
        identity: &Identity,
        object: &ObjectRef,
        priority: Priority,
        since: Instant,
    ) -> Result<Arc<Fetched>, VaultError> {
        let vault = self.vault(identity.cloud(), &object.vault)?;
        let read = |askers| {
            let (vault, identity, object) = (vault.clone(), identity.clone(), object.clone());
            async move { vault.read(identity, object, priority, askers).await }
        };
        let key = (identity.clone(), object.clone());
        match self.reads.get(key, priority, since, read).await {
            Some(outcome) => outcome,
            None => Err(error::broken(&object.to_string())),
        }
    }

    /// Lists a whole collection, page by page; each page is one request.
    pub async fn list(
        &self,
        identity: &Identity,
        vault: &VaultName,
        collection: Collection,
        priority: Priority,
    ) -> Result<Listing, VaultError> {
        self.vault(identity.cloud(), vault)?
            .list(identity.clone(), vault, collection, priority)
            .await
    }

    /// Forgets vaults that nobody names any more, with their budgets and counters, once they have rested for five minutes.
    pub fn retain(&self, named: impl Fn(&VaultName) -> bool) {
        self.vaults.with(|vaults| {
            vaults.retain(|(_, name), known| {
                let is_asked = Arc::strong_count(&known.vault) > 1;
                named(name) || is_asked || known.used.elapsed() < REST
            });
        });
    }

    /// Counters for metrics.
    pub fn stats(&self) -> Stats {
        let vaults: Vec<_> = self
            .vaults
            .with(|vaults| vaults.values().map(|known| known.vault.clone()).collect());
        let mut requests = Vec::new();
        let vaults = vaults.iter().map(|vault| vault.policy.stats(&mut requests)).collect();
        Stats { requests, vaults }
    }

    fn vault(&self, cloud: &Cloud, name: &VaultName) -> Result<Arc<Vault>, VaultError> {
        let key = (cloud.clone(), name.clone());
        self.vaults.with(|vaults| {
            if let Some(known) = vaults.get_mut(&key) {
                known.used = Instant::now();
                return Ok(known.vault.clone());
            }
            let vault = Vault::new(cloud, name, &self.http, &self.settings)
                .map(Arc::new)
                .map_err(|error| error::of_client(&error, &format!("vault '{name}'")))?;
            let known = Known {
                vault: vault.clone(),
                used: Instant::now(),
            };
            vaults.insert(key, known);
            Ok(vault)
        })
    }
}

impl fmt::Debug for KeyVault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyVault")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Limits;
    use crate::identity::Environment;

    #[tokio::test(start_paused = true)]
    async fn a_vault_that_nobody_names_is_forgotten_once_it_has_rested() {
        let http = HttpClient::from_environment(&Environment::default(), Limits::default()).unwrap();
        let client = KeyVault::new(http, Settings::default());
        let cloud = Cloud::named("AzurePublicCloud").unwrap();
        let (old, kept) = (VaultName::parse("old").unwrap(), VaultName::parse("kept").unwrap());
        let in_use = client.vault(&cloud, &old).unwrap();
        client.vault(&cloud, &kept).unwrap();
        let left = || {
            client.retain(|name| *name == kept);
            client.stats().vaults.len()
        };
        assert_eq!(left(), 2, "its budget is not full again");
        tokio::time::advance(REST).await;
        assert_eq!(left(), 2, "a request is under way");
        drop(in_use);
        assert_eq!(left(), 1);
        tokio::time::advance(REST).await;
        assert_eq!(left(), 1, "one that is named stays, however long it rests");
    }

    #[test]
    fn no_pause_outlasts_the_rest() {
        assert!(Settings::default().retry_after_cap < REST);
    }
}
