//! `status`: how the AKVS stands. Shared by all versions; every field is optional, so whatever upstream stored is readable.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `status` of an `AzureKeyVaultSecret`. It never holds a value, nor a digest of one.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AzureKeyVaultSecretStatus {
    /// `Ready`, `Reconciling` and `Stalled`; reasons are codes of the failure catalogue.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// The `metadata.generation` this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The objects this AKVS has written and still holds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["kind", "name"]))]
    pub outputs: Vec<StatusOutput>,
    /// Version of the vault object that was taken over last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object_version: Option<String>,
    /// Change mark of the vault object, made of its attributes and tags, never of its value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    /// When the vault object expires, as the vault says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Time>,
    /// When the vault object becomes valid, as the vault says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Time>,
    /// Who read the vault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<StatusIdentity>,
    /// Name of the Secret that was written last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_name: Option<String>,
    /// Digest written by earlier controllers; not trusted, and removed with the first write.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_hash: Option<String>,
    /// Name of the ConfigMap that was written last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map_name: Option<String>,
    /// Digest written by earlier controllers; not trusted, and removed with the first write.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map_hash: Option<String>,
    /// When the value was last taken over from the vault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_azure_update: Option<Time>,
}

/// One object that was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StatusOutput {
    /// Secret or ConfigMap.
    pub kind: StatusOutputKind,
    /// Its name, in the AKVS's namespace.
    pub name: String,
    /// The data keys this AKVS wrote.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub keys: Vec<String>,
    /// UID of the object that was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
}

/// Kind of a written object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum StatusOutputKind {
    /// A Secret.
    Secret,
    /// A ConfigMap.
    ConfigMap,
}

/// Who read the vault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Identity")]
pub struct StatusIdentity {
    /// How the token was obtained, e.g. `workloadIdentity`, `managedIdentity`, `clientSecret`.
    pub method: String,
    /// Client (application) id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// Tenant id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant_id: Option<String>,
    /// Subject of the ServiceAccount as which the vault was read: `system:serviceaccount:NAMESPACE:NAME`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
}
