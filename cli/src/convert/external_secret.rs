//! `ExternalSecret` → AKVS: one for each entry.
//!
//! Fields: <https://external-secrets.io/latest/api/externalsecret/>; meaning of keys in Azure's vaults:
//! <https://external-secrets.io/latest/provider/azure-key-vault/>.

use akv2k8s_shared::api::ADOPT;
use serde_json::{Value, json};

use super::akvs::{Pairs, Source, Target, manifest};
use super::store::{Store, Stores};
use super::{Converted, list, some_text, suffixed, text};

/// One entry that has an equivalent.
struct Entry {
    source: Source,
    target: Target,
    /// What tells its AKVS from those of the other entries.
    suffix: String,
}

/// Adds what `document` becomes.
pub(super) fn convert(document: &Value, stores: &Stores, vault: Option<&str>, converted: &mut Converted) {
    let spec = &document["spec"];
    let pairs = target(document, converted);
    let secret = some_text(spec, "/target/name").unwrap_or(text(document, "/metadata/name"));
    let secret_type = some_text(spec, "/target/template/type").map(str::to_owned);
    let mut entries = Vec::new();
    for data in list(spec, "/data") {
        let source = at(document, &data["sourceRef"]["storeRef"], stores, vault, converted);
        let entry = source.and_then(|source| one(document, data, source, converted));
        entries.extend(entry);
    }
    for from in list(spec, "/dataFrom") {
        let source = at(document, &from["sourceRef"]["storeRef"], stores, vault, converted);
        let entry = source.and_then(|source| all(document, from, source, converted));
        entries.extend(entry);
    }
    let name = text(document, "/metadata/name");
    let several = entries.len() > 1;
    for mut entry in entries {
        secret.clone_into(&mut entry.target.secret);
        entry.target.secret_type.clone_from(&secret_type);
        let name = if several {
            suffixed(name, &entry.suffix)
        } else {
            name.to_owned()
        };
        let name = converted.name(document, &name);
        converted
            .documents
            .push(manifest(&name, document, &pairs, &entry.source, Some(&entry.target)));
    }
}

/// Labels and annotations for the AKVS; notes about the rest of `spec.target`.
fn target(document: &Value, converted: &mut Converted) -> Pairs {
    let spec = &document["spec"];
    let mut pairs = Pairs::of(&spec["target"]["template"]["metadata"]);
    if spec.get("refreshInterval").is_some() || spec.get("refreshPolicy").is_some() {
        converted.differs(
            document,
            "refreshInterval is not kept: the controller looks at all vaults in one period, --azure-resync-period",
        );
    }
    for field in ["data", "templateFrom"] {
        if spec["target"]["template"].get(field).is_some() {
            converted.lost(
                document,
                format!("target.template.{field} has no equivalent: values are written as they are"),
            );
        }
    }
    match text(spec, "/target/creationPolicy") {
        "" | "Owner" => {}
        "Merge" => {
            pairs.annotations.insert(ADOPT.to_owned(), json!("true"));
            converted.differs(
                document,
                "creationPolicy Merge became the annotation that lets an AKVS write into a Secret that exists",
            );
        }
        policy => converted.lost(
            document,
            format!("creationPolicy {policy} has no equivalent: the Secret goes with its AKVS"),
        ),
    }
    if let Some(policy @ ("Delete" | "Merge")) = some_text(spec, "/target/deletionPolicy") {
        converted.lost(
            document,
            format!("deletionPolicy {policy} has no equivalent: a Secret stays when the vault's object goes, and the AKVS says so"),
        );
    }
    pairs
}

