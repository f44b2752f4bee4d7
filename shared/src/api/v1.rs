//! Version `v1`: served, not stored; the one kubectl prefers when no version is named.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::columns::{AGE, Column, SECRET_NAME, SYNCHED, VAULT, VAULT_OBJECT};
use super::spec::{Output, Vault};
use super::{AzureKeyVaultSecretStatus, rules};

/// Columns of `kubectl get`.
pub(super) const COLUMNS: [Column; 5] = [VAULT, VAULT_OBJECT, SECRET_NAME, SYNCHED, AGE];

/// What to read and what to write.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, CustomResource, JsonSchema)]
#[kube(
    group = "spv.no",
    version = "v1",
    kind = "AzureKeyVaultSecret",
    doc = "An object in Azure Key Vault, and the Secret or ConfigMap it becomes.",
    plural = "azurekeyvaultsecrets",
    singular = "azurekeyvaultsecret",
    shortname = "akvs",
    category = "all",
    namespaced,
    status = "AzureKeyVaultSecretStatus",
    derive = "PartialEq",
    storage = false
)]
#[schemars(transform = rules::spec)]
pub struct AzureKeyVaultSecretSpec {
    /// The vault and the object in it.
    pub vault: Vault,
    /// What is written. Left out: nothing, the AKVS serves the env injector only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Output>,
}
