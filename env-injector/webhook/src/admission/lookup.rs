//! What an image starts by itself: needed for containers without a `command`, and known only to the image's registry.

use std::collections::BTreeMap;

use akv2k8s_shared::diagnosis::{Diagnosis, case};
use async_trait::async_trait;
use serde_json::Value;

/// A question about one image, with all of the pod that the answer may depend on.
#[derive(Debug, Clone, PartialEq)]
pub struct ImageQuery {
    /// The image as the container names it.
    pub image: String,
    /// The container's `imagePullPolicy`, when it has one.
    pub pull_policy: Option<String>,
    /// The pod's namespace, in which pull secrets and ServiceAccount live.
    pub namespace: String,
    /// The pod's ServiceAccount; `default` when it names none.
    pub service_account: String,
    /// Names of the pod's `imagePullSecrets`.
    pub pull_secrets: Vec<String>,
    /// The pod's `nodeSelector`.
    pub node_selector: BTreeMap<String, String>,
    /// The pod's `affinity.nodeAffinity` as it stands; null when it has none.
    pub node_affinity: Value,
}

/// What an image's configuration says of its program.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImageConfig {
    /// `ENTRYPOINT`; empty when the image has none.
    pub entrypoint: Vec<String>,
    /// `CMD`; empty when the image has none.
    pub cmd: Vec<String>,
}

/// Why it could not be found out; the pod is denied with it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct LookupError(pub Box<Diagnosis>);

/// Somebody who can find it out.
#[async_trait]
pub trait ImageLookup: Send + Sync {
    /// The configuration of the image for the platform the pod will run on. It answers well within the API server's time-out.
    ///
    /// # Errors
    /// Which image, why, and that `command` can be set instead.
    async fn config(&self, query: &ImageQuery) -> Result<ImageConfig, LookupError>;
}

/// Nobody is asked.
pub struct LookUpsOff;

#[async_trait]
impl ImageLookup for LookUpsOff {
    async fn config(&self, query: &ImageQuery) -> Result<ImageConfig, LookupError> {
        let what = format!("What image '{}' starts is not looked up.", query.image);
        Err(LookupError(Box::new(Diagnosis::case(case::LookUpsOff, what))))
    }
}
