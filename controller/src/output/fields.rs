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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::Object;
    use super::*;

    #[test]
    fn claims_are_read_from_what_a_real_api_server_writes() {
        // kubectl get secret -o yaml --show-managed-fields, of a Secret applied by one manager.
        let fields = json!({
            "f:data": {"f:tls.crt": {}, "f:.dockerconfigjson": {}},
            "f:binaryData": {".": {}, "f:blob": {}},
            "f:metadata": {
                "f:annotations": {".": {}, "f:example.com/a": {}},
                "f:labels": {"f:app": {}},
                "f:ownerReferences": {".": {}, "k:{\"uid\":\"b0b5\"}": {}}
            },
            "f:type": {}
        });
        let claims = claims(&fields);
        assert_eq!(*claims.data, [".dockerconfigjson", "blob", "tls.crt"].map(Box::from));
        assert_eq!(*claims.labels, ["app"].map(Box::from));
        assert_eq!(*claims.annotations, ["example.com/a"].map(Box::from));
        assert_eq!(*claims.owners, ["b0b5"].map(Box::from));
        assert!(claims.secret_type && claims.string_data.is_empty());
    }

    #[test]
    fn fields_of_unknown_shape_claim_nothing() {
        let shapes = [
            json!(null),
            json!([]),
            json!({"f:data": []}),
            json!({"f:metadata": {"f:labels": 3}}),
            json!("x"),
        ];
        for fields in shapes {
            let object = Object::new().managed("kubectl-edit", "Update", fields.clone());
            assert!(managers(&object.0).is_empty(), "{fields}");
        }
        for key in ["k:", "k:{}", "k:{\"uid\":1}", "uid", "k:{\"uid\":\"a\""] {
            assert_eq!(owner_uid(key), None, "{key}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_field_name_panics_or_is_lost(name in ".{0,40}") {
            let fields = json!({"f:data": {format!("f:{name}"): {}}});
            proptest::prop_assert_eq!(&*claims(&fields).data, &[Box::from(name)]);
        }
    }
}
