//! `AzureKeyVaultSecret` → [`Request`]: everything checked once, before anything reaches the network.

use super::spec::{ChainOrder, ConfigMapOutput, ContentType, KeyFormat, ObjectType, Output, SecretOutput, Vault};
#[cfg(feature = "kube")]
use super::v2beta1::AzureKeyVaultSecret;
use crate::diagnosis::{Code, Diagnosis, Explanation, case};
use crate::object::limits::is_data_key;
use crate::object::{self, MultiKeyFormat, SourceType, Transform};
use crate::reference::{ObjectKind, ObjectName, ObjectRef, ObjectVersion, ReferenceError, VaultName};
use crate::text::shortened;

/// What an AKVS asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// What to read; a certificate with its private key only when the Secret output needs it.
    pub object: ObjectRef,
    /// What the object is.
    pub source: SourceType,
    /// Steps for the value; empty unless `source` is [`SourceType::Secret`].
    pub transforms: Vec<Transform>,
    /// Name and form of the Secret to write.
    pub secret: Option<(String, object::SecretOutput)>,
    /// Name and form of the ConfigMap to write.
    pub config_map: Option<(String, object::ConfigMapOutput)>,
    /// The ServiceAccount of the same namespace as which the vault is read; `None`: the controller's own identity reads.
    pub service_account: Option<String>,
    /// What is in the spec and has no effect, one sentence each, for an event.
    pub warnings: Vec<String>,
}

impl Request {
    /// Whether there is anything to write; an AKVS without output serves the env injector only.
    pub fn has_output(&self) -> bool {
        self.secret.is_some() || self.config_map.is_some()
    }
}

/// Checks the spec and turns it into a [`Request`].
///
/// # Errors
/// [`Code::InvalidSpec`], [`Code::DataKeyMissing`] or [`Code::DataKeyInvalid`]: what can never be synced until it is edited.
#[cfg(feature = "kube")]
pub fn parse(akvs: &AzureKeyVaultSecret) -> Result<Request, Box<Diagnosis>> {
    parse_spec(&akvs.spec.vault, akvs.spec.output.as_ref())
}

/// The same of the spec alone.
///
/// # Errors
/// As [`parse`].
pub fn parse_spec(vault: &Vault, output: Option<&Output>) -> Result<Request, Box<Diagnosis>> {
    let mut warnings = Vec::new();
    let source = source(vault)?;
    let output = output.cloned().unwrap_or_default();

    if vault.azure_identity.is_some() {
        warnings.push(
            "spec.vault.azureIdentity has no effect: name a ServiceAccount in spec.vault.serviceAccountName instead."
                .to_owned(),
        );
    }
    let transforms = transforms(&output, source, &mut warnings)?;
    let key_format = output.key_format.map(KeyFormat::into_domain);
    if key_format.is_some() && source != SourceType::Key {
        warnings.push("spec.output.keyFormat has no effect: it is for objects of type 'key'.".to_owned());
    }
    let secret = output
        .secret
        .as_ref()
        .map(|it| secret_output(it, source, key_format))
        .transpose()?;
    let config_map = output
        .config_map
        .as_ref()
        .map(|it| config_map_output(it, source, key_format))
        .transpose()?;

    Ok(Request {
        object: reference(vault, source, secret.as_ref().map(|(_, output)| output))?,
        source,
        transforms,
        secret,
        config_map,
        service_account: service_account(vault)?,
        warnings,
    })
}

/// An empty name is no name, and must not mean the program's own identity either.
pub(crate) fn service_account(vault: &Vault) -> Result<Option<String>, Box<Diagnosis>> {
    let name = vault.service_account_name.as_deref();
    name.map(|name| object_name("spec.vault.serviceAccountName", name))
        .transpose()
}

pub(crate) fn source(vault: &Vault) -> Result<SourceType, Box<Diagnosis>> {
    match (vault.object.object_type, vault.object.content_type) {
        (ObjectType::Secret, _) => Ok(SourceType::Secret),
        (ObjectType::Certificate, _) => Ok(SourceType::Certificate),
        (ObjectType::Key, _) => Ok(SourceType::Key),
        (ObjectType::MultiKeyValueSecret, Some(ContentType::Json)) => {
            Ok(SourceType::MultiKeyValue(MultiKeyFormat::Json))
        }
        (ObjectType::MultiKeyValueSecret, Some(ContentType::Yaml)) => {
            Ok(SourceType::MultiKeyValue(MultiKeyFormat::Yaml))
        }
        (ObjectType::MultiKeyValueSecret, None) => refuse("spec.vault.object.contentType", case::ContentTypeMissing),
    }
}

fn reference(
    vault: &Vault,
    source: SourceType,
    secret: Option<&object::SecretOutput>,
) -> Result<ObjectRef, Box<Diagnosis>> {
    let kind = match source {
        SourceType::Secret | SourceType::MultiKeyValue(_) => ObjectKind::Secret,
        SourceType::Key => ObjectKind::Key,
        SourceType::Certificate if secret.is_some_and(|output| object::needs_private_key(source, output)) => {
            ObjectKind::CertificateWithKey
        }
        SourceType::Certificate => ObjectKind::Certificate,
    };
    object(vault, kind)
}

/// The object that `vault` names, as a `kind`.
pub(crate) fn object(vault: &Vault, kind: ObjectKind) -> Result<ObjectRef, Box<Diagnosis>> {
    Ok(ObjectRef {
        vault: VaultName::parse(&vault.name).or_else(|e| invalid_name("spec.vault.name", &e))?,
        kind,
        name: ObjectName::parse(&vault.object.name).or_else(|e| invalid_name("spec.vault.object.name", &e))?,
        version: non_empty(vault.object.version.as_deref())
            .map(ObjectVersion::parse)
            .transpose()
            .or_else(|e| invalid_name("spec.vault.object.version", &e))?,
    })
}

