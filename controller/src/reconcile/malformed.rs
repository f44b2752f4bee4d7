//! An object that is not what its type says: nothing but its metadata can be trusted.

use akv2k8s_shared::api::{AzureKeyVaultSecret, Condition, condition};
use akv2k8s_shared::diagnosis::{Diagnosis, case};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, ApiResource, DynamicObject, Patch, PatchParams};
use serde_json::{Value, json};
use tracing::warn;

use super::Context;
use super::report::reference;
use crate::events::Note;
use crate::objects::{Malformed, id};

impl Context {
    /// An event says so, and its conditions, if the API server lets them be written (it validates the whole object). Neither
    /// is written again after a restart.
    pub(super) async fn tell_malformed(&self, malformed: &Malformed) {
        let meta = &malformed.metadata;
        let akvs_id = id(meta);
        let unreadable = case::SpecUnreadable {
            error: &malformed.error,
        };
        let diagnosis = Diagnosis::case(unreadable, "The object cannot be read.");
        let conditions = conditions(&diagnosis, meta.generation, &Time(Timestamp::now()));
        let resource = ApiResource::erase::<AzureKeyVaultSecret>(&());
        let api = Api::<DynamicObject>::namespaced_with(self.client.clone(), &akvs_id.namespace, &resource);
        if let Ok(Some(object)) = api.get_opt(&akvs_id.name).await
            && says(&object.data["status"], &conditions)
        {
            return;
        }
        let (namespace, akvs) = (&akvs_id.namespace, &akvs_id.name);
        warn!(namespace, akvs, error = malformed.error, "object cannot be read");
        let note = Note::Failed {
            code: diagnosis.code.as_str(),
            error: diagnosis.to_string(),
        };
        self.events.publish_once(reference(meta), &note);
        let patch = json!({
            "metadata": {"uid": akvs_id.uid},
            "status": {"conditions": conditions, "observedGeneration": meta.generation},
        });
        let written = api
            .patch_status(akvs, &PatchParams::default(), &Patch::Merge(&patch))
            .await;
        if let Err(error) = written {
            warn!(namespace, akvs, %error, "its status could not be written either");
        }
    }
}

fn conditions(diagnosis: &Diagnosis, generation: Option<i64>, now: &Time) -> [Condition; 2] {
    let message = diagnosis.message();
    let reason = diagnosis.code.as_str();
    let new = |type_, holds| condition::new(type_, holds, reason, &message, generation, now.clone());
    [new(condition::READY, false), new(condition::STALLED, true)]
}

/// Whether `status`, which may be anything, holds all of `conditions`; since when does not matter.
fn says(status: &Value, conditions: &[Condition]) -> bool {
    let held = status["conditions"].as_array().map_or(&[][..], Vec::as_slice);
    conditions.iter().all(|it| {
        held.iter().any(|held| {
            held["type"] == it.type_
                && held["status"] == it.status
                && held["reason"] == it.reason
                && held["message"] == it.message
                && held["observedGeneration"].as_i64() == it.observed_generation
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_that_says_the_same_since_some_other_time_says_it() {
        let time = |second| Time(Timestamp::from_second(second).unwrap());
        let diagnosis = |error: &str| {
            let unreadable = case::SpecUnreadable { error: &error };
            Diagnosis::case(unreadable, "The object cannot be read.")
        };
        let wanted = conditions(&diagnosis("A."), Some(3), &time(10));
        let status = |conditions: &[Condition]| json!({"conditions": conditions});
        assert!(says(&status(&conditions(&diagnosis("A."), Some(3), &time(1))), &wanted));
        for other in [
            status(&conditions(&diagnosis("B."), Some(3), &time(10))),
            status(&conditions(&diagnosis("A."), Some(2), &time(10))),
            status(&wanted[..1]),
            json!({"conditions": "of another shape"}),
            json!(7),
            json!(null),
        ] {
            assert!(!says(&other, &wanted), "{other}");
        }
    }
}
