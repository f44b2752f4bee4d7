//! `AzureKeyVaultSecret` → [`Request`]: everything checked once, before anything reaches the network.

use super::spec::{ChainOrder, ConfigMapOutput, ContentType, KeyFormat, ObjectType, Output, SecretOutput, Vault};
use super::v2beta1::AzureKeyVaultSecret;
use crate::diagnosis::{Code, Diagnosis};
use crate::object::{self, MultiKeyFormat, SourceType, Transform};
use crate::reference::{ObjectKind, ObjectName, ObjectRef, ObjectVersion, ReferenceError, VaultName};

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
pub fn parse(akvs: &AzureKeyVaultSecret) -> Result<Request, Box<Diagnosis>> {
    let mut warnings = Vec::new();
    let vault = &akvs.spec.vault;
    let source = source(vault)?;
    let output = akvs.spec.output.clone().unwrap_or_default();

    if vault.azure_identity.is_some() {
        warnings.push(
            "spec.vault.azureIdentity has no effect: the vault is read with the identity configured on the controller."
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
        warnings,
    })
}

fn source(vault: &Vault) -> Result<SourceType, Box<Diagnosis>> {
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
        (ObjectType::MultiKeyValueSecret, None) => Err(invalid(
            "spec.vault.object.contentType",
            "A multi-key-value-secret needs to say how its value is written.",
            "Write 'contentType: application/x-json' or 'contentType: application/x-yaml'.",
        )),
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
    Ok(ObjectRef {
        vault: VaultName::parse(&vault.name).map_err(|e| invalid_name("spec.vault.name", &e))?,
        kind,
        name: ObjectName::parse(&vault.object.name).map_err(|e| invalid_name("spec.vault.object.name", &e))?,
        version: non_empty(vault.object.version.as_deref())
            .map(ObjectVersion::parse)
            .transpose()
            .map_err(|e| invalid_name("spec.vault.object.version", &e))?,
    })
}

