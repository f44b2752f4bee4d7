//! Version `v2beta1`: the one that is stored, and the only one programs read and write.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::columns::{AGE, CONFIG_MAP_NAME, Column, SECRET_NAME, SYNCHED_PATH, VAULT, VAULT_OBJECT};
use super::spec::{Output, Vault};
use super::{AzureKeyVaultSecretStatus, rules};

/// Columns of `kubectl get`.
pub(super) const COLUMNS: [Column; 6] = [
    VAULT,
    VAULT_OBJECT,
    SECRET_NAME,
    CONFIG_MAP_NAME,
    ("Last Synched", "date", SYNCHED_PATH),
    AGE,
];

/// What to read and what to write.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, CustomResource, JsonSchema)]
#[kube(
    group = "spv.no",
    version = "v2beta1",
    kind = "AzureKeyVaultSecret",
    doc = "An object in Azure Key Vault, and the Secret or ConfigMap it becomes.",
    plural = "azurekeyvaultsecrets",
    singular = "azurekeyvaultsecret",
    shortname = "akvs",
    category = "all",
    namespaced,
    status = "AzureKeyVaultSecretStatus",
    derive = "PartialEq"
)]
#[schemars(transform = rules::spec)]
pub struct AzureKeyVaultSecretSpec {
    /// The vault and the object in it.
    pub vault: Vault,
    /// What is written. Left out: nothing, the AKVS serves the env injector only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Output>,
}
