//! Outcome → status. Pure; equal outcomes give equal statuses, so that nothing is written twice.

use akv2k8s_shared::api::{
    AzureKeyVaultSecret, AzureKeyVaultSecretStatus, Condition, StatusIdentity, StatusOutput, condition,
};
use akv2k8s_shared::diagnosis::Diagnosis;
use akv2k8s_shared::identity::IdentityInfo;
use akv2k8s_shared::keyvault::model::{Attributes, Fingerprint};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::decide::status_of;
use super::desired::out_of_validity;

/// Reason of a `Ready` condition that holds.
pub(crate) const SYNCED: &str = "Synced";

/// How a sync ended.
pub(crate) enum Outcome<'a> {
    /// Every output holds the vault's object.
    Synced(Synced<'a>),
    /// Something stands in the way. What was written before is as it was.
    Failed {
        /// What, why, and what to do.
        diagnosis: &'a Diagnosis,
        /// Whether it may pass by itself.
        transient: bool,
        /// The outputs held now.
        outputs: Vec<StatusOutput>,
    },
    /// The spec names no output, and nothing is held any more.
    Withdrawn,
}

/// What was taken over.
pub(crate) struct Synced<'a> {
    /// The object, for people: `secret 'a' in vault 'b'`.
    pub(crate) object: String,
    /// Its version.
    pub(crate) version: &'a str,
    /// Its change mark; `None` while it is not settled.
    pub(crate) fingerprint: Option<&'a Fingerprint>,
    /// Its attributes.
    pub(crate) attributes: &'a Attributes,
    /// Who read it.
    pub(crate) identity: &'a IdentityInfo,
    /// What holds it now.
    pub(crate) outputs: Vec<StatusOutput>,
    /// Whether an output was written.
    pub(crate) written: bool,
}

/// The status after `outcome`. Whatever it is, upstream's digests of values go: they are not trusted, and tell too much.
pub(crate) fn next(akvs: &AzureKeyVaultSecret, outcome: Outcome<'_>, now: Timestamp) -> AzureKeyVaultSecretStatus {
    let previous = status_of(akvs);
    let generation = akvs.metadata.generation;
    let conditions = conditions(&outcome, generation, now);
    let conditions = condition::carry_over(&previous.conditions, conditions);
    let observed_generation = generation;
    match outcome {
        Outcome::Synced(synced) => {
            let changed = synced.written || previous.object_version.as_deref() != Some(synced.version);
            AzureKeyVaultSecretStatus {
                conditions,
                observed_generation,
                object_version: Some(synced.version.to_owned()),
                fingerprint: synced.fingerprint.map(|mark| mark.0.clone()),
                expires: synced.attributes.expires.and_then(time),
                not_before: synced.attributes.not_before.and_then(time),
                identity: Some(identity(synced.identity)),
                secret_name: named(&synced.outputs, "Secret"),
                config_map_name: named(&synced.outputs, "ConfigMap"),
                outputs: synced.outputs,
                last_azure_update: if changed {
                    Some(Time(now))
                } else {
                    previous.last_azure_update
                },
                secret_hash: None,
                config_map_hash: None,
            }
        }
        Outcome::Failed { outputs, .. } => AzureKeyVaultSecretStatus {
            conditions,
            observed_generation,
            outputs,
            // Without a mark the next look reads the vault, whatever its list says.
            fingerprint: None,
            secret_hash: None,
            config_map_hash: None,
            ..previous
        },
        Outcome::Withdrawn => AzureKeyVaultSecretStatus {
            conditions,
            observed_generation,
            ..AzureKeyVaultSecretStatus::default()
        },
    }
}

