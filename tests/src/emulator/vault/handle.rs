//! A vault's state, for tests and tools in the emulator's own process: no HTTP, no permissions.

use std::sync::Arc;

use super::access::Firewall;
use super::certificates::{self, CertificateBody, Made};
use super::error::VaultError;
use super::keys::KeyContent;
use super::objects::{AttributeChange, Attributes, Tags, Version};
use super::policy::CertificatePolicy;
use super::roles::{Policy, Role};
use super::secrets::SecretContent;
use super::{Ids, Vault, issuers};
use crate::emulator::Shared;
use crate::emulator::crypto::{KeyType, PrivateKey};
use crate::emulator::entra::Principal;
use crate::emulator::limiter::{Limit, Limiter};
use crate::emulator::operation::Kind;

/// What a secret is written with besides its value.
#[derive(Debug, Clone, Default)]
pub struct SecretOptions {
    /// `contentType`.
    pub content_type: Option<String>,
    /// Tags.
    pub tags: Tags,
    /// Attributes; absent ones have the service's defaults.
    pub attributes: AttributeChange,
    /// `created` and `updated`, Unix seconds; `None` is now. Something past makes a change "settled" at once.
    pub written_at: Option<i64>,
}

impl SecretOptions {
    /// Only a content type.
    pub fn content_type(content_type: &str) -> Self {
        Self {
            content_type: Some(content_type.into()),
            ..Self::default()
        }
    }
}

/// One vault.
#[derive(Clone)]
pub struct VaultHandle {
    pub(crate) shared: Arc<Shared>,
    pub(crate) name: String,
}

impl VaultHandle {
    /// The vault's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// `https://NAME.vault.localhost:PORT`.
    pub fn url(&self) -> String {
        self.shared.vault_url(&self.name)
    }

    /// Grants a role; a vault that used access policies is switched to RBAC and forgets them.
    pub fn grant(&self, principal: &Principal, role: Role) {
        self.with(|vault, _| vault.access.grant(principal, role));
    }

    /// Sets an access policy; a vault that used RBAC is switched to access policies and forgets its assignments.
    pub fn set_policy(&self, principal: &Principal, policy: Policy) {
        self.with(|vault, _| vault.access.set_policy(principal, policy));
    }

    /// Takes every right of a principal away.
    pub fn revoke(&self, principal: &Principal) {
        self.with(|vault, _| vault.access.revoke(principal));
    }

    /// Lets network rules refuse every caller; `None` admits all.
    pub fn set_firewall(&self, firewall: Option<Firewall>) {
        self.with(|vault, _| vault.firewall = firewall);
    }

    /// Limits requests; `None` lifts the limit.
    pub fn set_limit(&self, limit: Option<Limit>) {
        self.with(|vault, _| vault.limiter = limit.map(Limiter::new));
    }

    /// Moves the vault to another tenant: its challenge names it, and only its tokens are accepted.
    pub fn set_tenant(&self, tenant_id: &str) {
        self.with(|vault, _| tenant_id.clone_into(&mut vault.tenant_id));
    }

    /// Writes a new version of a secret and returns its id.
    ///
    /// # Errors
    /// The name belongs to a deleted secret.
    pub fn set_secret(&self, name: &str, value: &str, options: SecretOptions) -> Result<String, StateError> {
        self.with(|vault, now| {
            let mut attributes = Attributes::new(options.written_at.unwrap_or(now));
            options.attributes.apply(&mut attributes);
            let content = SecretContent {
                value: value.to_owned(),
                content_type: options.content_type,
                key_id: None,
            };
            Ok(vault
                .secrets
                .add(name, Version::new(content, attributes, options.tags))?)
        })
    }

    /// Makes a certificate, its secret and its key by `policy`, and returns the version's id. RSA keys take from tens
    /// of milliseconds to seconds.
    ///
    /// # Errors
    /// The policy asks for what the vault does not offer, or the name belongs to a deleted certificate.
    pub fn create_certificate(&self, name: &str, policy: &CertificatePolicy) -> Result<String, StateError> {
        let now = self.shared.clock.now();
        self.with(|vault, _| issuers::check(vault, &policy.issuer.name))?;
        let made = certificates::make(policy.clone(), None, &self.shared.authority, now)?;
        self.store(name, made)
    }

