//! How an outcome is told besides status: one event and one log line for each change.

use akv2k8s_shared::api::{AzureKeyVaultSecret, GROUP};
use akv2k8s_shared::diagnosis::{Diagnosis, EventReason};
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::jiff::Timestamp;
use kube::core::ObjectMeta;
use tracing::{info, warn};

use super::Context;
use super::decide::status_of;
use super::desired::{attributes, out_of_validity, version};
use super::write::{Done, Failure};
use crate::events::Note;
use crate::objects::id;
use crate::output::{Kind, Target};

/// Tells how a sync ended. `news`: the status changed, so this was not said before.
pub(super) fn outcome(context: &Context, akvs: &AzureKeyVaultSecret, result: &Result<Done, Failure>, news: bool) {
    let akvs_id = id(&akvs.metadata);
    match result {
        Ok(Done::Withdrawn) => {
            info!(
                namespace = akvs_id.namespace,
                akvs = akvs_id.name,
                "outputs withdrawn: the spec names none any more"
            );
        }
        Ok(Done::Synced {
            request,
            fetched,
            outputs,
            changes,
            ..
        }) => {
            if news && let Some(advice) = out_of_validity(attributes(&fetched.object), Timestamp::now()) {
                let note = Note::Failed {
                    code: advice.code.as_str(),
                    error: advice.to_string(),
                };
                context.events.publish(reference(&akvs.metadata), &note);
            }
            let status = status_of(akvs);
            // A change of the value is the AKVS's event; the first write, or a repair, is the output's.
            let differs = |before: &str| before != version(&fetched.object);
            let rotated = status.observed_generation == akvs.metadata.generation
                && status.object_version.as_deref().is_some_and(differs);
            for (target, _) in changes {
                if rotated {
                    context
                        .events
                        .publish(reference(&akvs.metadata), &Note::SyncedWithChange);
                    break;
                }
                let uid = outputs
                    .iter()
                    .find(|it| Target::from(*it) == *target)
                    .and_then(|it| it.uid.clone());
                context
                    .events
                    .publish(output_reference(&akvs_id.namespace, target, uid), &Note::Synced);
            }
            if status.observed_generation != akvs.metadata.generation {
                for warning in &request.warnings {
                    context
                        .events
                        .publish(reference(&akvs.metadata), &Note::Warning(warning.clone()));
                }
            }
        }
        Err(failure) if news => {
            let diagnosis = &failure.diagnosis;
            warn!(
                namespace = akvs_id.namespace,
                akvs = akvs_id.name,
                vault = akvs.spec.vault.name,
                code = diagnosis.code.as_str(),
                what = diagnosis.what,
                cause = &*diagnosis.cause,
                fix = &*diagnosis.fix,
                trace = diagnosis.trace.as_ref().map(tracing::field::display),
                "sync failed",
            );
            context
                .events
                .publish(reference(&akvs.metadata), &note(akvs, diagnosis));
        }
        Err(_) => {}
    }
}

fn note(akvs: &AzureKeyVaultSecret, diagnosis: &Diagnosis) -> Note {
    let error = diagnosis.to_string();
    match diagnosis.code.row().event {
        EventReason::ErrResourceExists => {
            let wanted = crate::objects::wanted(akvs);
            let name = wanted.into_iter().next().map(|target| target.name).unwrap_or_default();
            Note::ErrResourceExists { name, error }
        }
        EventReason::ErrAzureVault => Note::ErrAzureVault {
            akvs: akvs.metadata.name.clone().unwrap_or_default(),
            vault: akvs.spec.vault.name.clone(),
            error,
        },
        EventReason::Itself => Note::Failed {
            code: diagnosis.code.as_str(),
            error,
        },
    }
}

/// The AKVS in an event.
pub(super) fn reference(meta: &ObjectMeta) -> ObjectReference {
    ObjectReference {
        api_version: Some(format!("{GROUP}/v2beta1")),
        kind: Some("AzureKeyVaultSecret".to_owned()),
        namespace: meta.namespace.clone(),
        name: meta.name.clone(),
        uid: meta.uid.clone(),
        resource_version: meta.resource_version.clone(),
        ..ObjectReference::default()
    }
}

fn output_reference(namespace: &str, target: &Target, uid: Option<String>) -> ObjectReference {
    ObjectReference {
        api_version: Some("v1".to_owned()),
        kind: Some(match target.kind {
            Kind::Secret => "Secret".to_owned(),
            Kind::ConfigMap => "ConfigMap".to_owned(),
        }),
        namespace: Some(namespace.to_owned()),
        name: Some(target.name.clone()),
        uid,
        ..ObjectReference::default()
    }
}
