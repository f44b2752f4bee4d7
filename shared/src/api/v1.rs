//! Version `v1`: served, not stored; the one kubectl prefers when no version is named.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::spec::{Output, Vault};
use super::{AzureKeyVaultSecretStatus, rules};

/// An object in Azure Key Vault, and the Secret or ConfigMap it becomes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, CustomResource, JsonSchema)]
#[kube(
    group = "spv.no",
    version = "v1",
    kind = "AzureKeyVaultSecret",
    plural = "azurekeyvaultsecrets",
    singular = "azurekeyvaultsecret",
    shortname = "akvs",
    category = "all",
    namespaced,
    status = "AzureKeyVaultSecretStatus",
    derive = "PartialEq",
    storage = false,
    printcolumn(name = "Vault", type_ = "string", json_path = ".spec.vault.name"),
    printcolumn(name = "Vault Object", type_ = "string", json_path = ".spec.vault.object.name"),
    printcolumn(name = "Secret Name", type_ = "string", json_path = ".status.secretName"),
    printcolumn(name = "Synched", type_ = "date", json_path = ".status.lastAzureUpdate"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[schemars(transform = rules::spec)]
pub struct AzureKeyVaultSecretSpec {
    /// The vault and the object in it.
    pub vault: Vault,
    /// What is written. Left out: nothing, the AKVS serves the env injector only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Output>,
}