fn conditions(outcome: &Outcome<'_>, generation: Option<i64>, now: Timestamp) -> Vec<Condition> {
    let new = |type_, holds, reason: &str, message: &str| {
        condition::new(type_, holds, reason, message, generation, Time(now))
    };
    match outcome {
        Outcome::Synced(synced) => {
            let names: Vec<_> = synced
                .outputs
                .iter()
                .map(|it| format!("{:?} {}", it.kind, it.name))
                .collect();
            let mut message = format!(
                "{} holds version {} of {}.",
                names.join(" and "),
                synced.version,
                synced.object
            );
            if let Some(advice) = out_of_validity(synced.attributes, now) {
                message = format!("{message} {}", advice.message());
            }
            vec![new(condition::READY, true, SYNCED, &message)]
        }
        Outcome::Failed {
            diagnosis, transient, ..
        } => {
            let reason = diagnosis.code.as_str();
            let message = diagnosis.message();
            let second = if *transient {
                condition::RECONCILING
            } else {
                condition::STALLED
            };
            vec![
                new(condition::READY, false, reason, &message),
                new(second, true, reason, &message),
            ]
        }
        Outcome::Withdrawn => vec![new(condition::READY, true, "NoOutput", "The spec names no output.")],
    }
}

/// The identity as status shows it.
pub(crate) fn identity(info: &IdentityInfo) -> StatusIdentity {
    StatusIdentity {
        method: info.method.as_str().to_owned(),
        client_id: info.client_id.clone(),
        tenant_id: info.tenant_id.clone(),
        subject: info.subject.clone(),
    }
}

fn named(outputs: &[StatusOutput], kind: &str) -> Option<String> {
    outputs
        .iter()
        .find(|output| format!("{:?}", output.kind) == kind)
        .map(|output| output.name.clone())
}

fn time(seconds: i64) -> Option<Time> {
    Timestamp::from_second(seconds).ok().map(Time)
}

/// The merge patch (RFC 7396) that turns `before` into `after`; `None` when they are equal. It carries the UID, so that it
/// never lands on a namesake.
pub(crate) fn patch(
    uid: &str,
    before: Option<&AzureKeyVaultSecretStatus>,
    after: &AzureKeyVaultSecretStatus,
) -> Result<Option<Value>, serde_json::Error> {
    let before = before
        .map(serde_json::to_value)
        .transpose()?
        .unwrap_or_else(|| json!({}));
    let after = serde_json::to_value(after)?;
    let (Value::Object(before), Value::Object(after)) = (&before, &after) else {
        return Ok(None);
    };
    let difference = difference(before, after);
    Ok((!difference.is_empty()).then(|| json!({"metadata": {"uid": uid}, "status": difference})))
}

/// Members that differ, each with its new value whole; removed ones as `null`. A whole object as value would be merged with
/// the old one, so it is preceded by the removal of what it lacks.
fn difference(before: &Map<String, Value>, after: &Map<String, Value>) -> Map<String, Value> {
    let mut patch = Map::new();
    for (name, value) in after {
        match (before.get(name), value) {
            (Some(old), new) if old == new => {}
            (Some(Value::Object(old)), Value::Object(new)) => {
                patch.insert(name.clone(), Value::Object(difference(old, new)));
            }
            (_, new) => {
                patch.insert(name.clone(), new.clone());
            }
        }
    }
    for name in before.keys().filter(|name| !after.contains_key(*name)) {
        patch.insert(name.clone(), Value::Null);
    }
    patch
}

#[cfg(test)]
mod tests {
    use akv2k8s_shared::diagnosis::Code;
    use akv2k8s_shared::identity::Method;

    use super::*;

