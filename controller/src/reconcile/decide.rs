//! What to do about one AKVS: pure decisions from its spec, its status and its outputs' metadata.

use akv2k8s_shared::api::{AzureKeyVaultSecret, AzureKeyVaultSecretStatus, StatusOutput, condition};
use akv2k8s_shared::diagnosis::Diagnosis;
use akv2k8s_shared::keyvault::Priority;

use crate::output::{OutputState, Target};
use crate::queue::{Lane, Reasons};

/// Everything that is known before the vault is asked.
pub(crate) struct View<'a> {
    /// The AKVS.
    pub(crate) akvs: &'a AzureKeyVaultSecret,
    /// Why its object may not be read for its namespace.
    pub(crate) denied: Option<Box<Diagnosis>>,
    /// How each output its spec names stands; empty when outputs are not watched.
    pub(crate) outputs: &'a [(Target, OutputState)],
    /// Whether an output is held that was written before, be it recorded or not: a predecessor may have been stopped
    /// between writing an output and saying so.
    pub(crate) holds: bool,
    /// Why we were called.
    pub(crate) reasons: Reasons,
    /// Who goes first.
    pub(crate) lane: Lane,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Next {
    /// All is as it should be.
    Nothing,
    /// Only the ownership of an output is still upstream's: do that in a quiet moment.
    TakeOverLater,
    /// Read the vault, then see.
    Fetch {
        /// Why, in plain words.
        why: String,
        /// Who goes first.
        priority: Priority,
        /// Write even when the vault shows no change.
        reapply: bool,
    },
    /// The spec names no output any more: give back what was written.
    Withdraw,
    /// It may not be read: say so, and leave what was written as it is.
    Deny(Box<Diagnosis>),
}

/// Decides. Level-triggered: it needs no memory of what was done before.
pub(crate) fn decide(view: &View<'_>) -> Next {
    let status = status_of(view.akvs);
    if crate::objects::wanted(view.akvs).is_empty() {
        return if view.holds { Next::Withdraw } else { Next::Nothing };
    }
    if let Some(denied) = &view.denied {
        return Next::Deny(denied.clone());
    }
    let fetch = |why: &str, priority, reapply| Next::Fetch {
        why: why.to_owned(),
        priority,
        reapply,
    };
    if status.observed_generation.is_none() {
        let taken_over =
            !view.outputs.is_empty() && view.outputs.iter().all(|(_, state)| *state == OutputState::TakeOver);
        return match view.lane {
            Lane::New if taken_over && !view.reasons.look => Next::TakeOverLater,
            Lane::New => fetch("new", Priority::New, true),
            Lane::Refresh => fetch("taking over what another controller wrote", Priority::Refresh, true),
        };
    }
    if status.observed_generation != view.akvs.metadata.generation {
        return fetch("the spec was edited", Priority::New, true);
    }
    if let Some(drift) = view.outputs.iter().find_map(|(target, state)| drift(target, state)) {
        return fetch(&drift, Priority::New, true);
    }
    if !is_ready(&status) {
        let priority = if view.lane == Lane::New {
            Priority::New
        } else {
            Priority::Refresh
        };
        return fetch("the last sync failed", priority, true);
    }
    if status.object_version.is_none() {
        return fetch("status does not say what was written", Priority::Refresh, true);
    }
    if view.reasons.look || view.reasons.reapply {
        return fetch(
            "looking for changes in the vault",
            Priority::Refresh,
            view.reasons.reapply,
        );
    }
    Next::Nothing
}

/// Whether a value just read must be written: it is another than the one status records, or the caller insists.
pub(crate) fn must_write(status: &AzureKeyVaultSecretStatus, version: &str, reapply: bool) -> bool {
    reapply || status.object_version.as_deref() != Some(version)
}

fn drift(target: &Target, state: &OutputState) -> Option<String> {
    match state {
        OutputState::Intact => None,
        OutputState::Absent => Some(format!("{target} is missing")),
        OutputState::TakeOver => Some(format!("{target} was written by another controller")),
        OutputState::NotJoined => Some(format!("{target} does not hold our keys")),
        OutputState::Drifted(what) => Some(format!("{target}: {}", what.join(", "))),
    }
}

/// The status, or an empty one.
pub(crate) fn status_of(akvs: &AzureKeyVaultSecret) -> AzureKeyVaultSecretStatus {
    akvs.status.clone().unwrap_or_default()
}

/// Whether the last sync succeeded.
pub(crate) fn is_ready(status: &AzureKeyVaultSecretStatus) -> bool {
    condition::get(&status.conditions, condition::READY).is_some_and(|ready| ready.status == "True")
}

