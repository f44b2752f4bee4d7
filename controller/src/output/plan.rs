//! What to do with the outputs of one AKVS: a pure value.

use std::collections::BTreeMap;

use akv2k8s_shared::diagnosis::Diagnosis;

use super::meta::{Claims, Manager, Names, OutputMeta, contains};
use super::observe::Observed;
use super::owner::AkvsId;
use super::{Desired, Kind, Target, refusal};

/// Secret types that are never written: the API server or the cluster would give their holder rights.
const REFUSED_TYPES: [&str; 2] = ["kubernetes.io/service-account-token", "bootstrap.kubernetes.io/token"];

/// The AKVS a plan is made for.
pub struct Claimant<'a> {
    /// Who it is.
    pub id: &'a AkvsId,
    /// Annotation `akv2k8s.spv.no/adopt: "true"`.
    pub adopt: bool,
}

/// Why an action is taken, in plain words for the log line: `data key "password" is held by kubectl-edit`.
pub type Why = String;

/// One step. Every step names the object it means by UID, or demands that there be none.
pub enum Action<'a> {
    /// Create the object.
    Create {
        /// What it shall hold.
        desired: &'a Desired,
    },
    /// Apply to an existing object.
    Apply(Application<'a>),
    /// Delete an output no longer wanted, all of which is this AKVS's.
    Delete {
        /// Which.
        target: Target,
        /// What was seen.
        seen: OutputMeta,
    },
    /// Give up this AKVS's part of an output no longer wanted.
    Release {
        /// Which.
        target: Target,
        /// What was seen.
        seen: OutputMeta,
    },
}

/// An apply to an object that exists.
pub struct Application<'a> {
    /// What it shall hold.
    pub desired: &'a Desired,
    /// What was seen.
    pub seen: OutputMeta,
    /// Labels left to the sibling that owns them.
    pub yield_labels: Vec<String>,
    /// Annotations left to the sibling that owns them.
    pub yield_annotations: Vec<String>,
    /// Take fields from people and from younger AKVS; only valid for the very version that was seen.
    pub force: bool,
    /// Managers whose claims to what is applied end with it.
    pub rivals: Rivals,
    /// Delete and create when the API server says the type differs: every key is this AKVS's.
    pub recreate_on_type_change: bool,
    /// Why.
    pub why: Why,
}

/// Managers that must not go on owning what an AKVS applied.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rivals {
    /// Those of younger AKVS that claimed one of its keys.
    pub younger: Vec<String>,
    /// Those that wrote the object for this AKVS before there were field managers of ours: upstream's controller.
    pub predecessors: Vec<String>,
}

/// What to do, and what cannot be done; the one does not hinder the other.
pub struct Plan<'a> {
    /// The AKVS it is for.
    pub akvs: &'a AkvsId,
    /// Steps: creates and applies first, then deletes and releases.
    pub actions: Vec<Action<'a>>,
    /// Outputs that are refused, and why.
    pub refused: Vec<(Target, Box<Diagnosis>)>,
}

/// Decides. `observed` holds one entry for every desired target, and one for every other object this AKVS has applied to
/// (see [`super::observe`]); `siblings` are the other AKVS whose specification names one of the desired targets.
///
/// What is no longer wanted stays until all that is wanted could be planned. Objects that only upstream's controller wrote
/// for this AKVS are never pruned: they were left over under upstream, too, and somebody may use them.
pub fn plan<'a>(akvs: &Claimant<'a>, desired: &'a [Desired], observed: &[Observed], siblings: &[AkvsId]) -> Plan<'a> {
    let mut plan = Plan {
        akvs: akvs.id,
        actions: Vec::new(),
        refused: Vec::new(),
    };
    for wanted in desired {
        let seen = observed
            .iter()
            .find(|o| o.target == wanted.target)
            .and_then(|o| o.meta.as_ref());
        match write(akvs, wanted, seen, siblings) {
            Ok(action) => plan.actions.push(action),
            Err(diagnosis) => plan.refused.push((wanted.target.clone(), diagnosis)),
        }
    }
    if plan.refused.is_empty() {
        let unwanted = observed.iter().filter(|o| desired.iter().all(|d| d.target != o.target));
        plan.actions
            .extend(unwanted.filter_map(|o| prune(akvs.id, &o.target, o.meta.as_ref()?)));
    }
    plan
}

/// The step that writes one output.
fn write<'a>(
    akvs: &Claimant<'_>,
    desired: &'a Desired,
    seen: Option<&OutputMeta>,
    siblings: &[AkvsId],
) -> Result<Action<'a>, Box<Diagnosis>> {
    if let Some(refused) = desired.secret_type.as_deref().filter(|t| REFUSED_TYPES.contains(t)) {
        return Err(refusal::type_refused(akvs.id, &desired.target, refused).into());
    }
    let Some(seen) = seen else {
        return Ok(Action::Create { desired });
    };
    let may_force = akvs.adopt || seen.belongs_to(akvs.id);
    if !may_force && !seen.concerns_an_akvs() {
        return Err(refusal::not_owned(akvs.id, &desired.target).into());
    }
    let rivals = Rivals {
        younger: younger(akvs.id, desired, seen, siblings)?,
        predecessors: predecessors(akvs.id, seen),
    };
    let held = held_by_people(akvs.id, desired, seen);
    if let Some(key) = held.data_key.as_ref().filter(|_| !may_force) {
        return Err(refusal::key_held(akvs.id, &desired.target, key, &held.holder).into());
    }
    Ok(Action::Apply(Application {
        yield_labels: yielded(akvs.id, &desired.labels, seen, |it| &it.labels, may_force),
        yield_annotations: yielded(akvs.id, &desired.annotations, seen, |it| &it.annotations, may_force),
        force: (may_force && held.anything) || !rivals.younger.is_empty(),
        recreate_on_type_change: desired.target.kind == Kind::Secret && all_data_is_ours(akvs.id, seen, true),
        why: why(akvs.id, seen, &held, &rivals),
        rivals,
        desired,
        seen: seen.clone(),
    }))
}

