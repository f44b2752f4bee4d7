//! Vault object → key/value pairs of a Secret or ConfigMap. Pure functions: no clock, no network, no environment.

use std::collections::BTreeMap;

use crate::secret::SecretBytes;

pub use self::output::{config_map_data, secret_data};

pub(crate) mod basic_auth;
mod docker;
pub(crate) mod limits;
pub(crate) mod multi_key;
mod output;
pub(crate) mod public_key;
#[cfg(test)]
#[allow(clippy::panic)]
pub(crate) mod testdata;
pub(crate) mod transform;

/// What an AKVS names: `spec.vault.object.type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SourceType {
    /// `secret`
    Secret,
    /// `certificate`
    Certificate,
    /// `key`
    Key,
    /// `multi-key-value-secret`, with its mandatory content type.
    MultiKeyValue(MultiKeyFormat),
}

/// `spec.vault.object.contentType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MultiKeyFormat {
    /// `application/x-json`
    Json,
    /// `application/x-yaml`
    Yaml,
}

/// One step of `spec.output.transform`, applied in order, only to [`SourceType::Secret`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Transform {
    /// `trim`: Unicode white space at both ends.
    Trim,
    /// `base64encode`: RFC 4648 standard alphabet, padded.
    Base64Encode,
    /// `base64decode`: the same; CR and LF are ignored.
    Base64Decode,
}

/// `output.keyFormat`: how a key (public part) is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyFormat {
    /// The RSA modulus, big-endian bytes, as upstream writes it.
    Raw,
    /// SPKI PEM.
    Pem,
    /// JSON Web Key.
    Jwk,
}

/// `output.secret` in parsed form.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SecretOutput {
    /// `type` exactly as written; `None` when omitted (which differs from `Opaque` for certificates).
    pub secret_type: Option<String>,
    /// `dataKey`; empty strings are parsed as `None`.
    pub data_key: Option<String>,
    /// `chainOrder: ensureserverfirst`.
    pub server_first: bool,
    /// `keyFormat`; `None` = raw for RSA, PEM for EC.
    pub key_format: Option<KeyFormat>,
}

/// `output.configMap` in parsed form.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ConfigMapOutput {
    /// `dataKey`; empty strings are parsed as `None`.
    pub data_key: Option<String>,
    /// `keyFormat`; `None` = raw for RSA, PEM for EC.
    pub key_format: Option<KeyFormat>,
}

/// Data of a Secret: key → bytes.
pub type SecretData = BTreeMap<String, SecretBytes>;

/// Data of a ConfigMap: text under `data`, all else under `binaryData`.
#[derive(Default)]
pub struct ConfigMapData {
    /// UTF-8 values without NUL.
    pub data: BTreeMap<String, SecretBytes>,
    /// The others.
    pub binary_data: BTreeMap<String, SecretBytes>,
}

/// What must be read from the vault so that `output` can be written: a certificate needs its private key only for
/// type `kubernetes.io/tls` and for an explicit `Opaque`.
pub fn needs_private_key(source: SourceType, output: &SecretOutput) -> bool {
    source == SourceType::Certificate && matches!(output.secret_type.as_deref(), Some("kubernetes.io/tls" | "Opaque"))
}
