//! A sync ended: status, event and log line.

use akv2k8s_shared::api::{AzureKeyVaultSecret, AzureKeyVaultSecretStatus, Request};
use akv2k8s_shared::keyvault::Fetched;
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, Patch, PatchParams};
use tracing::warn;

use super::decide::status_of;
use super::status::{self, Outcome, Synced};
use super::write::{Done, Failure};
use super::{Context, report};
use crate::objects::{Key, News, id};
use crate::queue::Again;
use crate::watch::enqueue;

impl Context {
    /// Status, event and log line; gives when to try again.
    pub(super) async fn conclude(&self, akvs: &AzureKeyVaultSecret, result: Result<Done, Failure>) -> Again {
        let now = now();
        let written = match &result {
            Ok(Done::Withdrawn) => {
                self.write_status(akvs, &status::next(akvs, Outcome::Withdrawn, now))
                    .await
            }
            Ok(Done::Synced(sync)) => {
                let Fetched {
                    object,
                    fingerprint,
                    settled,
                } = &*sync.fetched;
                let synced = Synced {
                    object: unversioned(&sync.request),
                    version: object.version().as_str(),
                    fingerprint: settled.then_some(fingerprint),
                    attributes: object.attributes(),
                    identity: &sync.identity,
                    outputs: sync.outputs.clone(),
                    written: !sync.changes.is_empty(),
                };
                self.write_status(akvs, &status::next(akvs, Outcome::Synced(synced), now))
                    .await
            }
            Err(failure) => {
                let outputs = failure.outputs.clone().unwrap_or_else(|| status_of(akvs).outputs);
                let transient = matches!(failure.again, Again::Soon | Again::After(_));
                let outcome = Outcome::Failed {
                    diagnosis: &failure.diagnosis,
                    transient,
                    outputs,
                };
                self.write_status(akvs, &status::next(akvs, outcome, now)).await
            }
        };
        report::outcome(self, akvs, &result, written == Ok(true));
        match (written, result) {
            // What was written stays; the next pass finds it in place and only writes status.
            (Err(again), _) => again,
            (Ok(_), Err(failure)) => failure.again,
            (Ok(_), Ok(_)) => Again::Done,
        }
    }

    /// Writes the status when it differs; true when it did.
    async fn write_status(
        &self,
        akvs: &AzureKeyVaultSecret,
        status: &AzureKeyVaultSecretStatus,
    ) -> Result<bool, Again> {
        let akvs_id = id(&akvs.metadata);
        let patch = match status::patch(&akvs_id.uid, akvs.status.as_ref(), status) {
            Ok(None) => return Ok(false),
            Ok(Some(patch)) => patch,
            Err(error) => {
                warn!(akvs = akvs_id.name, %error, "status cannot be written as JSON");
                return Err(Again::Slowly);
            }
        };
        let _permit = self.writes.acquire().await;
        let api = Api::<AzureKeyVaultSecret>::namespaced(self.client.clone(), &akvs_id.namespace);
        let key = Key::new(&akvs_id.namespace, &akvs_id.name);
        self.objects.writing(&key, status);
        match api
            .patch_status(&akvs_id.name, &PatchParams::default(), &Patch::Merge(&patch))
            .await
        {
            Ok(akvs) => {
                self.metrics.status_written();
                if self.objects.wrote(akvs) != News::Nothing {
                    enqueue(&self.objects, &self.queue, &key);
                }
                Ok(true)
            }
            // Deleted: the watch tells. A conflict, though, also means that others wrote so often that the server gave up.
            Err(kube::Error::Api(error)) if error.is_not_found() => Ok(false),
            Err(error) => {
                warn!(namespace = akvs_id.namespace, akvs = akvs_id.name, %error, "status could not be written");
                Err(Again::Soon)
            }
        }
    }
}

/// Now, in whole seconds: that is all of it Kubernetes stores, so what comes back equals what was sent.
fn now() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}

/// The object for people, without its version: that stands beside it.
fn unversioned(request: &Request) -> String {
    let mut object = request.object.clone();
    object.version = None;
    object.to_string()
}
