//! How an outcome is told besides status: one event and one log line for each change.

use akv2k8s_shared::api::{AzureKeyVaultSecret, GROUP};
use akv2k8s_shared::diagnosis::{Diagnosis, EventReason};
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::jiff::Timestamp;
use kube::core::ObjectMeta;
use tracing::{info, warn};

use super::Context;
use super::decide::status_of;
use super::desired::out_of_validity;
use super::write::{Done, Failure, Sync};
use crate::events::Note;
use crate::objects::id;
use crate::output::{AkvsId, Kind, Target};

/// Tells how a sync ended. `news`: the status changed, so this was not said before.
pub(super) fn outcome(context: &Context, akvs: &AzureKeyVaultSecret, result: &Result<Done, Failure>, news: bool) {
    match result {
        Ok(Done::Withdrawn) => {
            let AkvsId { namespace, name, .. } = id(&akvs.metadata);
            info!(
                namespace,
                akvs = name,
                "outputs withdrawn: the spec names none any more"
            );
        }
        Ok(Done::Synced(sync)) => {
            if news && let Some(advice) = out_of_validity(sync.fetched.object.attributes(), Timestamp::now()) {
                let note = Note::Failed {
                    code: advice.code.as_str(),
                    error: advice.to_string(),
                };
                context.events.publish(reference(&akvs.metadata), &note);
            }
            changed(context, akvs, sync);
            warned(context, akvs, sync);
        }
        Err(failure) if news => failed(context, akvs, &failure.diagnosis),
        Err(_) => {}
    }
}

/// A change of the value is the AKVS's event; the first write, or a repair, is the output's.
fn changed(context: &Context, akvs: &AzureKeyVaultSecret, sync: &Sync) {
    let status = status_of(akvs);
    let differs = |before: &str| before != sync.fetched.object.version().as_str();
    let rotated =
        status.observed_generation == akvs.metadata.generation && status.object_version.as_deref().is_some_and(differs);
    if rotated && !sync.changes.is_empty() {
        let akvs = reference(&akvs.metadata);
        context.events.publish(akvs, &Note::SyncedWithChange);
        return;
    }
    let namespace = akvs.metadata.namespace.as_deref().unwrap_or_default();
    for (target, _) in &sync.changes {
        let output = sync.outputs.iter().find(|it| Target::from(*it) == *target);
        let uid = output.and_then(|it| it.uid.clone());
        let output = output_reference(namespace, target, uid);
        context.events.publish(output, &Note::Synced);
    }
}

/// What was found in the specification is told once for each edit.
fn warned(context: &Context, akvs: &AzureKeyVaultSecret, sync: &Sync) {
    if status_of(akvs).observed_generation == akvs.metadata.generation {
        return;
    }
    for warning in &sync.request.warnings {
        let note = Note::Warning(warning.clone());
        context.events.publish(reference(&akvs.metadata), &note);
    }
}

fn failed(context: &Context, akvs: &AzureKeyVaultSecret, diagnosis: &Diagnosis) {
    let AkvsId { namespace, name, .. } = id(&akvs.metadata);
    warn!(
        namespace,
        akvs = name,
        vault = akvs.spec.vault.name,
        code = diagnosis.code.as_str(),
        what = diagnosis.what,
        cause = &*diagnosis.cause,
        fix = &*diagnosis.fix,
        trace = diagnosis.trace.as_ref().map(tracing::field::display),
        "sync failed",
    );
    let akvs_reference = reference(&akvs.metadata);
    context.events.publish(akvs_reference, &note(akvs, diagnosis));
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