/// The vault of an entry: that of its own store, or of the document's.
fn at(
    document: &Value,
    own: &Value,
    stores: &Stores,
    vault: Option<&str>,
    converted: &mut Converted,
) -> Option<Source> {
    let store = if own.is_object() {
        own
    } else {
        &document["spec"]["secretStoreRef"]
    };
    let kind = some_text(store, "/kind").unwrap_or("SecretStore");
    let name = text(store, "/name");
    let namespace = if kind == "SecretStore" {
        text(document, "/metadata/namespace")
    } else {
        ""
    };
    let found = stores.get(&(kind.to_owned(), namespace.to_owned(), name.to_owned()));
    let (vault, service_account) = match (found, vault) {
        (Some(Store::Vault { name, service_account }), _) => (name.clone(), service_account.clone()),
        (None, Some(vault)) => (vault.to_owned(), None),
        (Some(Store::Other(provider)), _) => {
            let what = format!("its {kind} {name} is no Azure Key Vault but {provider}");
            converted.lost(document, what);
            return None;
        }
        (None, None) => {
            let what = format!("its {kind} {name} is not among the manifests: add it, or name the vault with --vault");
            converted.lost(document, what);
            return None;
        }
    };
    if service_account.is_none() {
        converted.differs(
            document,
            "the vault is read as the controller, not as whoever the store names",
        );
    }
    Some(Source {
        vault,
        service_account,
        ..Source::default()
    })
}

/// One key of the Secret.
fn one(document: &Value, data: &Value, source: Source, converted: &mut Converted) -> Option<Entry> {
    let secret_key = text(data, "/secretKey");
    let remote = &data["remoteRef"];
    let (object_type, name) = object(text(remote, "/key"));
    let transform = match transform(remote, object_type) {
        Ok(transform) => transform,
        Err(lost) => {
            converted.lost(document, format!("{secret_key}: {lost}"));
            return None;
        }
    };
    if object_type == "certificate" {
        converted.differs(
            document,
            format!("{secret_key}: the certificate is written as PEM, where External Secrets writes DER"),
        );
    }
    Some(Entry {
        source: Source {
            name: name.to_owned(),
            object_type,
            version: some_text(remote, "/version").map(str::to_owned),
            ..source
        },
        target: Target {
            data_key: Some(secret_key.to_owned()),
            key_format: (object_type == "key").then_some("jwk"),
            transform,
            ..Target::default()
        },
        suffix: secret_key.to_owned(),
    })
}

/// How the value of `remote`, an object of this type, is changed; or what of it has no equivalent.
fn transform(remote: &Value, object_type: &str) -> Result<Option<&'static str>, String> {
    if let Some(property) = some_text(remote, "/property") {
        return Err(format!(
            "one property of a JSON value ({property}) has no equivalent in a Secret: multi-key-value-secret writes all of them, and the env \
             injector takes one with NAME@azurekeyvault?{property}"
        ));
    }
    if text(remote, "/metadataPolicy") == "Fetch" {
        return Err("tags of an object (metadataPolicy Fetch) have no equivalent".to_owned());
    }
    match text(remote, "/decodingStrategy") {
        "" | "None" => Ok(None),
        "Base64" if object_type == "secret" => Ok(Some("base64decode")),
        strategy => Err(format!("decodingStrategy {strategy} has no equivalent here")),
    }
}

/// All properties of a JSON value.
fn all(document: &Value, from: &Value, source: Source, converted: &mut Converted) -> Option<Entry> {
    for field in ["find", "rewrite"] {
        if from.get(field).is_some() {
            converted.lost(
                document,
                format!("dataFrom.{field} has no equivalent: an AKVS names its object and its keys"),
            );
            return None;
        }
    }
    let extract = &from["extract"];
    let (object_type, name) = object(text(extract, "/key"));
    if object_type != "secret" || name.is_empty() || some_text(extract, "/property").is_some() {
        converted.lost(document, "dataFrom has no equivalent but for extract of a whole secret");
        return None;
    }
    Some(Entry {
        source: Source {
            name: name.to_owned(),
            object_type: "multi-key-value-secret",
            version: some_text(extract, "/version").map(str::to_owned),
            ..source
        },
        target: Target::default(),
        suffix: name.to_owned(),
    })
}

/// `secret/NAME`, `cert/NAME`, `key/NAME`, or `NAME` of a secret.
fn object(key: &str) -> (&'static str, &str) {
    match key.split_once('/') {
        Some(("cert", name)) => ("certificate", name),
        Some(("key", name)) => ("key", name),
        Some(("secret", name)) => ("secret", name),
        _ => ("secret", key),
    }
}
