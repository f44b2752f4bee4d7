//! References `vault:PATH#KEY` in manifests of workloads → AKVS for the env injector, and the manifests with references to them.
//!
//! Grammar: <https://bank-vaults.dev/docs/mutating-webhook/configuration/>. They name secrets of `HashiCorp` Vault, each a set of keys:
//! in Key Vault that is a secret whose value is a JSON object.

use std::collections::BTreeMap;

use akv2k8s_shared::injection::reference::Query;
use serde_json::Value;

use super::akvs::{Pairs, Source, manifest};
use super::{Converted, PathNames, slug};

/// What references begin with; the second form is resolved at each renewal, too.
const PREFIXES: [&str; 2] = ["vault:", ">>vault:"];
/// Before the path of a secret in a store of version 2.
const KV_2: &str = "secret/data/";

/// A whole value that is a reference.
#[derive(Debug, PartialEq, Eq)]
struct Reference<'t> {
    path: &'t str,
    key: &'t str,
    version: Option<&'t str>,
}

/// Whether any text in `document` looks like a reference.
pub(super) fn has_references(document: &Value) -> bool {
    match document {
        Value::String(text) => looks_like_one(text),
        Value::Array(items) => items.iter().any(has_references),
        Value::Object(fields) => fields.values().any(has_references),
        _ => false,
    }
}

/// Adds `document` with other references, and the AKVS that these name.
pub(super) fn convert(document: &Value, kind: &str, vault: Option<&str>, converted: &mut Converted) {
    let Some(vault) = vault else {
        return converted.lost(document, "the references name no Key Vault: say which with --vault");
    };
    if kind == "Secret" {
        return converted.lost(
            document,
            "references in a Secret have no equivalent: name its values in the pod, or let an AKVS write the Secret",
        );
    }
    let mut paths = BTreeMap::new();
    let mut changed = document.clone();
    replace(&mut changed, document, &mut paths, converted);
    for (path, names) in &paths {
        let secret = &names.secret;
        converted.differs(
            document,
            format!("{path} is to be copied into vault '{vault}' as the secret '{secret}', a JSON object of its keys"),
        );
        if !names.is_new {
            continue;
        }
        let source = Source {
            vault: vault.to_owned(),
            name: secret.clone(),
            object_type: "multi-key-value-secret",
            ..Source::default()
        };
        let akvs = manifest(&names.akvs, document, &Pairs::default(), &source, None);
        converted.documents.push(akvs);
    }
    if !paths.is_empty() {
        converted.documents.push(changed);
        converted.differs(
            document,
            "its namespace needs the label azure-key-vault-env-injection=enabled",
        );
    }
}

/// The paths of a document, with their names.
type Paths = BTreeMap<String, PathNames>;

fn replace(value: &mut Value, document: &Value, paths: &mut Paths, converted: &mut Converted) {
    match value {
        Value::Array(items) => items
            .iter_mut()
            .for_each(|item| replace(item, document, paths, converted)),
        Value::Object(fields) => fields
            .values_mut()
            .for_each(|field| replace(field, document, paths, converted)),
        Value::String(text) if looks_like_one(text) => match parse(text).filter(|it| Query::parse(it.key).is_some()) {
            Some(reference) => *text = referring(&reference, document, paths, converted),
            None => converted.lost(
                document,
                format!("{text} has no equivalent: only a whole value vault:PATH#KEY has"),
            ),
        },
        _ => {}
    }
}

/// What takes the place of `reference`.
fn referring(reference: &Reference<'_>, document: &Value, paths: &mut Paths, converted: &mut Converted) -> String {
    let Reference { path, key, version } = reference;
    if let Some(version) = version {
        converted.lost(
            document,
            format!("{path}#{key}: version {version} has no equivalent; the latest is read"),
        );
    }
    if !paths.contains_key(*path) {
        let names = converted.path(document, path, &name(path));
        paths.insert((*path).to_owned(), names);
    }
    let akvs = paths.get(*path).map_or("", |names| &names.akvs);
    format!("{akvs}@azurekeyvault?{key}")
}

fn looks_like_one(text: &str) -> bool {
    PREFIXES.iter().any(|prefix| text.starts_with(prefix)) || text.contains("${vault:") || text.contains("${>>vault:")
}

fn parse(text: &str) -> Option<Reference<'_>> {
    let rest = PREFIXES.iter().find_map(|prefix| text.strip_prefix(prefix))?;
    let mut parts = rest.split('#');
    let (path, key, version) = (parts.next()?, parts.next()?, parts.next());
    let is_whole = parts.next().is_none() && !path.is_empty() && !rest.contains("${");
    is_whole.then_some(Reference { path, key, version })
}

/// `secret/data/shop/db` → `shop-db`, which is a name in Key Vault and in Kubernetes.
fn name(path: &str) -> String {
    slug(path.strip_prefix(KV_2).unwrap_or(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_references_are_taken_apart_and_others_are_not() {
        let reference = |path, key, version| Some(Reference { path, key, version });
        for (text, expected) in [
            (
                "vault:secret/data/shop/db#password",
                reference("secret/data/shop/db", "password", None),
            ),
            (
                ">>vault:secret/data/db#user#3",
                reference("secret/data/db", "user", Some("3")),
            ),
            ("vault:secret/data/db", None),
            ("postgres://${vault:secret/data/db#user}@h", None),
            ("vault:secret/data/db#${.user}", None),
            ("vault:#k", None),
        ] {
            assert_eq!(parse(text), expected, "{text}");
        }
        assert_eq!(name("secret/data/shop/DB_1"), "shop-db-1");
    }
}
