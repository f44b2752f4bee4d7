//! What is known → what would happen. Pure.

use std::collections::{BTreeMap, BTreeSet};

use akv2k8s_controller::decisions::id;
use akv2k8s_controller::output::{
    self, Action, Application, Claimant, Desired, Kind, Names, Observed, OutputMeta, Target,
};
use akv2k8s_shared::api;
use akv2k8s_shared::diagnosis::Diagnosis;
use akv2k8s_shared::doctor::Seen;
use akv2k8s_shared::object::SecretData;

use super::report::{Change, Failure, KeyPlan, ObjectPlan, OutputPlan, Resource, Role, Step};
use crate::live::Live;
use crate::survey::{Asked, Survey};

/// What a Secret's type is when none is asked for.
const OPAQUE: &str = "Opaque";

/// What would happen with one AKVS and its outputs; `denied`: why the controller would not read its object.
pub(crate) fn object(survey: &Survey, denied: Option<&Diagnosis>) -> ObjectPlan {
    let metadata = &survey.akvs.metadata;
    let resource = match &survey.existing {
        None => Resource::New,
        Some(existing) if existing.spec == survey.akvs.spec => Resource::Unchanged,
        Some(_) => Resource::Changed,
    };
    let status = survey.existing.as_ref().and_then(|akvs| akvs.status.as_ref());
    let mut plan = ObjectPlan {
        namespace: metadata.namespace.clone().unwrap_or_default(),
        name: metadata.name.clone().unwrap_or_default(),
        resource,
        source: None,
        vault_version: None,
        written_version: status.and_then(|status| status.object_version.clone()),
        outputs: Vec::new(),
        warnings: Vec::new(),
        failure: None,
    };
    match &survey.asked {
        Err(diagnosis) => plan.failure = Some((&**diagnosis).into()),
        Ok(asked) => {
            plan.source = Some(asked.request.object.to_string());
            plan.warnings.clone_from(&asked.request.warnings);
            match (denied, &asked.read) {
                (Some(diagnosis), _) => plan.failure = Some(diagnosis.into()),
                (None, Err(diagnosis)) => plan.failure = Some((&**diagnosis).into()),
                (None, Ok(read)) => {
                    plan.vault_version = Some(read.fetched.object.version().as_str().to_owned());
                    plan.outputs = outputs(survey, &read.desired);
                }
            }
        }
    }
    plan
}

/// What the identity that reads the vault needs there; nothing when the specification does not say which vault.
pub(crate) fn role(survey: &Survey) -> Option<Role> {
    let Asked { request, .. } = survey.asked.as_ref().ok()?;
    let namespace = survey.akvs.metadata.namespace.as_deref().unwrap_or_default();
    Some(Role {
        vault: request.object.vault.to_string(),
        name: request.object.kind.role(),
        identity: match &request.service_account {
            Some(name) => format!("ServiceAccount {namespace}/{name}"),
            None => "the controller".to_owned(),
        },
    })
}

fn outputs(survey: &Survey, desired: &[Desired]) -> Vec<OutputPlan> {
    let akvs = id(&survey.akvs.metadata);
    let observed: Vec<_> = survey
        .live
        .iter()
        .map(|(target, live)| Observed {
            target: target.clone(),
            meta: live.found().map(|live| OutputMeta::of(&live.metadata)),
        })
        .collect();
    let adopt = survey
        .akvs
        .metadata
        .annotations
        .as_ref()
        .and_then(|it| it.get(api::ADOPT));
    let claimant = Claimant {
        id: &akvs,
        adopt: adopt.is_some_and(|value| value == "true"),
    };
    let plan = output::plan(&claimant, desired, &observed, &survey.siblings);
    let manager = akvs.manager();
    let actions = plan.actions.iter().map(|action| step(action, &survey.live, &manager));
    let refused = plan.refused.iter().map(|(target, diagnosis)| OutputPlan {
        failure: Some(Failure::from(&**diagnosis)),
        ..blank(target, Step::Refused)
    });
    actions.chain(refused).collect()
}

/// One of the controller's steps, in words.
fn step(action: &Action<'_>, live: &BTreeMap<Target, Seen<Live>>, manager: &str) -> OutputPlan {
    let data = |target: &Target| {
        let found = live.get(target).and_then(Seen::found);
        found.into_iter().flat_map(|live| &live.data)
    };
    match action {
        Action::Create { desired } => created(desired, matches!(live.get(&desired.target), Some(Seen::NotAllowed))),
        Action::Apply(application) => {
            let target = &application.desired.target;
            match live.get(target).and_then(Seen::found) {
                Some(live) => applied(application, live, manager),
                None => blank(target, Step::Unknown),
            }
        }
        Action::Delete { target, .. } => OutputPlan {
            why: Some("no longer wanted".to_owned()),
            keys: data(target).map(|(key, value)| removed(key, value.len())).collect(),
            ..blank(target, Step::Delete)
        },
        Action::Release { target, seen } => {
            let ours = seen.applied(manager).map(|claims| &claims.data);
            let keys = data(target).filter(|(key, _)| ours.is_some_and(|ours| has(ours, key)));
            OutputPlan {
                why: Some("no longer wanted; others have a part in it".to_owned()),
                keys: keys.map(|(key, value)| removed(key, value.len())).collect(),
                ..blank(target, Step::Release)
            }
        }
    }
}

