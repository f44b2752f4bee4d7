//! Key Vault's data plane: state, and the handle tests change it with.

mod access;
mod error;
mod handle;
mod objects;
mod route;
mod secrets;
mod service;

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

pub(crate) use self::access::Access;
pub use self::access::{Firewall, Policy, Role};
pub(crate) use self::error::VaultError;
pub use self::handle::{SecretOptions, VaultHandle};
use self::objects::Collection;
pub use self::objects::{AttributeChange, Tags};
pub(crate) use self::route::Route;
use self::secrets::SecretContent;
pub(crate) use self::service::handle;
use super::limiter::Limiter;
use super::operation::Kind;

/// The service's page size, and the most a client may ask for.
const PAGE: usize = 25;

/// One vault.
pub(crate) struct Vault {
    /// As registered; requests may write it in any case.
    pub(crate) name: String,
    pub(crate) tenant_id: String,
    pub(crate) access: Access,
    pub(crate) firewall: Option<Firewall>,
    pub(crate) limiter: Option<Limiter>,
    pub(crate) secrets: Collection<SecretContent>,
}

impl Vault {
    fn new(name: &str, tenant_id: &str) -> Self {
        Self {
            name: name.to_owned(),
            tenant_id: tenant_id.to_owned(),
            access: Access::Roles(BTreeMap::new()),
            firewall: None,
            limiter: None,
            secrets: Collection::new(Kind::Secret),
        }
    }
}

/// All vaults, by lower-case name.
#[derive(Default)]
pub(crate) struct Vaults(Mutex<BTreeMap<String, Vault>>);

impl Vaults {
    pub(crate) fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Vault>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Registers a vault unless it is there.
    pub(crate) fn register(&self, name: &str, tenant_id: &str) {
        self.lock()
            .entry(name.to_ascii_lowercase())
            .or_insert_with(|| Vault::new(name, tenant_id));
    }
}

/// Writes the identifiers of a vault's objects: its URL and what is below it.
pub(crate) struct Ids<'a> {
    /// `https://NAME.vault.localhost:PORT`.
    pub(crate) base: &'a str,
}

impl Ids<'_> {
    fn object(&self, kind: Kind, name: &str) -> String {
        format!("{}/{}/{name}", self.base, kind.segment())
    }

    fn version(&self, kind: Kind, name: &str, version: &str) -> String {
        format!("{}/{}/{name}/{version}", self.base, kind.segment())
    }

    fn deleted(&self, kind: Kind, name: &str) -> String {
        format!("{}/deleted{}/{name}", self.base, kind.segment())
    }
}
