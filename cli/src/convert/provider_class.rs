//! `SecretProviderClass` of the Secrets Store CSI driver, provider `azure` → AKVS.
//!
//! Fields: <https://azure.github.io/secrets-store-csi-driver-provider-azure/docs/getting-started/usage/> and
//! <https://secrets-store-csi-driver.sigs.k8s.io/topics/sync-as-kubernetes-secret>.

use std::collections::BTreeSet;

use serde_json::Value;

use super::akvs::{Pairs, Source, Target, manifest};
use super::{Converted, list, some_text, suffixed, text, unique};

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
    let mut taken = BTreeSet::new();
    for secret in list(document, "/spec/secretObjects") {
        secret_object(document, secret, &mounted, &mut used, &mut taken, converted);
    }
    let name = text(document, "/metadata/name");
    for object in mounted.iter().filter(|object| !used.contains(&object.alias)) {
        let akvs = unique(&suffixed(name, &object.alias), &mut taken);
        converted.lost(
            document,
            format!(
                "{}: a file in a volume has no equivalent; its AKVS serves the env injector: {akvs}@azurekeyvault",
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
    taken: &mut BTreeSet<String>,
    converted: &mut Converted,
) {
    let secret_name = text(secret, "/secretName");
    let secret_type = some_text(secret, "/type").unwrap_or("Opaque");
    let data = list(secret, "/data");
    let pairs = Pairs::of(secret);
    let mut add = |object: &Mounted, target: &Target, suffix: Option<&str>| {
        used.insert(object.alias.clone());
        let name = suffix.map_or_else(|| secret_name.to_owned(), |suffix| suffixed(secret_name, suffix));
        let name = unique(&name, taken);
        converted
            .documents
            .push(manifest(&name, document, &pairs, &object.source, Some(target)));
    };
    let find = |entry: &Value| mounted.iter().find(|object| object.alias == text(entry, "/objectName"));
    let target = Target {
        secret: secret_name.to_owned(),
        secret_type: (secret_type != "Opaque").then(|| secret_type.to_owned()),
        ..Target::default()
    };
    let mut missing = Vec::new();
    match (secret_type, data) {
        // One object holds both.
        (TLS, [first, rest @ ..]) if rest.iter().all(|other| other["objectName"] == first["objectName"]) => match find(first) {
            Some(object) => add(object, &target, None),
            None => missing.push(first),
        },
        (".dockerconfigjson" | "kubernetes.io/dockerconfigjson" | "kubernetes.io/ssh-auth", [only]) => match find(only) {
            Some(object) => add(object, &target, None),
            None => missing.push(only),
        },
        ("Opaque", entries) => {
            for entry in entries {
                let Some(object) = find(entry) else {
                    missing.push(entry);
                    continue;
                };
                let key = text(entry, "/key");
                let target = Target {
                    data_key: Some(key.to_owned()),
                    key_format: (object.source.object_type == "key").then_some("pem"),
                    transform: object.transform,
                    ..target.clone()
                };
                let several = entries.len() > 1;
                add(object, &target, several.then_some(key));
            }
        }
        _ => converted.lost(
            document,
            format!("Secret {secret_name} of type {secret_type} from several objects has no equivalent: one object becomes all its keys"),
        ),
    }
    for entry in missing {
        let name = text(entry, "/objectName");
        converted.lost(
            document,
            format!("Secret {secret_name}: {name} is not in parameters.objects"),
        );
    }
}