/// What is made where nothing is; `hidden`: nobody knows whether there is anything.
fn created(desired: &Desired, hidden: bool) -> OutputPlan {
    let (step, change) = if hidden {
        (Step::Unknown, Change::Unknown)
    } else {
        (Step::Create, Change::Added)
    };
    let keys = values(desired).map(|(key, length)| KeyPlan {
        name: key.to_owned(),
        change,
        length_now: None,
        length: Some(length),
    });
    OutputPlan {
        keys: keys.collect(),
        ..blank(&desired.target, step)
    }
}

fn applied(application: &Application<'_>, live: &Live, manager: &str) -> OutputPlan {
    let Application { desired, seen, .. } = application;
    let ours = seen.applied(manager);
    let keys = keys(desired, &live.data, ours.map(|claims| &claims.data));
    let metadata = metadata(application, live, manager);
    let new_type = desired.secret_type.as_deref().unwrap_or(OPAQUE);
    let old_type = live.secret_type.as_deref().unwrap_or(OPAQUE);
    let plan = OutputPlan {
        keys,
        metadata,
        ..blank(&desired.target, Step::Unchanged)
    };
    let why = Some(application.why.clone());
    if desired.target.kind == Kind::Secret && new_type != old_type {
        let what = format!("its type becomes {new_type}, from {old_type}");
        return if application.recreate_on_type_change {
            OutputPlan {
                step: Step::Recreate,
                why: Some(what),
                ..plan
            }
        } else {
            let why = format!("{what}, and others have a part in it: a type cannot be changed");
            OutputPlan {
                step: Step::Refused,
                why: Some(why),
                ..plan
            }
        };
    }
    if plan.keys.iter().any(|key| key.change != Change::Equal) || !plan.metadata.is_empty() {
        OutputPlan {
            step: Step::Update,
            why,
            ..plan
        }
    } else if ours.is_none() {
        OutputPlan {
            step: Step::Join,
            why,
            ..plan
        }
    } else {
        plan
    }
}

/// The keys that are wanted, and those that this AKVS applied and does not want any more.
fn keys(desired: &Desired, now: &SecretData, ours: Option<&Names>) -> Vec<KeyPlan> {
    let all = desired.data.iter().chain(&desired.binary);
    let mut keys: Vec<_> = all
        .map(|(key, value)| {
            let present = now.get(key);
            let change = match present {
                None => Change::Added,
                Some(present) if present == value => Change::Equal,
                Some(_) => Change::Changed,
            };
            KeyPlan {
                name: key.clone(),
                change,
                length_now: present.map(akv2k8s_shared::secret::SecretBytes::len),
                length: Some(value.len()),
            }
        })
        .collect();
    let wanted: BTreeSet<_> = desired.keys().collect();
    let gone = now.iter().filter(|(key, _)| !wanted.contains(key.as_str()));
    let gone = gone.filter(|(key, _)| ours.is_some_and(|ours| has(ours, key)));
    keys.extend(gone.map(|(key, value)| removed(key, value.len())));
    keys.sort_by(|a, b| a.name.cmp(&b.name));
    keys
}

/// Labels and annotations that change.
fn metadata(application: &Application<'_>, live: &Live, manager: &str) -> Vec<String> {
    let Application { desired, seen, .. } = application;
    let ours = seen.applied(manager);
    let mut changes = Vec::new();
    let parts = [
        (
            "label",
            &desired.labels,
            &live.metadata.labels,
            &application.yield_labels,
            ours.map(|it| &it.labels),
        ),
        (
            "annotation",
            &desired.annotations,
            &live.metadata.annotations,
            &application.yield_annotations,
            ours.map(|it| &it.annotations),
        ),
    ];
    for (what, wanted, now, yielded, ours) in parts {
        let is_there = |key: &str, value: &str| now.as_ref().and_then(|now| now.get(key)).is_some_and(|it| it == value);
        let set = wanted
            .iter()
            .filter(|(key, value)| !yielded.contains(key) && !is_there(key, value));
        changes.extend(set.map(|(key, _)| format!("{what} {key} is set")));
        let gone = ours.into_iter().flatten().filter(|key| !wanted.contains_key(&***key));
        changes.extend(gone.map(|key| format!("{what} {key} is removed")));
    }
    changes
}

fn values(desired: &Desired) -> impl Iterator<Item = (&str, usize)> {
    let all = desired.data.iter().chain(&desired.binary);
    all.map(|(key, value)| (key.as_str(), value.len()))
}

fn removed(key: &str, length: usize) -> KeyPlan {
    KeyPlan {
        name: key.to_owned(),
        change: Change::Removed,
        length_now: Some(length),
        length: None,
    }
}

fn has(names: &Names, key: &str) -> bool {
    names.iter().any(|name| **name == *key)
}

fn blank(target: &Target, step: Step) -> OutputPlan {
    OutputPlan {
        kind: target.kind.to_string(),
        name: target.name.clone(),
        step,
        why: None,
        keys: Vec::new(),
        metadata: Vec::new(),
        failure: None,
    }
}
