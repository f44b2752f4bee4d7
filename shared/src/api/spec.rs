//! `spec`: which vault object, and which Secret or ConfigMap it becomes. Shared by all versions.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rules;

/// `spec.vault`: the vault and the object in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = rules::vault)]
pub struct Vault {
    /// Short name of the vault: `myvault` of `https://myvault.vault.azure.net`.
    pub name: String,
    /// Accepted for compatibility and not used: the identity is configured on the controller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub azure_identity: Option<AzureIdentity>,
    /// The object to read.
    pub object: VaultObject,
}

/// `spec.vault.azureIdentity`: accepted, unused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "AzureIdentity")]
pub struct AzureIdentity {
    /// Name of an Azure identity; not used.
    pub name: String,
}

/// `spec.vault.object`: name, type and version of what is read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = rules::vault_object)]
pub struct VaultObject {
    /// Name of the object in the vault.
    pub name: String,
    /// What the object is.
    #[serde(rename = "type")]
    pub object_type: ObjectType,
    /// Pins one version of the object (32 hexadecimal digits). Left out: the latest version, followed as it changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// How the value of a multi-key-value-secret is written. Needed for that type, ignored for the others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_type: Option<ContentType>,
}

/// `spec.vault.object.type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ObjectType {
    // Plain comments: a doc comment per variant would turn the schema's `enum` into a `oneOf`.
    #[allow(missing_docs)]
    Secret,
    #[allow(missing_docs)]
    Certificate,
    #[allow(missing_docs)]
    Key,
    #[allow(missing_docs)]
    MultiKeyValueSecret,
}

/// `spec.vault.object.contentType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ContentType {
    #[allow(missing_docs)]
    #[serde(rename = "application/x-json")]
    Json,
    #[allow(missing_docs)]
    #[serde(rename = "application/x-yaml")]
    Yaml,
}

/// `spec.output`: what is written in the AKVS's own namespace. Left out: the AKVS serves the env injector only.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    /// Steps applied in order to the value of an object of type `secret`: `trim`, `base64encode`, `base64decode`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub transform: Vec<String>,
    /// The name `transform` had in v1alpha1; used when `transform` is empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub transforms: Vec<String>,
    /// How an object of type `key` (its public part) is written. Left out: `raw` for RSA, `pem` for EC.
    /// `raw` is the RSA modulus (big-endian bytes), `pem` a PEM public key (SPKI), `jwk` a JSON Web Key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_format: Option<KeyFormat>,
    /// The Secret to write.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<SecretOutput>,
    /// The ConfigMap to write.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map: Option<ConfigMapOutput>,
}

/// `spec.output.keyFormat`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum KeyFormat {
    #[allow(missing_docs)]
    Raw,
    #[allow(missing_docs)]
    Pem,
    #[allow(missing_docs)]
    Jwk,
}

/// `spec.output.secret`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = rules::secret_output, rename = "SecretOutput")]
pub struct SecretOutput {
    /// Name of the Secret.
    pub name: String,
    /// Type of the Secret. Left out: `Opaque`, and a certificate is written as its public part only.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub secret_type: Option<String>,
    /// Key under which the value is written. Not needed where the type or a multi-key-value-secret names the keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_key: Option<String>,
    /// `ensureserverfirst`: the server's certificate first, then its issuers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chain_order: Option<ChainOrder>,
}

/// `spec.output.secret.chainOrder`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ChainOrder {
    #[allow(missing_docs)]
    EnsureServerFirst,
}

/// `spec.output.configMap`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = rules::config_map_output, rename = "ConfigMapOutput")]
pub struct ConfigMapOutput {
    /// Name of the ConfigMap.
    pub name: String,
    /// Key under which the value is written; a multi-key-value-secret names its keys itself.
    pub data_key: String,
}
