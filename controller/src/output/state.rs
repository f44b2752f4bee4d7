//! Does an output still hold what its AKVS applied? Pure, from metadata alone.

use std::collections::BTreeMap;

use akv2k8s_shared::api::StatusOutput;

use super::Copied;
use super::meta::{Claims, Names, OutputMeta, Pairs, contains, digest};
use super::owner::AkvsId;

/// How an output stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OutputState {
    /// The store holds no such object: it does not exist, or no AKVS has to do with it (observing live tells).
    Absent,
    /// Everything is as this AKVS applied it.
    Intact,
    /// Written by upstream's controller for this AKVS, never by this one: applying once changes no data and moves the
    /// ownership, so it may wait for a quiet moment.
    TakeOver,
    /// Somebody changed it: each entry is a plain phrase such as `data key "password" was changed by kubectl-edit`.
    Drifted(Vec<String>),
    /// Other AKVS have to do with the object, this one not yet.
    NotJoined,
}

/// Compares what the object's managers own with what `akvs` applied: the keys its status records, and the labels and
/// annotations it wants now.
///
/// Whoever changes a value takes its ownership away, so a key that is still owned was not changed. The exception is a
/// server-side apply of `stringData`; it shows as a claim of that manager to the same key there.
pub fn state(
    meta: Option<&OutputMeta>,
    akvs: &AkvsId,
    recorded: Option<&StatusOutput>,
    copied: &Copied,
) -> OutputState {
    let Some(meta) = meta else { return OutputState::Absent };
    let manager = akvs.manager();
    let recorded = recorded.map_or(&[][..], |output| &output.keys);
    let nothing = Claims::default();
    let ours = match meta.applied(&manager) {
        Some(claims) => claims,
        None if !recorded.is_empty() => &nothing,
        None if meta.has_owner(akvs) => return OutputState::TakeOver,
        None => return OutputState::NotJoined,
    };
    let mut drift = data_drift(meta, &manager, ours, recorded);
    drift.extend(encroachments(meta, &manager, ours));
    drift.extend(pair_drift(
        "label",
        &copied.labels,
        &meta.labels,
        ours,
        |c| &c.labels,
        meta,
        &manager,
    ));
    drift.extend(pair_drift(
        "annotation",
        &copied.annotations,
        &meta.annotations,
        ours,
        |c| &c.annotations,
        meta,
        &manager,
    ));
    if !meta.has_owner(akvs) {
        drift.push("the owner reference is missing".to_owned());
    }
    if drift.is_empty() {
        OutputState::Intact
    } else {
        OutputState::Drifted(drift)
    }
}

/// Keys that were applied and are no longer ours, and keys that are ours and were never recorded.
fn data_drift(meta: &OutputMeta, manager: &str, ours: &Claims, recorded: &[String]) -> Vec<String> {
    let lost = recorded.iter().filter(|key| !contains(&ours.data, key)).map(|key| {
        let holder = meta
            .managers
            .iter()
            .find(|m| &*m.name != manager && contains(&m.claims.data, key));
        match holder {
            Some(holder) => format!("data key \"{key}\" was changed by {}", holder.name),
            None => format!("data key \"{key}\" was removed"),
        }
    });
    let unrecorded = ours.data.iter().filter(|key| !recorded.iter().any(|r| **r == ***key));
    lost.chain(unrecorded.map(|key| format!("data key \"{key}\" is not recorded in the status")))
        .collect()
}

/// Claims of others to what is ours that an apply (and the strip after it) ends.
fn encroachments(meta: &OutputMeta, manager: &str, ours: &Claims) -> Vec<String> {
    let others = meta.managers.iter().filter(|m| &*m.name != manager);
    let phrases = others.flat_map(|other| {
        let through_string_data = other.claims.string_data.iter().filter(|key| contains(&ours.data, key));
        let co_owned = other
            .claims
            .data
            .iter()
            .filter(|key| other.encroaches() && contains(&ours.data, key));
        let reference = other.wrote_reference(&ours.owners);
        through_string_data
            .map(|key| format!("data key \"{key}\" was written through stringData by {}", other.name))
            .chain(co_owned.map(|key| format!("data key \"{key}\" is claimed by {}, too", other.name)))
            .chain(reference.then(|| format!("{} still owns what was taken over from it", other.name)))
            .collect::<Vec<_>>()
    });
    phrases.collect()
}

