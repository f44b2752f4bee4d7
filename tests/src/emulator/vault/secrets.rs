//! `/secrets`.

use serde::Deserialize;
use serde_json::{Value, json};

use super::Ids;
use super::error::VaultError;
use super::objects::{AttributeChange, Attributes, Collection, Object, Tags, Version};
use crate::emulator::operation::Kind;

/// The service's limit for a value.
const LARGEST_VALUE: usize = 25 * 1024;
const LONGEST_CONTENT_TYPE: usize = 255;

/// What one version of a secret holds.
#[derive(Debug, Clone)]
pub(crate) struct SecretContent {
    pub(crate) value: String,
    pub(crate) content_type: Option<String>,
    /// Identifier of the key behind a certificate's secret.
    pub(crate) key_id: Option<String>,
}

/// Body of `PUT /secrets/{name}` and `PATCH /secrets/{name}/{version}`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SecretBody {
    pub(super) value: Option<String>,
    pub(super) content_type: Option<String>,
    pub(super) attributes: Option<AttributeChange>,
    pub(super) tags: Option<Tags>,
}

impl SecretBody {
    fn check(&self) -> Result<(), VaultError> {
        if self.value.as_ref().is_some_and(|value| value.len() > LARGEST_VALUE) {
            return Err(VaultError::bad_parameter(format!(
                "Property has invalid value: the value may hold at most {LARGEST_VALUE} bytes."
            )));
        }
        if self
            .content_type
            .as_ref()
            .is_some_and(|content_type| content_type.len() > LONGEST_CONTENT_TYPE)
        {
            return Err(VaultError::bad_parameter(format!(
                "Property contentType has invalid value: at most {LONGEST_CONTENT_TYPE} characters."
            )));
        }
        Ok(())
    }
}

/// Adds a version.
pub(super) fn set(
    secrets: &mut Collection<SecretContent>,
    name: &str,
    body: SecretBody,
    now: i64,
) -> Result<String, VaultError> {
    body.check()?;
    let value = body
        .value
        .ok_or_else(|| VaultError::bad_parameter("Property value must be specified."))?;
    if secrets.managed(name) {
        return Err(VaultError::managed(Kind::Secret, name));
    }
    let mut attributes = Attributes::new(now);
    body.attributes.unwrap_or_default().apply(&mut attributes);
    let content = SecretContent {
        value,
        content_type: body.content_type,
        key_id: None,
    };
    secrets.add(name, Version::new(content, attributes, body.tags.unwrap_or_default()))
}

/// Changes attributes, tags and content type of a version; the value stays.
pub(super) fn update(
    secrets: &mut Collection<SecretContent>,
    name: &str,
    version: Option<&str>,
    body: SecretBody,
    now: i64,
) -> Result<String, VaultError> {
    body.check()?;
    let version = secrets.version_mut(name, version)?;
    version.change(&body.attributes.unwrap_or_default(), body.tags, now);
    version.content.content_type = body.content_type.or(version.content.content_type.take());
    Ok(version.id.clone())
}

/// `SecretBundle` of the REST reference.
pub(super) fn bundle(ids: &Ids<'_>, object: &Object<SecretContent>, version: &Version<SecretContent>) -> Value {
    let mut json = metadata(version);
    json["id"] = ids.version(Kind::Secret, &object.name, &version.id).into();
    json["value"] = version.content.value.as_str().into();
    if let Some(key_id) = &version.content.key_id {
        json["kid"] = key_id.as_str().into();
    }
    json
}

/// `SecretItem`: what listings and deleted secrets show, never the value.
pub(super) fn item(id: &str, version: &Version<SecretContent>) -> Value {
    let mut json = metadata(version);
    json["id"] = id.into();
    json
}

fn metadata(version: &Version<SecretContent>) -> Value {
    let mut json = json!({ "attributes": version.attributes.json(), "tags": version.tags });
    if let Some(content_type) = &version.content.content_type {
        json["contentType"] = content_type.as_str().into();
    }
    if version.managed {
        json["managed"] = true.into();
    }
    json
}