/// The labels or annotations that are left to whoever has them: to another AKVS always, to others unless they may be taken.
fn yielded(
    akvs: &AkvsId,
    wanted: &BTreeMap<String, String>,
    seen: &OutputMeta,
    names: fn(&Claims) -> &Names,
    may_force: bool,
) -> Vec<String> {
    let manager = akvs.manager();
    let others: Vec<_> = seen.managers.iter().filter(|it| *it.name != *manager).collect();
    let is_left = |key: &str| {
        let mut holders = others.iter().filter(|it| contains(names(&it.claims), key));
        holders.any(|it| it.is_akvs() || !may_force)
    };
    wanted.keys().filter(|key| is_left(key)).cloned().collect()
}

fn why(akvs: &AkvsId, seen: &OutputMeta, held: &Held, rivals: &Rivals) -> Why {
    if seen.applied(&akvs.manager()).is_none() {
        return if held.anything {
            format!("taken over from {}", held.holder)
        } else {
            "joined".to_owned()
        };
    }
    match &held.data_key {
        Some(key) => format!("data key \"{key}\" is held by {}", held.holder),
        None if !rivals.younger.is_empty() => "a younger AzureKeyVaultSecret claimed one of its keys".to_owned(),
        None => "the vault object, the specification or the metadata changed".to_owned(),
    }
}

/// Managers of younger siblings that hold a desired key; an older (or unknown) AKVS that holds one is a conflict.
fn younger(
    akvs: &AkvsId,
    desired: &Desired,
    seen: &OutputMeta,
    siblings: &[AkvsId],
) -> Result<Vec<String>, Box<Diagnosis>> {
    let manager = akvs.manager();
    let mut younger = Vec::new();
    for other in seen.other_akvs_managers(&manager) {
        let Some(key) = desired.keys().find(|key| contains(&other.claims.data, key)) else {
            continue;
        };
        match siblings
            .iter()
            .find(|s| s.namespace == akvs.namespace && s.manager() == *other.name)
        {
            Some(sibling) if akvs.precedes(sibling) => younger.push(other.name.to_string()),
            Some(sibling) => return Err(refusal::conflict(akvs, &desired.target, key, Some(&sibling.name)).into()),
            None => {
                let owner = seen
                    .owners
                    .iter()
                    .find(|o| super::manager_name(&akvs.namespace, &o.name) == *other.name);
                return Err(refusal::conflict(akvs, &desired.target, key, owner.map(|o| &*o.name)).into());
            }
        }
    }
    Ok(younger)
}

/// Managers that wrote the AKVS's owner reference by an update.
fn predecessors(akvs: &AkvsId, seen: &OutputMeta) -> Vec<String> {
    let uid = [akvs.uid.as_str().into()].into();
    let managers = seen.managers.iter().filter(|m| m.wrote_reference(&uid));
    managers.map(|m| m.name.to_string()).collect()
}

/// What managers that are no AKVS's hold of what is wanted.
struct Held {
    /// Whether they hold any of it.
    anything: bool,
    /// The first data key among it.
    data_key: Option<String>,
    /// Who holds it.
    holder: String,
}

fn held_by_people(akvs: &AkvsId, desired: &Desired, seen: &OutputMeta) -> Held {
    let mut held = Held {
        anything: false,
        data_key: None,
        holder: String::new(),
    };
    for other in seen.managers.iter().filter(|m| !m.is_akvs()) {
        let claims = &other.claims;
        let key = desired
            .keys()
            .find(|key| contains(&claims.data, key) || contains(&claims.string_data, key));
        let any = key.is_some()
            || desired.labels.keys().any(|label| contains(&claims.labels, label))
            || desired
                .annotations
                .keys()
                .any(|annotation| contains(&claims.annotations, annotation))
            || contains(&claims.owners, &akvs.uid);
        if any && (held.holder.is_empty() || (held.data_key.is_none() && key.is_some())) {
            held.holder = other.name.to_string();
            held.data_key = key.map(str::to_owned);
        }
        held.anything |= any;
    }
    held
}

/// The step that ends this AKVS's part in an output it no longer wants; none if it never applied to it.
fn prune(akvs: &AkvsId, target: &Target, seen: &OutputMeta) -> Option<Action<'static>> {
    seen.applied(&akvs.manager())?;
    let (target, seen) = (target.clone(), seen.clone());
    Some(if all_data_is_ours(akvs, &seen, false) {
        Action::Delete { target, seen }
    } else {
        Action::Release { target, seen }
    })
}

/// Whether nobody else has data in the object, nor is an owner. What upstream's controller wrote for this AKVS, its only
/// owner, counts as its own if `with_upstream`.
fn all_data_is_ours(akvs: &AkvsId, seen: &OutputMeta, with_upstream: bool) -> bool {
    let manager = akvs.manager();
    let sole_owner = !seen.foreign_owner && seen.owners.iter().all(|owner| *owner.name == *akvs.name);
    let is_ours =
        |m: &Manager| *m.name == *manager || (with_upstream && m.wrote_reference(&[&*akvs.uid].map(Box::from).into()));
    sole_owner
        && seen
            .managers
            .iter()
            .filter(|m| !is_ours(m))
            .all(|m| !m.is_akvs() && m.claims.data.is_empty() && m.claims.string_data.is_empty())
}

#[cfg(test)]
mod tests;
