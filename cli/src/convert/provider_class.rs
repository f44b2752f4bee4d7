//! `SecretProviderClass` of the Secrets Store CSI driver, provider `azure` → AKVS.
//!
//! Fields: <https://azure.github.io/secrets-store-csi-driver-provider-azure/docs/getting-started/usage/> and
//! <https://secrets-store-csi-driver.sigs.k8s.io/topics/sync-as-kubernetes-secret>.

use std::collections::BTreeSet;

use serde_json::Value;

use super::akvs::{Pairs, Source, Target, manifest};
use super::{Converted, list, some_text, suffixed, text};

const OPAQUE: &str = "Opaque";
const TLS: &str = "kubernetes.io/tls";

/// An object that is mounted.
struct Mounted {
    /// Under which it is mounted.
    alias: String,
    source: Source,
    transform: Option<&'static str>,
}

/// Adds what `document` becomes.
pub(super) fn convert(document: &Value, converted: &mut Converted) {
    if text(document, "/spec/provider") != "azure" {
        let provider = text(document, "/spec/provider");
        return converted.lost(document, format!("its provider is {provider:?}, not azure"));
    }
    converted.differs(
        document,
        "vaults are read as the controller, or as spec.vault.serviceAccountName: the class says only which client id",
    );
    let mounted = mounted(document, converted);
    let mut used = BTreeSet::new();
    for secret in list(document, "/spec/secretObjects") {
        secret_object(document, secret, &mounted, &mut used, converted);
    }
    let name = text(document, "/metadata/name");
    for object in mounted.iter().filter(|object| !used.contains(&object.alias)) {
        let akvs = converted.name(document, &suffixed(name, &object.alias));
        let encoded = if object.transform.is_some() {
            ", which gives the value in base64 as it is"
        } else {
            ""
        };
        converted.lost(
            document,
            format!(
                "{}: a file in a volume has no equivalent; its AKVS serves the env injector{encoded}: {akvs}@azurekeyvault",
                object.alias
            ),
        );
        let manifest = manifest(&akvs, document, &Pairs::default(), &object.source, None);
        converted.documents.push(manifest);
    }
    if !used.is_empty() {
        converted.differs(
            document,
            "pods get the Secret without the CSI volume: take it out of them, or mount the Secret in its place",
        );
    }
}

/// `parameters.objects`: YAML in a text, with YAML in the texts of its list.
fn mounted(document: &Value, converted: &mut Converted) -> Vec<Mounted> {
    let vault = text(document, "/spec/parameters/keyvaultName");
    let objects: Value = serde_yaml::from_str(text(document, "/spec/parameters/objects")).unwrap_or_default();
    let mut mounted = Vec::new();
    for entry in list(&objects, "/array") {
        let object: Value = match entry.as_str() {
            Some(text) => serde_yaml::from_str(text).unwrap_or_default(),
            None => entry.clone(),
        };
        let Some(name) = some_text(&object, "/objectName") else {
            converted.lost(document, "an entry of parameters.objects has no objectName");
            continue;
        };
        mounted.extend(read(document, vault, name, &object, converted));
    }
    if mounted.is_empty() {
        converted.lost(document, "parameters.objects names nothing that can be read");
    }
    mounted
}

fn read(document: &Value, vault: &str, name: &str, object: &Value, converted: &mut Converted) -> Option<Mounted> {
    let object_type = match text(object, "/objectType") {
        "secret" => "secret",
        "cert" => "certificate",
        "key" => "key",
        other => {
            converted.lost(document, format!("{name}: objectType {other:?} is unknown"));
            return None;
        }
    };
    let transform = match (text(object, "/objectEncoding"), object_type) {
        ("" | "utf-8", _) => None,
        ("base64", "secret") => Some("base64decode"),
        (encoding, _) => {
            converted.lost(document, format!("{name}: objectEncoding {encoding} has no equivalent"));
            return None;
        }
    };
    if object
        .get("objectVersionHistory")
        .is_some_and(|it| it.as_u64() != Some(0))
    {
        converted.lost(
            document,
            format!("{name}: older versions (objectVersionHistory) have no equivalent; the latest is read"),
        );
    }
    Some(Mounted {
        alias: some_text(object, "/objectAlias").unwrap_or(name).to_owned(),
        source: Source {
            vault: vault.to_owned(),
            name: name.to_owned(),
            object_type,
            version: some_text(object, "/objectVersion").map(str::to_owned),
            service_account: None,
        },
        transform,
    })
}

/// One Secret that the driver writes.
fn secret_object(
    document: &Value,
    secret: &Value,
    mounted: &[Mounted],
    used: &mut BTreeSet<String>,
    converted: &mut Converted,
) {
    let name = text(secret, "/secretName");
    let Some(keys) = keys(secret) else {
        let secret_type = text(secret, "/type");
        return converted.lost(
            document,
            format!("Secret {name} of type {secret_type} from several objects has no equivalent: one object becomes all its keys"),
        );
    };
    let several = keys.len() > 1;
    for key in keys {
        let Some(object) = mounted.iter().find(|object| object.alias == key.object) else {
            let what = format!("Secret {name}: {} is not in parameters.objects", key.object);
            converted.lost(document, what);
            continue;
        };
        used.insert(object.alias.clone());
        let wanted = match key.name {
            Some(key) if several => suffixed(name, key),
            _ => name.to_owned(),
        };
        let akvs = converted.name(document, &wanted);
        let target = target(secret, &key, object);
        let akvs = manifest(&akvs, document, &Pairs::of(secret), &object.source, Some(&target));
        converted.documents.push(akvs);
    }
}

/// What an object fills.
struct Key<'v> {
    /// The object's alias.
    object: &'v str,
    /// One key; `None`: all that the Secret's type asks for.
    name: Option<&'v str>,
}

/// What fills `secret`; `None`: no AKVS could.
fn keys(secret: &Value) -> Option<Vec<Key<'_>>> {
    let data = list(secret, "/data");
    let whole = |entry| Key {
        object: text(entry, "/objectName"),
        name: None,
    };
    match (some_text(secret, "/type").unwrap_or(OPAQUE), data) {
        (OPAQUE, entries) => {
            let keys = entries.iter().map(|entry| Key {
                name: Some(text(entry, "/key")),
                ..whole(entry)
            });
            Some(keys.collect())
        }
        // One object holds both.
        (TLS, [first, rest @ ..]) if rest.iter().all(|other| other["objectName"] == first["objectName"]) => {
            Some(vec![whole(first)])
        }
        (".dockerconfigjson" | "kubernetes.io/dockerconfigjson" | "kubernetes.io/ssh-auth", [only]) => {
            Some(vec![whole(only)])
        }
        _ => None,
    }
}

/// Where `object` goes.
fn target(secret: &Value, key: &Key<'_>, object: &Mounted) -> Target {
    let secret_type = some_text(secret, "/type").filter(|it| *it != OPAQUE);
    Target {
        secret: text(secret, "/secretName").to_owned(),
        secret_type: secret_type.map(str::to_owned),
        data_key: key.name.map(str::to_owned),
        key_format: (key.name.is_some() && object.source.object_type == "key").then_some("pem"),
        transform: object.transform,
    }
}
