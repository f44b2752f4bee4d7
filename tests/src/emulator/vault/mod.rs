//! Key Vault's data plane: state, and the handle tests change it with.

mod access;
mod authority;
mod certificates;
mod error;
mod handle;
mod issuers;
mod keys;
mod objects;
mod policy;
mod roles;
mod route;
mod secrets;
mod service;
mod view;

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

pub(crate) use self::access::Access;
pub use self::access::Firewall;
pub(crate) use self::authority::LazyAuthority;
use self::certificates::{CertificateContent, Operation};
pub(crate) use self::error::VaultError;
pub use self::handle::{SecretOptions, StateError, VaultHandle};
use self::keys::KeyContent;
use self::objects::Collection;
pub use self::objects::{AttributeChange, Tags};
pub use self::policy::{
    AlternativeNames, CertificatePolicy, IssuerReference, KeyProperties, SecretProperties, X509Properties,
};
pub use self::roles::{Policy, Role};
pub(crate) use self::route::Route;
use self::secrets::SecretContent;
pub(crate) use self::service::handle;
use super::limiter::Limiter;
use super::operation::Kind;

/// One vault.
pub(crate) struct Vault {
    /// As registered; requests may write it in any case.
    pub(crate) name: String,
    pub(crate) tenant_id: String,
    pub(crate) access: Access,
    pub(crate) firewall: Option<Firewall>,
    pub(crate) limiter: Option<Limiter>,
    pub(crate) secrets: Collection<SecretContent>,
    pub(crate) keys: Collection<KeyContent>,
    pub(crate) certificates: Collection<CertificateContent>,
    /// The last creation of each certificate, by lower-case name.
    pub(crate) operations: BTreeMap<String, Operation>,
    /// `IssuerBundle`s as clients set them, by name.
    pub(crate) issuers: BTreeMap<String, Value>,
}

/// An issuer every vault has from the start.
pub const TEST_ISSUER: &str = "TestIssuer";

impl Vault {
    fn new(name: &str, tenant_id: &str) -> Self {
        Self {
            name: name.to_owned(),
            tenant_id: tenant_id.to_owned(),
            access: Access::Roles(BTreeMap::new()),
            firewall: None,
            limiter: None,
            secrets: Collection::new(Kind::Secret),
            keys: Collection::new(Kind::Key),
            certificates: Collection::new(Kind::Certificate),
            operations: BTreeMap::new(),
            issuers: BTreeMap::from([(TEST_ISSUER.to_owned(), json!({ "provider": "Test" }))]),
        }
    }
}

impl Vault {
    /// A certificate's secret and key are deleted, recovered and purged with it, never alone.
    fn check_unmanaged(&self, kind: Kind, name: &str) -> Result<(), VaultError> {
        let managed = match kind {
            Kind::Secret => self.secrets.managed(name),
            Kind::Key => self.keys.managed(name),
            Kind::Certificate => false,
        };
        if managed {
            Err(VaultError::managed(kind, name))
        } else {
            Ok(())
        }
    }

    /// Soft-deletes an object; a certificate takes its secret and its key along.
    fn delete(&mut self, kind: Kind, name: &str, now: i64) -> Result<(), VaultError> {
        self.check_unmanaged(kind, name)?;
        match kind {
            Kind::Secret => self.secrets.delete(name, now).map(drop),
            Kind::Key => self.keys.delete(name, now).map(drop),
            Kind::Certificate => {
                self.certificates.delete(name, now)?;
                self.secrets.delete(name, now)?;
                self.keys.delete(name, now).map(drop)
            }
        }
    }

    /// Brings a deleted object back; a certificate with its secret and its key.
    fn recover(&mut self, kind: Kind, name: &str) -> Result<(), VaultError> {
        self.check_unmanaged(kind, name)?;
        match kind {
            Kind::Secret => self.secrets.recover(name).map(drop),
            Kind::Key => self.keys.recover(name).map(drop),
            Kind::Certificate => {
                self.certificates.recover(name)?;
                self.secrets.recover(name)?;
                self.keys.recover(name).map(drop)
            }
        }
    }

    /// Forgets a deleted object; a certificate with its secret and its key.
    fn purge(&mut self, kind: Kind, name: &str) -> Result<(), VaultError> {
        self.check_unmanaged(kind, name)?;
        match kind {
            Kind::Secret => self.secrets.purge(name),
            Kind::Key => self.keys.purge(name),
            Kind::Certificate => {
                self.certificates.purge(name)?;
                self.secrets.purge(name)?;
                self.keys.purge(name)
            }
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