/// What status records of `target`.
pub(crate) fn recorded<'a>(outputs: &'a [StatusOutput], target: &Target) -> Option<&'a StatusOutput> {
    outputs.iter().find(|output| Target::from(*output) == *target)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::output::Kind;

    fn akvs(status: impl Into<serde_json::Value>) -> AzureKeyVaultSecret {
        serde_json::from_value(json!({
            "apiVersion": "spv.no/v2beta1",
            "kind": "AzureKeyVaultSecret",
            "metadata": {"name": "a", "namespace": "n", "uid": "u", "generation": 3},
            "spec": {
                "vault": {"name": "kv1", "object": {"name": "s", "type": "secret"}},
                "output": {"secret": {"name": "out", "dataKey": "k"}},
            },
            "status": status.into(),
        }))
        .unwrap()
    }

    fn synced() -> serde_json::Value {
        json!({
            "observedGeneration": 3,
            "objectVersion": "v1",
            "fingerprint": "f1",
            "outputs": [{"kind": "Secret", "name": "out", "keys": ["k"]}],
            "conditions": [condition("True", "Synced")],
        })
    }

    fn condition(status: &str, reason: &str) -> serde_json::Value {
        json!({"type": "Ready", "status": status, "reason": reason, "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"})
    }

    fn next(akvs: &AzureKeyVaultSecret, state: OutputState, lane: Lane, reasons: Reasons) -> Next {
        let outputs = [(
            Target {
                kind: Kind::Secret,
                name: "out".to_owned(),
            },
            state,
        )];
        decide(&View {
            akvs,
            denied: None,
            outputs: &outputs,
            holds: true,
            reasons,
            lane,
        })
    }

    const NO_REASON: Reasons = Reasons {
        look: false,
        reapply: false,
    };
    const LOOK: Reasons = Reasons {
        look: true,
        reapply: false,
    };

    #[test]
    fn after_a_restart_what_is_in_order_costs_nothing() {
        let akvs = akvs(synced());
        assert_eq!(next(&akvs, OutputState::Intact, Lane::New, NO_REASON), Next::Nothing);
        assert_eq!(
            decide(&View {
                akvs: &akvs,
                denied: None,
                outputs: &[],
                holds: true,
                reasons: NO_REASON,
                lane: Lane::New
            }),
            Next::Nothing
        );
    }

    #[test]
    fn a_look_reads_but_does_not_insist_on_writing() {
        match next(&akvs(synced()), OutputState::Intact, Lane::Refresh, LOOK) {
            Next::Fetch {
                priority: Priority::Refresh,
                reapply: false,
                ..
            } => {}
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_somebody_waits_for_goes_first() {
        let mut edited = akvs(synced());
        edited.metadata.generation = Some(4);
        let drifted = OutputState::Drifted(vec!["data key \"k\" was changed by kubectl-edit".to_owned()]);
        for (akvs, state) in [
            (akvs(json!({})), OutputState::Absent),
            (edited, OutputState::Intact),
            (akvs(synced()), OutputState::Absent),
            (akvs(synced()), drifted),
        ] {
            match next(&akvs, state, Lane::New, NO_REASON) {
                Next::Fetch {
                    priority: Priority::New,
                    reapply: true,
                    ..
                } => {}
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn a_failed_object_is_tried_again_after_a_restart() {
        let mut status = synced();
        status["conditions"] = json!([condition("False", "ObjectNotFound")]);
        assert!(matches!(
            next(&akvs(status), OutputState::Intact, Lane::New, NO_REASON),
            Next::Fetch { .. }
        ));
    }

    #[test]
    fn what_upstream_wrote_is_taken_over_in_a_quiet_moment() {
        let akvs = akvs(json!({"secretName": "out", "secretHash": "0123"}));
        assert_eq!(
            next(&akvs, OutputState::TakeOver, Lane::New, NO_REASON),
            Next::TakeOverLater
        );
        assert!(matches!(
            next(&akvs, OutputState::TakeOver, Lane::Refresh, LOOK),
            Next::Fetch {
                priority: Priority::Refresh,
                reapply: true,
                ..
            }
        ));
    }

    #[test]
    fn outputs_that_are_no_longer_wanted_are_withdrawn_once() {
        let mut akvs = akvs(synced());
        akvs.spec.output = None;
        let next = |holds| {
            decide(&View {
                akvs: &akvs,
                denied: None,
                outputs: &[],
                holds,
                reasons: NO_REASON,
                lane: Lane::New,
            })
        };
        assert_eq!(next(true), Next::Withdraw);
        assert_eq!(next(false), Next::Nothing);
    }

    #[test]
    fn what_is_not_granted_is_not_read_whatever_else_there_is_to_do_but_is_still_given_back() {
        use akv2k8s_shared::diagnosis::Code;
        let denied = || Some(Box::new(Diagnosis::of(Code::VaultNotGranted, "What.", &[])));
        let mut edited = akvs(synced());
        edited.metadata.generation = Some(4);
        let decide = |akvs: &AzureKeyVaultSecret, reasons| {
            decide(&View {
                akvs,
                denied: denied(),
                outputs: &[],
                holds: true,
                reasons,
                lane: Lane::New,
            })
        };
        for akvs in [akvs(json!({})), akvs(synced()), edited] {
            for reasons in [NO_REASON, LOOK] {
                assert!(matches!(decide(&akvs, reasons), Next::Deny(_)));
            }
        }
        let mut withdrawn = akvs(synced());
        withdrawn.spec.output = None;
        assert_eq!(decide(&withdrawn, NO_REASON), Next::Withdraw);
    }

    #[test]
    fn a_value_is_written_only_when_it_is_another() {
        let status = status_of(&akvs(synced()));
        assert!(!must_write(&status, "v1", false));
        assert!(must_write(&status, "v1", true));
        assert!(must_write(&status, "v2", false));
    }
}