    /// Imports a certificate, and returns the version's id: `content` is PEM, or base64 of a PFX with this password.
    ///
    /// # Errors
    /// The content cannot be read, or the name belongs to a deleted certificate.
    pub fn import_certificate(
        &self,
        name: &str,
        content: &str,
        password: &str,
        exportable: bool,
    ) -> Result<String, StateError> {
        let mut policy = CertificatePolicy::default();
        policy.key_props.exportable = exportable;
        let made = certificates::read(&CertificateBody::import(content, password, policy))?;
        self.store(name, made)
    }

    fn store(&self, name: &str, made: Made) -> Result<String, StateError> {
        let url = self.url();
        self.with(|vault, now| {
            Ok(certificates::store(
                vault,
                &Ids { base: &url },
                name,
                made,
                CertificateBody::default(),
                now,
            )?)
        })
    }

    /// Makes a key and returns its version's id.
    ///
    /// # Errors
    /// The key's size is not offered, or the name belongs to a deleted key.
    pub fn create_key(&self, name: &str, kind: KeyType) -> Result<String, StateError> {
        let key = PrivateKey::generate(kind).map_err(VaultError::from)?;
        self.with(|vault, now| {
            Ok(vault.keys.add(
                name,
                Version::new(KeyContent::new(key), Attributes::new(now), Tags::new()),
            )?)
        })
    }

    /// Changes attributes of a version (`None`: the current one); `updated` becomes now. A certificate's secret and
    /// key follow it.
    ///
    /// # Errors
    /// There is no such version.
    pub fn change(
        &self,
        kind: Kind,
        name: &str,
        version: Option<&str>,
        change: &AttributeChange,
    ) -> Result<(), StateError> {
        self.with(|vault, now| {
            match kind {
                Kind::Secret => vault.secrets.version_mut(name, version)?.change(change, None, now),
                Kind::Key => vault.keys.version_mut(name, version)?.change(change, None, now),
                Kind::Certificate => {
                    let body = CertificateBody::attributes(change.clone());
                    certificates::update(vault, name, version, body, now)?;
                }
            }
            Ok(())
        })
    }

    /// Disables the current version of an object.
    ///
    /// # Errors
    /// There is no such object.
    pub fn disable(&self, kind: Kind, name: &str) -> Result<(), StateError> {
        self.change(
            kind,
            name,
            None,
            &AttributeChange {
                enabled: Some(false),
                ..AttributeChange::default()
            },
        )
    }

    /// Soft-deletes an object; a certificate takes its secret and its key along.
    ///
    /// # Errors
    /// There is no such object, or it belongs to a certificate.
    pub fn delete(&self, kind: Kind, name: &str) -> Result<(), StateError> {
        self.with(|vault, now| Ok(vault.delete(kind, name, now)?))
    }

    /// Recovers a soft-deleted object.
    ///
    /// # Errors
    /// There is no such deleted object, or it belongs to a certificate.
    pub fn recover(&self, kind: Kind, name: &str) -> Result<(), StateError> {
        self.with(|vault, _| Ok(vault.recover(kind, name)?))
    }

    /// Purges a soft-deleted object.
    ///
    /// # Errors
    /// There is no such deleted object, or it belongs to a certificate.
    pub fn purge(&self, kind: Kind, name: &str) -> Result<(), StateError> {
        self.with(|vault, _| Ok(vault.purge(kind, name)?))
    }

    /// The value of the current version of a secret, whatever its state; `None` when there is no such secret.
    pub fn secret_value(&self, name: &str) -> Option<String> {
        self.with(|vault, _| {
            vault
                .secrets
                .object(name)
                .ok()
                .map(|object| object.current().content.value.clone())
        })
    }

    /// Runs `action` on the vault with the emulator's time.
    pub(super) fn with<T>(&self, action: impl FnOnce(&mut Vault, i64) -> T) -> T {
        let now = self.shared.clock.now();
        let mut vaults = self.shared.vaults.lock();
        let vault = vaults
            .get_mut(&self.name.to_ascii_lowercase())
            .expect("a handle is made for a registered vault");
        action(vault, now)
    }
}

/// A change the vault's state does not allow.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct StateError(String);

impl From<VaultError> for StateError {
    fn from(error: VaultError) -> Self {
        Self(error.message)
    }
}
