//! A vault's state, for tests and tools in the emulator's own process: no HTTP, no permissions.

use std::sync::Arc;

use super::Vault;
use super::access::{Firewall, Policy, Role};
use super::error::VaultError;
use super::objects::{AttributeChange, Attributes, Tags, Version};
use super::secrets::SecretContent;
use crate::emulator::Shared;
use crate::emulator::entra::Principal;
use crate::emulator::limiter::{Limit, Limiter};

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
        self.with(|vault, _| vault.tenant_id = tenant_id.to_owned());
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

    /// Changes attributes of a version (`None`: the current one); `updated` becomes now.
    ///
    /// # Errors
    /// There is no such version.
    pub fn change_secret(&self, name: &str, version: Option<&str>, change: &AttributeChange) -> Result<(), StateError> {
        self.with(|vault, now| {
            let version = vault.secrets.version_mut(name, version)?;
            change.apply(&mut version.attributes);
            version.attributes.updated = now;
            Ok(())
        })
    }

    /// Disables the current version of a secret.
    ///
    /// # Errors
    /// There is no such secret.
    pub fn disable_secret(&self, name: &str) -> Result<(), StateError> {
        self.change_secret(
            name,
            None,
            &AttributeChange {
                enabled: Some(false),
                ..AttributeChange::default()
            },
        )
    }

    /// Soft-deletes a secret.
    ///
    /// # Errors
    /// There is no such secret.
    pub fn delete_secret(&self, name: &str) -> Result<(), StateError> {
        self.with(|vault, now| Ok(vault.secrets.delete(name, now).map(drop)?))
    }

    /// Recovers a soft-deleted secret.
    ///
    /// # Errors
    /// There is no such deleted secret.
    pub fn recover_secret(&self, name: &str) -> Result<(), StateError> {
        self.with(|vault, _| Ok(vault.secrets.recover(name).map(drop)?))
    }

    /// Purges a soft-deleted secret.
    ///
    /// # Errors
    /// There is no such deleted secret.
    pub fn purge_secret(&self, name: &str) -> Result<(), StateError> {
        self.with(|vault, _| Ok(vault.secrets.purge(name)?))
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
