//! `/keys`.

use serde::Deserialize;
use serde_json::{Value, json};

use super::Ids;
use super::error::VaultError;
use super::objects::{AttributeChange, Attributes, Collection, Object, Tags, Version};
use crate::emulator::crypto::{Curve, KeyType, PrivateKey, PublicKey};
use crate::emulator::operation::Kind;

/// What one version of a key holds.
#[derive(Clone)]
pub(crate) struct KeyContent {
    pub(crate) key: PrivateKey,
    /// `kty` as asked for: `RSA`, `RSA-HSM`, `EC`, `EC-HSM`.
    pub(crate) kty: String,
    pub(crate) operations: Vec<String>,
}

impl KeyContent {
    /// A software key with the operations the service allows by default.
    pub(crate) fn new(key: PrivateKey) -> Self {
        let kty = match key.public() {
            PublicKey::Rsa { .. } => "RSA",
            PublicKey::Ec { .. } => "EC",
        };
        Self {
            operations: default_operations(kty),
            kty: kty.to_owned(),
            key,
        }
    }

    /// The public part with identifier and operations.
    fn jwk(&self, id: String) -> Value {
        let mut jwk = self.key.public().jwk();
        jwk.insert("kid".into(), id.into());
        jwk.insert("kty".into(), self.kty.as_str().into());
        jwk.insert("key_ops".into(), self.operations.clone().into());
        jwk.into()
    }
}

fn default_operations(kty: &str) -> Vec<String> {
    let rsa: &[&str] = &["encrypt", "decrypt", "sign", "verify", "wrapKey", "unwrapKey"];
    let operations = if kty.starts_with("EC") {
        &["sign", "verify"]
    } else {
        rsa
    };
    operations.iter().map(|operation| (*operation).to_owned()).collect()
}

/// Body of `POST /keys/{name}/create` and `PATCH /keys/{name}/{version}`.
#[derive(Debug, Default, Deserialize)]
pub(super) struct KeyBody {
    kty: Option<String>,
    key_size: Option<u32>,
    crv: Option<String>,
    key_ops: Option<Vec<String>>,
    attributes: Option<AttributeChange>,
    tags: Option<Tags>,
}

impl KeyBody {
    pub(super) fn key_type(&self) -> Result<KeyType, VaultError> {
        let kty = self
            .kty
            .as_deref()
            .ok_or_else(|| VaultError::bad_parameter("Property kty must be specified."))?;
        key_type(kty, self.key_size, self.crv.as_deref())
    }
}

/// The key that `kty`, `key_size` and `crv` describe; sizes and curves have the service's defaults.
pub(super) fn key_type(kty: &str, size: Option<u32>, curve: Option<&str>) -> Result<KeyType, VaultError> {
    match kty {
        "RSA" | "RSA-HSM" => match size.unwrap_or(2048) {
            size @ (2048 | 3072 | 4096) => Ok(KeyType::Rsa(size)),
            other => Err(VaultError::bad_parameter(format!(
                "Property key_size has invalid value {other}."
            ))),
        },
        "EC" | "EC-HSM" => {
            let name = curve.unwrap_or("P-256");
            let unknown = || VaultError::bad_parameter(format!("Property crv has invalid value {name}."));
            Curve::from_name(name).map(KeyType::Ec).ok_or_else(unknown)
        }
        other => Err(VaultError::bad_parameter(format!(
            "Property kty has invalid value {other}."
        ))),
    }
}

/// Adds a version with a key made before.
pub(super) fn create(
    keys: &mut Collection<KeyContent>,
    name: &str,
    body: KeyBody,
    key: PrivateKey,
    now: i64,
) -> Result<String, VaultError> {
    let mut attributes = Attributes::new(now);
    body.attributes.unwrap_or_default().apply(&mut attributes);
    let kty = body.kty.unwrap_or_default();
    let operations = body.key_ops.unwrap_or_else(|| default_operations(&kty));
    let content = KeyContent { key, kty, operations };
    keys.add(name, Version::new(content, attributes, body.tags.unwrap_or_default()))
}

/// Changes attributes, tags and operations of a version.
pub(super) fn update(
    keys: &mut Collection<KeyContent>,
    name: &str,
    version: Option<&str>,
    body: KeyBody,
    now: i64,
) -> Result<String, VaultError> {
    let version = keys.version_mut(name, version)?;
    version.change(&body.attributes.unwrap_or_default(), body.tags, now);
    version.content.operations = body
        .key_ops
        .unwrap_or_else(|| std::mem::take(&mut version.content.operations));
    Ok(version.id.clone())
}

/// `KeyBundle` of the REST reference.
pub(super) fn bundle(ids: &Ids<'_>, object: &Object<KeyContent>, version: &Version<KeyContent>) -> Value {
    let mut json = metadata(version);
    json["key"] = version.content.jwk(ids.version(Kind::Key, &object.name, &version.id));
    json
}

/// `KeyItem`.
pub(super) fn item(id: &str, version: &Version<KeyContent>) -> Value {
    let mut json = metadata(version);
    json["kid"] = id.into();
    json
}

fn metadata(version: &Version<KeyContent>) -> Value {
    let mut json = json!({ "attributes": version.attributes.json(), "tags": version.tags });
    if version.managed {
        json["managed"] = true.into();
    }
    json
}