    fn akvs() -> AzureKeyVaultSecret {
        serde_json::from_value(json!({
            "apiVersion": "spv.no/v2beta1",
            "kind": "AzureKeyVaultSecret",
            "metadata": {"name": "a", "namespace": "n", "uid": "u", "generation": 3},
            "spec": {"vault": {"name": "kv1", "object": {"name": "s", "type": "secret"}}},
            "status": {"secretName": "out", "secretHash": "0123", "lastAzureUpdate": "2025-01-01T00:00:00Z"},
        }))
        .unwrap()
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn synced<'a>(
        fingerprint: Option<&'a Fingerprint>,
        identity: &'a IdentityInfo,
        attributes: &'a Attributes,
    ) -> Outcome<'a> {
        let output =
            serde_json::from_value(json!({"kind": "Secret", "name": "out", "keys": ["k"], "uid": "x"})).unwrap();
        Outcome::Synced(Synced {
            object: "secret 's' in vault 'kv1'".to_owned(),
            version: "v1",
            fingerprint,
            attributes,
            identity,
            outputs: vec![output],
            written: false,
        })
    }

    const IDENTITY: IdentityInfo = IdentityInfo {
        method: Method::WorkloadIdentity,
        client_id: None,
        tenant_id: None,
        subject: None,
    };
    const ATTRIBUTES: Attributes = Attributes {
        enabled: true,
        created: None,
        updated: None,
        expires: Some(1_800_000_000),
        not_before: None,
    };

    #[test]
    fn the_same_outcome_later_is_no_change() {
        let mut akvs = akvs();
        let mark = Fingerprint("f".to_owned());
        let first = next(&akvs, synced(Some(&mark), &IDENTITY, &ATTRIBUTES), at(10));
        assert_eq!(first.secret_hash, None, "upstream's digest goes");
        assert_eq!(first.last_azure_update, Some(Time(at(10))));
        akvs.status = Some(first.clone());
        let second = next(&akvs, synced(Some(&mark), &IDENTITY, &ATTRIBUTES), at(99));
        assert_eq!(patch("u", Some(&first), &second).unwrap(), None);
    }

    #[test]
    fn the_same_failure_later_is_no_change_and_keeps_what_was_written() {
        let mut akvs = akvs();
        let mark = Fingerprint("f".to_owned());
        akvs.status = Some(next(&akvs, synced(Some(&mark), &IDENTITY, &ATTRIBUTES), at(10)));
        let diagnosis = Diagnosis::told("Throttled", "What. Cause: Cause. Fix: Fix.").unwrap();
        let failed = |akvs: &AzureKeyVaultSecret, now| {
            let outputs = status_of(akvs).outputs;
            next(
                akvs,
                Outcome::Failed {
                    diagnosis: &diagnosis,
                    transient: true,
                    outputs,
                },
                at(now),
            )
        };
        let first = failed(&akvs, 20);
        assert_eq!(first.last_azure_update, Some(Time(at(10))));
        assert_eq!(first.object_version.as_deref(), Some("v1"));
        assert_eq!(first.fingerprint, None);
        assert_eq!(first.conditions[0].message, "What. Cause: Cause. Fix: Fix.");
        assert_eq!(first.conditions[1].type_, "Reconciling");
        akvs.status = Some(first.clone());
        assert_eq!(patch("u", Some(&first), &failed(&akvs, 30)).unwrap(), None);
    }

    #[test]
    fn upstreams_digests_go_with_our_first_write_even_when_it_tells_a_failure() {
        let mut akvs = akvs();
        if let Some(status) = &mut akvs.status {
            status.config_map_hash = Some("4567".to_owned());
        }
        let diagnosis = Diagnosis::of(Code::ForbiddenByRbac, "What.", &[]);
        let failed = Outcome::Failed {
            diagnosis: &diagnosis,
            transient: false,
            outputs: Vec::new(),
        };
        for outcome in [failed, Outcome::Withdrawn] {
            let status = next(&akvs, outcome, at(10));
            assert_eq!((status.secret_hash, status.config_map_hash), (None, None));
        }
    }

    #[test]
    fn a_patch_names_only_what_differs_and_removes_what_went() {
        let before = akvs().status.unwrap();
        let after = AzureKeyVaultSecretStatus {
            secret_name: before.secret_name.clone(),
            ..Default::default()
        };
        let patch = patch("u", Some(&before), &after).unwrap().unwrap();
        assert_eq!(
            patch,
            json!({"metadata": {"uid": "u"}, "status": {"secretHash": null, "lastAzureUpdate": null}})
        );
    }
}