/// The steps for a secret's value. For other types they have no effect, whatever they say.
pub(crate) fn transforms(
    output: &Output,
    source: SourceType,
    warnings: &mut Vec<String>,
) -> Result<Vec<Transform>, Box<Diagnosis>> {
    let (field, names) = if output.transform.is_empty() {
        ("spec.output.transforms", &output.transforms)
    } else {
        ("spec.output.transform", &output.transform)
    };
    if source != SourceType::Secret {
        if !names.is_empty() {
            warnings.push(format!("{field} has no effect: it is for objects of type 'secret'."));
        }
        return Ok(Vec::new());
    }
    if !output.transform.is_empty() && !output.transforms.is_empty() && output.transform != output.transforms {
        warnings.push("spec.output.transforms has no effect: spec.output.transform is used.".to_owned());
    }
    names.iter().map(|name| transform(field, name)).collect()
}

fn transform(field: &str, name: &str) -> Result<Transform, Box<Diagnosis>> {
    match name {
        "trim" => Ok(Transform::Trim),
        "base64encode" => Ok(Transform::Base64Encode),
        "base64decode" => Ok(Transform::Base64Decode),
        _ => {
            let transform = &format_args!("{:?}", shorten(name));
            refuse(field, case::TransformUnknown { transform })
        }
    }
}

fn secret_output(
    output: &SecretOutput,
    source: SourceType,
    key_format: Option<object::KeyFormat>,
) -> Result<(String, object::SecretOutput), Box<Diagnosis>> {
    let parsed = object::SecretOutput {
        secret_type: non_empty(output.secret_type.as_deref()).map(str::to_owned),
        data_key: non_empty(output.data_key.as_deref()).map(str::to_owned),
        server_first: output.chain_order == Some(ChainOrder::EnsureServerFirst),
        key_format,
    };
    if needs_data_key(source, parsed.secret_type.as_deref()) {
        check_data_key("spec.output.secret.dataKey", parsed.data_key.as_deref())?;
    }
    Ok((object_name("spec.output.secret.name", &output.name)?, parsed))
}

fn config_map_output(
    output: &ConfigMapOutput,
    source: SourceType,
    key_format: Option<object::KeyFormat>,
) -> Result<(String, object::ConfigMapOutput), Box<Diagnosis>> {
    let parsed = object::ConfigMapOutput {
        data_key: non_empty(Some(&output.data_key)).map(str::to_owned),
        key_format,
    };
    if needs_data_key(source, None) {
        check_data_key("spec.output.configMap.dataKey", parsed.data_key.as_deref())?;
    }
    Ok((object_name("spec.output.configMap.name", &output.name)?, parsed))
}

/// Whether the value goes under `dataKey`, or the Secret's type or the value itself names the keys.
fn needs_data_key(source: SourceType, secret_type: Option<&str>) -> bool {
    match source {
        SourceType::MultiKeyValue(_) => false,
        SourceType::Key => true,
        SourceType::Certificate => secret_type != Some("kubernetes.io/tls"),
        SourceType::Secret => !matches!(
            secret_type,
            Some(
                "kubernetes.io/basic-auth"
                    | "kubernetes.io/dockerconfigjson"
                    | "kubernetes.io/dockercfg"
                    | "kubernetes.io/ssh-auth"
                    | "kubernetes.io/tls"
            )
        ),
    }
}

fn check_data_key(field: &str, key: Option<&str>) -> Result<(), Box<Diagnosis>> {
    let Some(key) = key else {
        return refuse(field, Code::DataKeyMissing);
    };
    if is_data_key(key) {
        return Ok(());
    }
    let key = &format_args!("{:?}", shorten(key));
    refuse(field, case::DataKeyNotAllowed { key })
}

/// Whether Kubernetes takes `name` for an object or a namespace: RFC 1123 subdomains, at most 253 characters.
pub fn is_object_name(name: &str) -> bool {
    let legal_label = |label: &str| {
        !label.is_empty()
            && label
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.len() <= 253 && name.split('.').all(legal_label)
}

fn object_name(field: &str, name: &str) -> Result<String, Box<Diagnosis>> {
    if is_object_name(name) {
        return Ok(name.to_owned());
    }
    let name = &format_args!("{:?}", shorten(name));
    refuse(field, case::NameNotAllowed { name })
}

fn non_empty(text: Option<&str>) -> Option<&str> {
    text.filter(|text| !text.is_empty())
}

fn invalid_name<T>(field: &str, error: &ReferenceError) -> Result<T, Box<Diagnosis>> {
    match error {
        ReferenceError::Vault(_) => refuse(field, case::VaultNameInvalid { error }),
        ReferenceError::Object(_) => refuse(field, case::ObjectNameInvalid { error }),
        ReferenceError::Version(_) => refuse(field, case::VersionInvalid { error }),
    }
}

fn refuse<T>(field: &str, why: impl Into<Explanation>) -> Result<T, Box<Diagnosis>> {
    Err(Box::new(Diagnosis::case(why, format!("{field} cannot be used."))))
}

/// Keeps messages short whatever was typed.
fn shorten(text: &str) -> String {
    shortened(text, 60)
}

impl KeyFormat {
    pub(crate) fn into_domain(self) -> object::KeyFormat {
        match self {
            Self::Raw => object::KeyFormat::Raw,
            Self::Pem => object::KeyFormat::Pem,
            Self::Jwk => object::KeyFormat::Jwk,
        }
    }
}

#[cfg(test)]
#[cfg(feature = "kube")]
mod tests;
