//! Looks at the outputs an AKVS has to do with: in the store where it knows, live otherwise. Metadata only.

use akv2k8s_shared::api::StatusOutput;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::Target;
use super::failure::{ApplyError, Attempt};
use super::meta::OutputMeta;
use super::owner::AkvsId;
use super::request::Object;
use super::store::Store;

/// An output as it was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    /// Which object.
    pub target: Target,
    /// `None`: it does not exist.
    pub meta: Option<OutputMeta>,
}

/// Observes `wanted`, and every other output this AKVS has applied to: those the store knows, or, when outputs are not
/// watched, those of `recorded` (the status is a hint where to look; only the object itself proves the claim).
pub async fn observe(
    client: &kube::Client,
    store: &Store,
    akvs: &AkvsId,
    wanted: &[Target],
    recorded: &[StatusOutput],
) -> Result<Vec<Observed>, ApplyError> {
    let mut targets = wanted.to_vec();
    targets.extend(store.outputs_of(akvs).into_iter().map(|(target, _)| target));
    if !store.is_synced(&akvs.namespace) {
        targets.extend(recorded.iter().map(Target::from));
    }
    targets.sort_unstable();
    targets.dedup();
    let mut observed = Vec::with_capacity(targets.len());
    for target in targets {
        let meta = match store.get(&akvs.namespace, &target) {
            Some(meta) => Some(meta),
            None => live(client, &akvs.namespace, &target)
                .await?
                .as_ref()
                .map(OutputMeta::of),
        };
        observed.push(Observed { target, meta });
    }
    Ok(observed)
}

/// The object's metadata, read live; `None`: it does not exist.
pub(super) async fn live(
    client: &kube::Client,
    namespace: &str,
    target: &Target,
) -> Result<Option<ObjectMeta>, ApplyError> {
    let attempt = Attempt {
        namespace,
        target,
        verb: "get",
        desired: None,
    };
    let found = Object::new(client, namespace, target).metadata().await;
    found.map_err(|error| attempt.failed(&error))
}
