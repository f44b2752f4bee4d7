//! Vault object → what the outputs shall hold, and what they hold afterwards. Pure.

use std::collections::BTreeMap;

use akv2k8s_shared::api::{Request, StatusOutput, StatusOutputKind};
use akv2k8s_shared::diagnosis::{Diagnosis, case};
use akv2k8s_shared::keyvault::model::{Attributes, VaultObject};
use akv2k8s_shared::object;
use k8s_openapi::jiff::Timestamp;

use crate::output::{Applied, Change, Copied, Desired, Kind, Target};

/// What `request` makes of `object`, with these labels and annotations.
///
/// # Errors
/// The object's value cannot become what is asked for.
pub fn desired(request: &Request, object: &VaultObject, copied: &Copied) -> Result<Vec<Desired>, Box<Diagnosis>> {
    let name = request.object.to_string();
    let mut all = Vec::new();
    if let Some((target, output)) = &request.secret {
        let data = object::secret_data(request.source, &request.transforms, output, object, &name)?;
        all.push(Desired {
            target: Target {
                kind: Kind::Secret,
                name: target.clone(),
            },
            secret_type: output.secret_type.clone(),
            data,
            binary: BTreeMap::new(),
            labels: copied.labels.clone(),
            annotations: copied.annotations.clone(),
        });
    }
    if let Some((target, output)) = &request.config_map {
        let data = object::config_map_data(request.source, &request.transforms, output, object, &name)?;
        all.push(Desired {
            target: Target {
                kind: Kind::ConfigMap,
                name: target.clone(),
            },
            secret_type: None,
            data: data.data,
            binary: data.binary_data,
            labels: copied.labels.clone(),
            annotations: copied.annotations.clone(),
        });
    }
    Ok(all)
}

/// The outputs held after `applied`, when `before` were held.
pub(crate) fn held(before: &[StatusOutput], applied: &Applied) -> Vec<StatusOutput> {
    let mut held: BTreeMap<Target, StatusOutput> = before.iter().map(|it| (Target::from(it), it.clone())).collect();
    for written in &applied.written {
        match written.change {
            Change::Deleted | Change::Released => {
                held.remove(&written.target);
            }
            Change::Created | Change::Updated | Change::Unchanged | Change::Recreated => {
                let output = StatusOutput {
                    kind: match written.target.kind {
                        Kind::Secret => StatusOutputKind::Secret,
                        Kind::ConfigMap => StatusOutputKind::ConfigMap,
                    },
                    name: written.target.name.clone(),
                    keys: written.keys.clone(),
                    uid: Some(written.uid.clone()),
                };
                held.insert(written.target.clone(), output);
            }
        }
    }
    held.into_values().collect()
}

/// What users should know of an object outside its validity. It is synced all the same: Key Vault gives it out, too
/// (<https://learn.microsoft.com/azure/key-vault/secrets/about-secrets#date-time-controlled-operations>), and a Secret that
/// vanished at a date would take the application with it.
pub(crate) fn out_of_validity(attributes: &Attributes, now: Timestamp) -> Option<Diagnosis> {
    let time = |seconds: Option<i64>| seconds.and_then(|it| Timestamp::from_second(it).ok());
    if let Some(expired) = time(attributes.expires).filter(|at| *at <= now) {
        return Some(Diagnosis::case(
            case::ExpiredButSynced { expired: &expired },
            "The object has expired, and is synced all the same.",
        ));
    }
    time(attributes.not_before).filter(|at| *at > now).map(|from| {
        Diagnosis::case(
            case::NotYetValidButSynced { from: &from },
            "The object is not valid yet, and is synced all the same.",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::Written;

    fn target(name: &str) -> Target {
        Target {
            kind: Kind::Secret,
            name: name.to_owned(),
        }
    }

    fn recorded(name: &str) -> StatusOutput {
        StatusOutput {
            kind: StatusOutputKind::Secret,
            name: name.to_owned(),
            keys: vec!["k".to_owned()],
            uid: None,
        }
    }

    #[test]
    fn writes_add_to_what_was_held_and_prunes_take_from_it() {
        let written = |name, change| Written {
            target: target(name),
            change,
            why: String::new(),
            keys: vec!["k".to_owned()],
            uid: "u".to_owned(),
        };
        let applied = Applied {
            written: vec![written("new", Change::Created), written("old", Change::Deleted)],
            failed: Vec::new(),
        };
        let held = held(&[recorded("old"), recorded("other")], &applied);
        let names: Vec<_> = held.iter().map(|output| output.name.as_str()).collect();
        assert_eq!(names, ["new", "other"]);
    }
}
