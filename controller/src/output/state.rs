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
