//! What a vault answers, in our own terms: no SDK type crosses this line.

use crate::reference::ObjectVersion;
use crate::secret::SecretBytes;

/// Lifecycle attributes of one version; times are Unix seconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attributes {
    /// Disabled versions cannot be read.
    pub enabled: bool,
    /// When this version was made.
    pub created: Option<i64>,
    /// When this version or its attributes last changed.
    pub updated: Option<i64>,
    /// `exp`: advisory for secrets.
    pub expires: Option<i64>,
    /// `nbf`: advisory for secrets.
    pub not_before: Option<i64>,
}

/// Change mark of an object, made of its attributes, content type and tags (certificates: also `x5t`), never of a
/// secret value. Equal marks mean "unchanged"; the order of marks means nothing.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Fingerprint(pub String);

/// A secret and its value.
pub struct SecretObject {
    /// The value; Key Vault stores text, so these bytes are UTF-8.
    pub value: SecretBytes,
    /// `contentType`, as set by whoever wrote the secret.
    pub content_type: Option<String>,
    /// The version that was read.
    pub version: ObjectVersion,
    /// Its attributes.
    pub attributes: Attributes,
}

/// A certificate, with the secret behind it when the private key was asked for.
pub struct CertificateObject {
    /// The certificate itself, DER.
    pub cer: Vec<u8>,
    /// `policy.key_props.exportable`; `None` when the vault sent no policy.
    pub exportable: Option<bool>,
    /// The version that was read.
    pub version: ObjectVersion,
    /// Its attributes.
    pub attributes: Attributes,
    /// PFX (base64) or PEM with key and chain; `None` unless asked for.
    pub secret: Option<SecretObject>,
}

/// The public part of a key, as a JSON Web Key (RFC 7517); numbers are big-endian bytes.
pub struct KeyObject {
    /// `kty`: `RSA`, `RSA-HSM`, `EC`, `EC-HSM`, `oct`, `oct-HSM`.
    pub kty: String,
    /// `crv`: `P-256`, `P-384`, `P-521`, `P-256K`.
    pub crv: Option<String>,
    /// RSA modulus.
    pub n: Option<Vec<u8>>,
    /// RSA public exponent.
    pub e: Option<Vec<u8>>,
    /// EC x coordinate.
    pub x: Option<Vec<u8>>,
    /// EC y coordinate.
    pub y: Option<Vec<u8>>,
    /// `kid`: the key's identifier, a URL with the version.
    pub kid: Option<String>,
    /// `key_ops`.
    pub operations: Vec<String>,
    /// The version that was read.
    pub version: ObjectVersion,
    /// Its attributes.
    pub attributes: Attributes,
}

/// What a read gave.
pub enum VaultObject {
    /// Of [`crate::reference::ObjectKind::Secret`].
    Secret(SecretObject),
    /// Of [`crate::reference::ObjectKind::Certificate`] and `CertificateWithKey`.
    Certificate(CertificateObject),
    /// Of [`crate::reference::ObjectKind::Key`].
    Key(KeyObject),
}

impl VaultObject {
    /// The version that was read.
    pub fn version(&self) -> &ObjectVersion {
        match self {
            Self::Secret(secret) => &secret.version,
            Self::Certificate(certificate) => &certificate.version,
            Self::Key(key) => &key.version,
        }
    }

    /// Its attributes.
    pub fn attributes(&self) -> &Attributes {
        match self {
            Self::Secret(secret) => &secret.attributes,
            Self::Certificate(certificate) => &certificate.attributes,
            Self::Key(key) => &key.attributes,
        }
    }
}