/// Labels (or annotations) that differ from what is wanted. One that another AKVS's manager owns is left to it.
fn pair_drift(
    what: &str,
    wanted: &BTreeMap<String, String>,
    actual: &Pairs,
    ours: &Claims,
    names: fn(&Claims) -> &Names,
    meta: &OutputMeta,
    manager: &str,
) -> Vec<String> {
    let yielded = |key: &str| {
        meta.other_akvs_managers(manager)
            .any(|m| contains(names(&m.claims), key))
    };
    let wrong = wanted.iter().filter(|(key, value)| {
        let held = contains(names(ours), key) && actual.get(key.as_str()) == Some(&digest(value));
        !held && !yielded(key)
    });
    let unwanted = names(ours).iter().filter(|key| !wanted.contains_key(&***key));
    wrong
        .map(|(key, _)| format!("{what} {key} differs"))
        .chain(unwanted.map(|key| format!("{what} {key} is no longer wanted")))
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::{Object, akvs, names, recorded};
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Copied {
        Copied {
            labels: pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
            ..Copied::default()
        }
    }

    fn of(object: &Object, keys: &[&str], copied: &Copied) -> OutputState {
        state(Some(&object.meta()), &akvs("a", 1), Some(&recorded(keys)), copied)
    }

    #[test]
    fn what_its_manager_owns_exactly_as_applied_is_intact() {
        let a = akvs("a", 1);
        let object = Object::new()
            .owned_by(&a)
            .labelled("app", "shop")
            .applied(&a, &["k", "l"], &["app"]);
        let object = object.managed(
            "kubectl-edit",
            "Update",
            json!({"f:data": names(&["theirs"]), "f:immutable": {}}),
        );
        assert_eq!(
            of(&object, &["k", "l"], &labels(&[("app", "shop")])),
            OutputState::Intact
        );
    }

    #[test]
    fn a_missing_object_is_absent_and_one_of_upstream_waits_to_be_taken_over() {
        let a = akvs("a", 1);
        assert_eq!(state(None, &a, None, &Copied::default()), OutputState::Absent);
        let upstream =
            Object::new()
                .owned_by(&a)
                .managed("azure-keyvault-controller", "Update", json!({"f:data": names(&["k"])}));
        assert_eq!(
            state(Some(&upstream.meta()), &a, None, &Copied::default()),
            OutputState::TakeOver
        );
        let of_others = Object::new().owned_by(&akvs("b", 1));
        assert_eq!(
            state(Some(&of_others.meta()), &a, None, &Copied::default()),
            OutputState::NotJoined
        );
    }

    #[test]
    fn every_way_to_change_an_output_is_drift_with_its_own_words() {
        let a = akvs("a", 1);
        let intact = || Object::new().owned_by(&a).applied(&a, &["k"], &[]);
        let manager = a.manager();
        let of_b = format!("data key \"k\" is claimed by {}, too", akvs("b", 2).manager());
        let reference = json!({"f:ownerReferences": {"k:{\"uid\":\"uid-a\"}": {}}});
        let table = [
            (
                Object::new().owned_by(&a).applied(&a, &[], &[]).managed(
                    "kubectl-edit",
                    "Update",
                    json!({"f:data": names(&["k"])}),
                ),
                vec!["data key \"k\" was changed by kubectl-edit"],
            ),
            (
                Object::new().owned_by(&a).applied(&a, &[], &[]),
                vec!["data key \"k\" was removed"],
            ),
            (
                Object::new().owned_by(&a).applied(&a, &["k", "m"], &[]),
                vec!["data key \"m\" is not recorded in the status"],
            ),
            (
                intact().managed("kubectl", "Apply", json!({"f:stringData": names(&["k", "x"])})),
                vec!["data key \"k\" was written through stringData by kubectl"],
            ),
            (
                intact().managed("helm", "Update", json!({"f:data": names(&["k"])})),
                vec!["data key \"k\" is claimed by helm, too"],
            ),
            (intact().applied(&akvs("b", 2), &["k"], &[]), vec![of_b.as_str()]),
            (
                intact().managed("upstream", "Update", json!({"f:metadata": reference})),
                vec!["upstream still owns what was taken over from it"],
            ),
            (
                Object::new().managed(&manager, "Apply", json!({"f:data": names(&["k"])})),
                vec!["the owner reference is missing"],
            ),
            (Object::new().owned_by(&a), vec!["data key \"k\" was removed"]),
        ];
        for (object, expected) in table {
            let OutputState::Drifted(phrases) = of(&object, &["k"], &Copied::default()) else {
                panic!("{expected:?} was not noticed");
            };
            assert_eq!(phrases, expected);
        }
    }

    #[test]
    fn a_server_side_apply_of_an_equal_value_is_no_drift() {
        let a = akvs("a", 1);
        let object = Object::new().owned_by(&a).applied(&a, &["k"], &[]);
        let object = object.managed("gitops", "Apply", json!({"f:data": names(&["k"])}));
        assert_eq!(of(&object, &["k"], &Copied::default()), OutputState::Intact);
    }

    #[test]
    fn labels_follow_the_akvs_unless_a_sibling_has_them() {
        let (a, b) = (akvs("a", 1), akvs("b", 2));
        let object = Object::new()
            .owned_by(&a)
            .labelled("app", "shop")
            .applied(&a, &["k"], &["app"]);
        let drifted = |phrase: &str| OutputState::Drifted(vec![phrase.to_owned()]);
        assert_eq!(
            of(&object, &["k"], &labels(&[("app", "new")])),
            drifted("label app differs")
        );
        assert_eq!(
            of(&object, &["k"], &labels(&[])),
            drifted("label app is no longer wanted")
        );
        assert_eq!(
            of(&object, &["k"], &labels(&[("app", "shop"), ("tier", "db")])),
            drifted("label tier differs")
        );
        let shared = object.labelled("tier", "web").applied(&b, &["l"], &["tier"]);
        assert_eq!(
            of(&shared, &["k"], &labels(&[("app", "shop"), ("tier", "db")])),
            OutputState::Intact
        );
    }
}
