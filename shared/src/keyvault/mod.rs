//! The Key Vault data plane, as every program here uses it.

pub mod changes;
mod error;
mod fingerprint;
pub mod model;
mod stats;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

pub use error::{Retry, VaultError};
use model::{Fingerprint, VaultObject};
pub use stats::{BudgetState, RequestCount, Stats};

use crate::diagnosis::{Code, Diagnosis};
use crate::http::HttpClient;
use crate::identity::Identity;
use crate::reference::{ObjectName, ObjectRef, VaultName};

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
    /// Longest time for one GET or one LIST page, retries and waiting for the budget aside.
    pub call_deadline: Duration,
    /// Requests in flight to one vault.
    pub max_connections_per_vault: usize,
    /// Longest `Retry-After` that is believed.
    pub retry_after_cap: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            requests_per_10s: 1000,
            call_deadline: Duration::from_secs(30),
            max_connections_per_vault: 32,
            retry_after_cap: Duration::from_secs(120),
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

/// The client: one per process. Cheap to clone.
#[derive(Debug, Clone)]
pub struct KeyVault {
    _inner: Arc<Settings>,
}

impl KeyVault {
    /// A client over `http`; nothing is sent yet.
    pub fn new(_http: HttpClient, settings: Settings) -> Self {
        Self {
            _inner: Arc::new(settings),
        }
    }

    /// Reads one object. Equal requests in flight share one answer.
    #[expect(clippy::unused_async, reason = "the contract, ahead of the code")]
    pub async fn get(
        &self,
        _identity: &Identity,
        _object: &ObjectRef,
        _priority: Priority,
    ) -> Result<Arc<Fetched>, VaultError> {
        Err(not_yet())
    }

    /// Lists a whole collection, page by page.
    #[expect(clippy::unused_async, reason = "the contract, ahead of the code")]
    pub async fn list(
        &self,
        _identity: &Identity,
        _vault: &VaultName,
        _collection: Collection,
        _priority: Priority,
    ) -> Result<Listing, VaultError> {
        Err(not_yet())
    }

    /// Counters for metrics.
    pub fn stats(&self) -> Stats {
        Stats::default()
    }
}

fn not_yet() -> VaultError {
    VaultError {
        diagnosis: Diagnosis::new(
            Code::VaultUnavailable,
            "The Key Vault client is not there yet.",
            "It is being written.",
            "Wait for its author.",
        ),
        retry: Retry::Slowly,
    }
}
