//! `spec`: which vault object, and which Secret or ConfigMap it becomes. Shared by all versions.

#[cfg(feature = "kube")]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[cfg(feature = "kube")]
use super::rules;

/// Far more steps than anybody writes; the API server wants a bound before it accepts a rule over all of them.
#[cfg(feature = "kube")]
const MOST_STEPS: u32 = 100;

/// `spec.vault`: the vault and the object in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "kube", schemars(transform = rules::vault))]
pub struct Vault {
    /// Short name of the vault: `myvault` of `https://myvault.vault.azure.net`.
    pub name: String,
    /// Accepted for compatibility and not used: the identity is configured on the controller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub azure_identity: Option<AzureIdentity>,
    /// Reads the vault as this ServiceAccount of the same namespace: as the identity in its annotation
    /// azure.workload.identity/client-id. Left out: the controller's own identity reads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_account_name: Option<String>,
    /// The object to read.
    pub object: VaultObject,
}

/// `spec.vault.azureIdentity`: accepted, unused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(JsonSchema))]
#[cfg_attr(feature = "kube", schemars(rename = "AzureIdentity"))]
pub struct AzureIdentity {
    /// Name of an Azure identity; not used.
    pub name: String,
}

/// `spec.vault.object`: name, type and version of what is read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "kube", schemars(transform = rules::vault_object))]
pub struct VaultObject {
    /// Name of the object in the vault.
    pub name: String,
    /// What the object is.
    #[serde(rename = "type")]
    pub object_type: ObjectType,
    /// Pins one version of the object (32 hexadecimal digits). Left out: the latest version, followed as it changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// How the value of a multi-key-value-secret is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_type: Option<ContentType>,
}

/// What the object is; `multi-key-value-secret` is a secret whose value is a JSON or YAML mapping.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum ObjectType {
    /// A secret.
    Secret,
    /// A certificate, with its private key where the output holds it.
    Certificate,
    /// The public part of a key.
    Key,
    /// A secret whose value is a JSON or YAML mapping.
    MultiKeyValueSecret,
}

/// How the value of a multi-key-value-secret is written. Needed for that type, ignored for the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(JsonSchema))]
pub enum ContentType {
    /// A JSON object.
    #[serde(rename = "application/x-json")]
    Json,
    /// A YAML mapping.
    #[serde(rename = "application/x-yaml")]
    Yaml,
}

/// `spec.output`: what is written in the AKVS's own namespace. Left out: the AKVS serves the env injector only.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Output {
    /// Steps applied in order to the value of an object of type `secret`: `trim`, `base64encode`, `base64decode`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "kube", schemars(length(max = MOST_STEPS)))]
    pub transform: Vec<String>,
    /// The name `transform` had in v1alpha1; used when `transform` is empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "kube", schemars(length(max = MOST_STEPS)))]
    pub transforms: Vec<String>,
    /// How an object of type `key` is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_format: Option<KeyFormat>,
    /// The Secret to write.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<SecretOutput>,
    /// The ConfigMap to write.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map: Option<ConfigMapOutput>,
}

/// How an object of type `key` (its public part) is written. Left out: `raw` for RSA, `pem` for EC.
/// `raw` is the RSA modulus (big-endian bytes), `pem` a PEM public key (SPKI), `jwk` a JSON Web Key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum KeyFormat {
    /// The RSA modulus, big-endian bytes.
    Raw,
    /// A PEM public key (SPKI).
    Pem,
    /// A JSON Web Key (RFC 7517).
    Jwk,
}

/// `spec.output.secret`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "kube", schemars(transform = rules::secret_output, rename = "SecretOutput"))]
pub struct SecretOutput {
    /// Name of the Secret.
    pub name: String,
    /// Type of the Secret. Left out: `Opaque`, and a certificate is written as its public part only.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub secret_type: Option<String>,
    /// Key under which the value is written. Not needed where the type or a multi-key-value-secret names the keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_key: Option<String>,
    /// Order of the certificates in `tls.crt`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chain_order: Option<ChainOrder>,
}

/// `ensureserverfirst`: the server's certificate first, then its issuers. Left out: the order of the vault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum ChainOrder {
    /// The server's certificate first, then its issuers.
    EnsureServerFirst,
}

/// `spec.output.configMap`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "kube", schemars(transform = rules::config_map_output, rename = "ConfigMapOutput"))]
pub struct ConfigMapOutput {
    /// Name of the ConfigMap.
    pub name: String,
    /// Key under which the value is written; a multi-key-value-secret names its keys itself.
    pub data_key: String,
}
