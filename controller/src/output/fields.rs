//! `metadata.managedFields`: which manager owns which keys.
//!
//! The format (`FieldsV1`) is a trie: `f:NAME` is a field, `k:{…}` an element of a list by its key, `.` the thing itself.
//! <https://kubernetes.io/docs/reference/generated/kubernetes-api/v1.35/#fieldsv1-v1-meta>

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, ObjectMeta};
use serde_json::{Map, Value};

use super::meta::{Claims, Manager, Names, Operation};

/// Every manager that owns something an output is made of.
pub(super) fn managers(meta: &ObjectMeta) -> Box<[Manager]> {
    let entries = meta.managed_fields.iter().flatten();
    entries.filter_map(manager).collect()
}

/// One entry; `None` when it owns nothing that matters here.
pub(super) fn manager(entry: &ManagedFieldsEntry) -> Option<Manager> {
    let claims = claims(&entry.fields_v1.as_ref()?.0);
    (!claims.is_empty()).then(|| Manager {
        name: entry.manager.as_deref().unwrap_or_default().into(),
        operation: operation(entry),
        claims,
    })
}

/// How the entry's manager wrote.
fn operation(entry: &ManagedFieldsEntry) -> Operation {
    match entry.operation.as_deref() {
        Some("Apply") => Operation::Apply,
        _ => Operation::Update,
    }
}

/// Reads one `fieldsV1`.
fn claims(fields: &Value) -> Claims {
    let field = |path: &[&str]| -> Option<&Map<String, Value>> {
        path.iter().try_fold(fields, |at, step| at.get(step))?.as_object()
    };
    let names = |paths: &[&[&str]]| -> Names {
        let maps = paths.iter().filter_map(|path| field(path));
        sorted(
            maps.flat_map(Map::keys)
                .filter_map(|key| key.strip_prefix("f:"))
                .map(Into::into)
                .collect(),
        )
    };
    let owners = field(&["f:metadata", "f:ownerReferences"]);
    Claims {
        data: names(&[&["f:data"], &["f:binaryData"]]),
        string_data: names(&[&["f:stringData"]]),
        labels: names(&[&["f:metadata", "f:labels"]]),
        annotations: names(&[&["f:metadata", "f:annotations"]]),
        owners: sorted(
            owners
                .into_iter()
                .flat_map(Map::keys)
                .filter_map(|key| owner_uid(key))
                .collect(),
        ),
        secret_type: field(&["f:type"]).is_some(),
    }
}

/// The UID in a list element's key such as `k:{"uid":"…"}`.
pub(super) fn owner_uid(key: &str) -> Option<Box<str>> {
    let key: Value = serde_json::from_str(key.strip_prefix("k:")?).ok()?;
    Some(key.get("uid")?.as_str()?.into())
}

fn sorted(mut names: Vec<Box<str>>) -> Names {
    names.sort_unstable();
    names.dedup();
    names.into()
}