/// The steps for a secret's value. For other types they have no effect, whatever they say.
fn transforms(
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
        _ => Err(invalid(
            field,
            &format!("There is no transform {:?}.", shorten(name)),
            "Write 'trim', 'base64encode' or 'base64decode'.",
        )),
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
    Ok((output_name("spec.output.secret.name", &output.name)?, parsed))
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
    Ok((output_name("spec.output.configMap.name", &output.name)?, parsed))
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

/// Rules of data keys: <https://kubernetes.io/docs/concepts/configuration/secret/#restriction-names-data>.
fn check_data_key(field: &str, key: Option<&str>) -> Result<(), Box<Diagnosis>> {
    let Some(key) = key else {
        return Err(diagnosis(
            Code::DataKeyMissing,
            field,
            "Nothing says under which key the value goes.",
            "Write the key, for example 'dataKey: password'.",
        ));
    };
    let legal = key.len() <= 253
        && key
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
        && key != "."
        && !key.starts_with("..");
    if legal {
        return Ok(());
    }
    Err(diagnosis(
        Code::DataKeyInvalid,
        field,
        &format!("Kubernetes does not allow the data key {:?}.", shorten(key)),
        "Write up to 253 letters, digits, '-', '_' and '.', for example 'dataKey: password'.",
    ))
}

/// Rules of object names: RFC 1123 subdomains, at most 253 characters.
fn output_name(field: &str, name: &str) -> Result<String, Box<Diagnosis>> {
    let legal_label = |label: &str| {
        !label.is_empty()
            && label
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if name.len() <= 253 && name.split('.').all(legal_label) {
        return Ok(name.to_owned());
    }
    Err(invalid(
        field,
        &format!("Kubernetes does not allow the name {:?}.", shorten(name)),
        "Write lower-case letters, digits, '-' and '.', beginning and ending with a letter or digit.",
    ))
}

fn non_empty(text: Option<&str>) -> Option<&str> {
    text.filter(|text| !text.is_empty())
}

fn invalid_name(field: &str, error: &ReferenceError) -> Box<Diagnosis> {
    let fix = match error {
        ReferenceError::Vault(_) => "Write the vault's short name, for example 'name: my-vault'.",
        ReferenceError::Object(_) => "Write the object's name as the vault shows it, for example 'name: db-password'.",
        ReferenceError::Version(_) => "Write the version's 32 hexadecimal digits, or leave 'version' out.",
    };
    invalid(field, &format!("{error}."), fix)
}

fn invalid(field: &str, cause: &str, fix: &str) -> Box<Diagnosis> {
    diagnosis(Code::InvalidSpec, field, cause, fix)
}

fn diagnosis(code: Code, field: &str, cause: &str, fix: &str) -> Box<Diagnosis> {
    Box::new(Diagnosis {
        code,
        what: format!("{field} cannot be used."),
        cause: cause.to_owned(),
        fix: fix.to_owned(),
    })
}

/// Keeps messages short whatever was typed.
fn shorten(text: &str) -> String {
    const LONGEST: usize = 60;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

impl KeyFormat {
    fn into_domain(self) -> object::KeyFormat {
        match self {
            Self::Raw => object::KeyFormat::Raw,
            Self::Pem => object::KeyFormat::Pem,
            Self::Jwk => object::KeyFormat::Jwk,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// The AKVS with this `spec`, as the API server would hand it over.
    fn akvs(spec: Value) -> AzureKeyVaultSecret {
        serde_json::from_value(json!({
            "apiVersion": "spv.no/v2beta1", "kind": "AzureKeyVaultSecret",
            "metadata": {"name": "db", "namespace": "team"},
            "spec": spec,
        }))
        .unwrap()
    }

    fn with_object(object: Value, output: Value) -> AzureKeyVaultSecret {
        akvs(json!({"vault": {"name": "My-Vault", "object": object}, "output": output}))
    }

    #[test]
    fn a_complete_spec_becomes_a_request() {
        let request = parse(&with_object(
            json!({"name": "db-password", "type": "secret", "version": "AB".repeat(16)}),
            json!({
                "transform": ["trim", "base64decode"],
                "secret": {"name": "db", "dataKey": "password"},
                "configMap": {"name": "db.settings", "dataKey": "password"},
            }),
        ))
        .unwrap();
        assert_eq!(
            request.object.to_string(),
            format!("secret 'db-password' in vault 'my-vault', version {}", "ab".repeat(16))
        );
        assert_eq!(request.transforms, [Transform::Trim, Transform::Base64Decode]);
        let (name, secret) = request.secret.unwrap();
        assert_eq!(
            (name.as_str(), secret.data_key.as_deref(), secret.secret_type),
            ("db", Some("password"), None)
        );
        assert_eq!(request.config_map.unwrap().0, "db.settings");
        assert_eq!(request.warnings, Vec::<String>::new());
    }

    #[test]
    fn without_output_there_is_nothing_to_write() {
        let request = parse(&akvs(
            json!({"vault": {"name": "vault", "object": {"name": "s", "type": "secret"}}}),
        ))
        .unwrap();
        assert!(!request.has_output());
    }

    #[test]
    fn the_private_key_is_read_only_for_outputs_that_hold_it() {
        for (output, kind) in [
            (
                json!({"secret": {"name": "s", "type": "kubernetes.io/tls"}}),
                ObjectKind::CertificateWithKey,
            ),
            (
                json!({"secret": {"name": "s", "type": "Opaque", "dataKey": "k"}}),
                ObjectKind::CertificateWithKey,
            ),
            (
                json!({"secret": {"name": "s", "dataKey": "k"}}),
                ObjectKind::Certificate,
            ),
            (
                json!({"secret": {"name": "s", "type": "", "dataKey": "k"}}),
                ObjectKind::Certificate,
            ),
            (
                json!({"configMap": {"name": "s", "dataKey": "k"}}),
                ObjectKind::Certificate,
            ),
            (json!({}), ObjectKind::Certificate),
        ] {
            let request = parse(&with_object(
                json!({"name": "c", "type": "certificate"}),
                output.clone(),
            ))
            .unwrap();
            assert_eq!(request.object.kind, kind, "{output}");
        }
    }

    #[test]
    fn the_old_name_of_transform_is_understood() {
        let object = json!({"name": "s", "type": "secret"});
        let old = parse(&with_object(object.clone(), json!({"transforms": ["trim"]}))).unwrap();
        assert_eq!((old.transforms, old.warnings.len()), (vec![Transform::Trim], 0));
        let both = parse(&with_object(
            object,
            json!({"transform": ["base64encode"], "transforms": ["trim"]}),
        ))
        .unwrap();
        assert_eq!(
            (both.transforms, both.warnings.len()),
            (vec![Transform::Base64Encode], 1)
        );
    }

    #[test]
    fn what_has_no_effect_is_said() {
        let request = parse(&akvs(json!({
            "vault": {
                "name": "vault",
                "azureIdentity": {"name": "me"},
                "object": {"name": "c", "type": "certificate"},
            },
            "output": {"transform": ["rot13"], "keyFormat": "pem", "secret": {"name": "s", "dataKey": "k"}},
        })))
        .unwrap();
        assert_eq!(request.transforms, []);
        let fields = ["azureIdentity", "transform", "keyFormat"];
        assert_eq!(request.warnings.len(), fields.len());
        for (warning, field) in request.warnings.iter().zip(fields) {
            assert!(warning.starts_with("spec.") && warning.contains(field), "{warning}");
        }
    }

    #[test]
    fn what_can_never_be_synced_is_refused_and_the_fix_says_what_to_write() {
        let secret = |name: &str| json!({"name": name, "type": "secret"});
        let keyed = json!({"secret": {"name": "s", "dataKey": "k"}});
        for (object, output, code, field) in [
            (
                secret("../keys/k1"),
                keyed.clone(),
                Code::InvalidSpec,
                "spec.vault.object.name",
            ),
            (
                secret(&"a".repeat(500)),
                keyed.clone(),
                Code::InvalidSpec,
                "spec.vault.object.name",
            ),
            (
                json!({"name": "s", "type": "secret", "version": "latest"}),
                keyed.clone(),
                Code::InvalidSpec,
                "spec.vault.object.version",
            ),
            (
                json!({"name": "s", "type": "multi-key-value-secret"}),
                keyed.clone(),
                Code::InvalidSpec,
                "spec.vault.object.contentType",
            ),
            (
                secret("s"),
                json!({"transform": ["trim", "rot13"], "secret": {"name": "s", "dataKey": "k"}}),
                Code::InvalidSpec,
                "spec.output.transform",
            ),
            (
                secret("s"),
                json!({"secret": {"name": "s"}}),
                Code::DataKeyMissing,
                "spec.output.secret.dataKey",
            ),
            (
                secret("s"),
                json!({"secret": {"name": "s", "type": "example.com/mine", "dataKey": ""}}),
                Code::DataKeyMissing,
                "spec.output.secret.dataKey",
            ),
            (
                json!({"name": "k", "type": "key"}),
                json!({"secret": {"name": "s", "type": "kubernetes.io/tls"}}),
                Code::DataKeyMissing,
                "spec.output.secret.dataKey",
            ),
            (
                secret("s"),
                json!({"configMap": {"name": "s", "dataKey": ""}}),
                Code::DataKeyMissing,
                "spec.output.configMap.dataKey",
            ),
            (
                secret("s"),
                json!({"secret": {"name": "s", "dataKey": "a/b"}}),
                Code::DataKeyInvalid,
                "spec.output.secret.dataKey",
            ),
            (
                secret("s"),
                json!({"secret": {"name": "Upper", "dataKey": "k"}}),
                Code::InvalidSpec,
                "spec.output.secret.name",
            ),
            (
                secret("s"),
                json!({"configMap": {"name": "a..b", "dataKey": "k"}}),
                Code::InvalidSpec,
                "spec.output.configMap.name",
            ),
        ] {
            let failure = parse(&with_object(object, output)).unwrap_err();
            assert_eq!(failure.code, code, "{failure:?}");
            assert!(failure.what.starts_with(field), "{failure:?}");
            assert!(failure.fix.starts_with("Write "), "{failure:?}");
            assert!(failure.to_string().len() < 500, "{failure:?}");
        }
    }

    #[test]
    fn hostile_vault_names_are_refused() {
        for name in [
            "evil.com#",
            "https://my-vault",
            "my-vault.vault.azure.net",
            "",
            "ünicode",
            "a@b",
        ] {
            let failure = parse(&akvs(
                json!({"vault": {"name": name, "object": {"name": "s", "type": "secret"}}}),
            ))
            .unwrap_err();
            assert_eq!(
                (failure.code, failure.what.as_str()),
                (Code::InvalidSpec, "spec.vault.name cannot be used.")
            );
        }
    }

    #[test]
    fn keys_are_named_by_the_type_or_the_value_where_they_can_be() {
        let typed = |object: &str, secret: &str| {
            with_object(
                json!({"name": "o", "type": object, "contentType": "application/x-yaml"}),
                json!({"secret": {"name": "s", "type": secret}, "keyFormat": "jwk"}),
            )
        };
        for (object, secret) in [
            ("secret", "kubernetes.io/basic-auth"),
            ("secret", "kubernetes.io/dockerconfigjson"),
            ("secret", "kubernetes.io/dockercfg"),
            ("secret", "kubernetes.io/ssh-auth"),
            ("secret", "kubernetes.io/tls"),
            ("certificate", "kubernetes.io/tls"),
            ("multi-key-value-secret", "Opaque"),
        ] {
            assert!(parse(&typed(object, secret)).is_ok(), "{object} {secret}");
        }
        let key = parse(&with_object(
            json!({"name": "k", "type": "key"}),
            json!({"keyFormat": "jwk", "secret": {"name": "s", "dataKey": "k"}, "configMap": {"name": "s", "dataKey": "k"}}),
        ))
        .unwrap();
        assert_eq!(key.secret.unwrap().1.key_format, Some(object::KeyFormat::Jwk));
        assert_eq!(key.config_map.unwrap().1.key_format, Some(object::KeyFormat::Jwk));
    }
}
