//! After an apply, what was applied belongs to its AKVS alone: claims of others that would keep a key from being pruned, or
//! that hide a change, leave `managedFields`. Metadata only; no value changes.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{FieldsV1, ManagedFieldsEntry, ObjectMeta};
use serde_json::{Map, Value};

use super::fields;
use super::meta::{Claims, Manager, Names, contains};
use super::plan::Rivals;

/// The entries of `meta` without claims of other managers to what `manager` owns; `None` when there are no such claims.
///
/// - `stringData` keys of everybody: the API server never stores that field.
/// - data keys of updates, and of younger AKVS.
/// - labels, annotations and the owner reference of predecessors.
pub(super) fn stripped(meta: &ObjectMeta, manager: &str, rivals: &Rivals) -> Option<Vec<ManagedFieldsEntry>> {
    let entries = meta.managed_fields.as_deref().unwrap_or_default();
    let ours = entries
        .iter()
        .filter_map(fields::manager)
        .find(|m| m.is_applied_by(manager))?
        .claims;
    let mut changed = false;
    let mut kept = Vec::with_capacity(entries.len());
    for entry in entries {
        match fields::manager(entry).filter(|other| &*other.name != manager) {
            Some(other) => {
                let (entry, removed) = without(entry, &other, &ours, rivals);
                changed |= removed;
                kept.extend(entry);
            }
            None => kept.push(entry.clone()),
        }
    }
    changed.then_some(kept)
}

/// One entry without its claims to `ours` (`None` when nothing is left), and whether there were any.
fn without(
    entry: &ManagedFieldsEntry,
    other: &Manager,
    ours: &Claims,
    rivals: &Rivals,
) -> (Option<ManagedFieldsEntry>, bool) {
    let Some(FieldsV1(Value::Object(mut root))) = entry.fields_v1.clone() else {
        return (Some(entry.clone()), false);
    };
    let named_in = |managers: &[String]| managers.iter().any(|name| **name == *other.name);
    let mut removed = remove(&mut root, &["f:stringData"], &ours.data);
    if other.is_update_of_others() || named_in(&rivals.younger) {
        removed |= remove(&mut root, &["f:data"], &ours.data);
        removed |= remove(&mut root, &["f:binaryData"], &ours.data);
    }
    if named_in(&rivals.predecessors) || other.wrote_reference(&ours.owners) {
        removed |= remove(&mut root, &["f:metadata", "f:labels"], &ours.labels);
        removed |= remove(&mut root, &["f:metadata", "f:annotations"], &ours.annotations);
        removed |= remove(&mut root, &["f:metadata", "f:ownerReferences"], &ours.owners);
    }
    let left = (!root.is_empty()).then(|| ManagedFieldsEntry {
        fields_v1: Some(FieldsV1(Value::Object(root))),
        ..entry.clone()
    });
    (left, removed)
}

/// Removes `names` from the map at `path`, and maps that become empty on the way. Tells whether there was something.
fn remove(map: &mut Map<String, Value>, path: &[&str], names: &Names) -> bool {
    let Some((step, rest)) = path.split_first() else {
        let before = map.len();
        map.retain(|key, _| !named(key, names));
        return map.len() != before;
    };
    let Some(Value::Object(child)) = map.get_mut(*step) else {
        return false;
    };
    let removed = remove(child, rest, names);
    if removed && child.keys().all(|key| key == ".") {
        map.remove(*step);
    }
    removed
}

/// Whether a step of the trie is one of `names`: a field by its name, an owner reference by its UID.
fn named(key: &str, names: &Names) -> bool {
    match key.strip_prefix("f:") {
        Some(name) => contains(names, name),
        None => fields::owner_uid(key).is_some_and(|uid| contains(names, &uid)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::{Object, akvs, names};
    use super::*;

    fn strip(object: &Object, younger: &[String]) -> Option<Vec<(String, Value)>> {
        let rivals = Rivals {
            younger: younger.to_vec(),
            predecessors: Vec::new(),
        };
        let entries = stripped(&object.0, &akvs("a", 1).manager(), &rivals)?;
        let entry =
            |entry: ManagedFieldsEntry| (entry.manager.unwrap_or_default(), entry.fields_v1.unwrap_or_default().0);
        Some(entries.into_iter().skip(1).map(entry).collect())
    }

    #[test]
    fn what_upstream_wrote_for_this_akvs_leaves_it_and_the_rest_stays() {
        let a = akvs("a", 1);
        let reference = |name: &str| format!("k:{{\"uid\":\"uid-{name}\"}}");
        let object = Object::new().owned_by(&a).applied(&a, &["k"], &["app"]).managed(
            "upstream",
            "Update",
            json!({
                "f:data": {".": {}, "f:k": {}, "f:of-b": {}},
                "f:metadata": {
                    "f:annotations": {".": {}, "f:kubectl.kubernetes.io/last-applied-configuration": {}},
                    "f:labels": {".": {}, "f:app": {}},
                    "f:ownerReferences": {".": {}, reference("a"): {}, reference("b"): {}}
                },
                "f:type": {}
            }),
        );
        let left = json!({
            "f:data": {".": {}, "f:of-b": {}},
            "f:metadata": {
                "f:annotations": {".": {}, "f:kubectl.kubernetes.io/last-applied-configuration": {}},
                "f:ownerReferences": {".": {}, reference("b"): {}}
            },
            "f:type": {}
        });
        assert_eq!(strip(&object, &[]), Some(vec![("upstream".to_owned(), left)]));
    }

    #[test]
    fn string_data_of_anybody_is_removed_and_an_entry_left_empty_vanishes() {
        let a = akvs("a", 1);
        let object = Object::new().applied(&a, &["k"], &[]);
        let object = object.managed("kubectl", "Apply", json!({"f:stringData": {"f:k": {}}}));
        assert_eq!(strip(&object, &[]), Some(vec![]));
    }

    #[test]
    fn who_applies_keeps_its_claims_unless_it_is_a_younger_akvs() {
        let (a, b) = (akvs("a", 1), akvs("b", 2));
        let object =
            Object::new()
                .applied(&a, &["k"], &[])
                .managed("gitops", "Apply", json!({"f:data": names(&["k"])}));
        assert_eq!(strip(&object, &[]), None);
        let object = Object::new().applied(&a, &["k"], &[]).managed(
            &b.manager(),
            "Apply",
            json!({"f:data": names(&["k", "l"])}),
        );
        assert_eq!(strip(&object, &[]), None);
        let left = json!({"f:data": names(&["l"])});
        assert_eq!(strip(&object, &[b.manager()]), Some(vec![(b.manager(), left)]));
    }

    #[test]
    fn labels_people_set_stay_theirs() {
        let a = akvs("a", 1);
        let object = Object::new().applied(&a, &["k"], &["app"]);
        let object = object.managed(
            "kubectl-label",
            "Update",
            json!({"f:metadata": {"f:labels": names(&["app"])}}),
        );
        assert_eq!(strip(&object, &[]), None);
    }
}
