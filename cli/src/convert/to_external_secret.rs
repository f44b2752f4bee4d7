//! AKVS → `ExternalSecret`: one for each Secret, with an entry for each AKVS that writes into it.

use std::collections::BTreeMap;

use akv2k8s_shared::api::{AzureKeyVaultSecret, ContentType, KeyFormat, ObjectType, SecretOutput, VaultObject};
use serde_json::{Value, json};

use super::{Converted, about};
use crate::manifests;

/// `documents` as ExternalSecrets; `store` is the name of the SecretStore, or that of the vault.
pub(crate) fn to_external_secrets(documents: &[Value], store: Option<&str>) -> Converted {
    let mut converted = Converted::default();
    let mut secrets: BTreeMap<(String, String), Value> = BTreeMap::new();
    for document in documents {
        if !manifests::is_akvs(document) {
            converted.lost(document, "it is no AzureKeyVaultSecret");
            continue;
        }
        let akvs = match manifests::read(document.clone()) {
            Ok(akvs) => akvs,
            Err(error) => {
                converted.lost(document, format!("{error:#}"));
                continue;
            }
        };
        let Some(output) = secret(document, &akvs, &mut converted) else {
            continue;
        };
        let Some((list, entry)) = entry(document, &akvs, output, &mut converted) else {
            continue;
        };
        let store = store.unwrap_or(&akvs.spec.vault.name);
        let key = (akvs.metadata.namespace.clone().unwrap_or_default(), output.name.clone());
        let made = secrets.entry(key).or_insert_with(|| blank(&akvs, output, store));
        if made["spec"]["secretStoreRef"]["name"] != json!(store) {
            converted.lost(
                document,
                format!(
                    "Secret {} has values of several vaults: entries name one store",
                    output.name
                ),
            );
            continue;
        }
        if let Some(entries) = made["spec"][list].as_array_mut() {
            entries.push(entry);
        } else {
            made["spec"][list] = json!([entry]);
        }
        let vault = &akvs.spec.vault.name;
        converted.differs(
            document,
            format!("a SecretStore '{store}' with vaultUrl of vault '{vault}' and a way to authenticate is to be made"),
        );
    }
    converted.documents.extend(secrets.into_values());
    converted
}

/// The Secret that it writes.
fn secret<'a>(document: &Value, akvs: &'a AzureKeyVaultSecret, converted: &mut Converted) -> Option<&'a SecretOutput> {
    let output = akvs.spec.output.as_ref();
    if output.is_some_and(|output| output.config_map.is_some()) {
        converted.lost(document, "a ConfigMap has no equivalent");
    }
    let secret = output.and_then(|output| output.secret.as_ref());
    if output.is_none() {
        converted.lost(
            document,
            "without an output it serves the env injector, which has no equivalent",
        );
    }
    secret
}

fn blank(akvs: &AzureKeyVaultSecret, output: &SecretOutput, store: &str) -> Value {
    let metadata = &akvs.metadata;
    let mut target = json!({"name": output.name});
    if let Some(secret_type) = output.secret_type.as_deref().filter(|it| *it != "Opaque") {
        target["template"] = json!({"type": secret_type});
    }
    let mut made = json!({
        "apiVersion": "external-secrets.io/v1",
        "kind": "ExternalSecret",
        "metadata": {"name": output.name},
        "spec": {"secretStoreRef": {"kind": "SecretStore", "name": store}, "target": target},
    });
    if let Some(namespace) = &metadata.namespace {
        made["metadata"]["namespace"] = json!(namespace);
    }
    made
}

/// `data` or `dataFrom`, and the entry for it.
fn entry(
    document: &Value,
    akvs: &AzureKeyVaultSecret,
    output: &SecretOutput,
    converted: &mut Converted,
) -> Option<(&'static str, Value)> {
    let object = &akvs.spec.vault.object;
    let (key, name) = match filled(document, akvs, output) {
        Ok(Filled::All) => return Some(("dataFrom", json!({"extract": remote(object, &object.name)}))),
        Ok(Filled::Key(key, name)) => (key?, name),
        Err(lost) => {
            converted.lost(document, lost);
            return None;
        }
    };
    let mut remote = remote(object, &name);
    if object.object_type == ObjectType::Secret {
        match decoding(akvs) {
            Ok(None) => {}
            Ok(Some(strategy)) => remote["decodingStrategy"] = json!(strategy),
            Err(lost) => {
                converted.lost(document, lost);
                return None;
            }
        }
    }
    if object.object_type == ObjectType::Certificate {
        converted.differs(document, "the certificate is written as DER, where an AKVS writes PEM");
    }
    Some(("data", json!({"secretKey": key, "remoteRef": remote})))
}

/// What of a Secret an entry fills.
enum Filled<'a> {
    /// All keys, by a JSON value.
    All,
    /// One key, where the AKVS names one, by the object of this name.
    Key(Option<&'a str>, String),
}

/// What an `ExternalSecret` has for such an object and type; or what has no equivalent.
fn filled<'a>(document: &Value, akvs: &AzureKeyVaultSecret, output: &'a SecretOutput) -> Result<Filled<'a>, String> {
    let object = &akvs.spec.vault.object;
    let format = akvs.spec.output.as_ref().and_then(|output| output.key_format);
    let data_key = output.data_key.as_deref();
    match (object.object_type, output.secret_type.as_deref()) {
        (ObjectType::Secret, None | Some("Opaque")) => Ok(Filled::Key(data_key, object.name.clone())),
        (ObjectType::Secret, Some("kubernetes.io/dockerconfigjson")) => {
            Ok(Filled::Key(Some(".dockerconfigjson"), object.name.clone()))
        }
        (ObjectType::Secret, Some("kubernetes.io/ssh-auth")) => {
            Ok(Filled::Key(Some("ssh-privatekey"), object.name.clone()))
        }
        (ObjectType::MultiKeyValueSecret, _) if object.content_type == Some(ContentType::Json) => Ok(Filled::All),
        (ObjectType::MultiKeyValueSecret, _) => {
            Err("a YAML value has no equivalent: External Secrets extracts JSON".to_owned())
        }
        (ObjectType::Certificate, None) => Ok(Filled::Key(data_key, format!("cert/{}", object.name))),
        (ObjectType::Key, None | Some("Opaque")) if format == Some(KeyFormat::Jwk) => {
            Ok(Filled::Key(data_key, format!("key/{}", object.name)))
        }
        (ObjectType::Key, _) => Err("a key has no equivalent but with keyFormat jwk".to_owned()),
        (_, Some(other)) => Err(format!(
            "type {other} has no equivalent that is filled from one object: write a template for {}",
            about(document)
        )),
    }
}

/// The decoding strategy that stands for the transform of a secret.
fn decoding(akvs: &AzureKeyVaultSecret) -> Result<Option<&'static str>, &'static str> {
    let Some(output) = &akvs.spec.output else {
        return Ok(None);
    };
    let steps = if output.transform.is_empty() {
        &output.transforms
    } else {
        &output.transform
    };
    match steps.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [] => Ok(None),
        ["base64decode"] => Ok(Some("Base64")),
        _ => Err("its transform has no equivalent but base64decode alone"),
    }
}

/// The object `key` of the provider, in the version that is asked for.
fn remote(object: &VaultObject, key: &str) -> Value {
    let mut remote = json!({"key": key});
    if let Some(version) = &object.version {
        remote["version"] = json!(version);
    }
    remote
}
