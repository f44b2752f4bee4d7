//! A compact view of the outputs AKVS have to do with, fed by a metadata-only watch. Nothing else is kept.

use super::Target;
use super::meta::OutputMeta;
use super::owner::AkvsId;

/// Where outputs are watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// In every namespace.
    Cluster,
    /// In one.
    Namespace(String),
}

/// An object changed, appeared or vanished. The controller reconciles every AKVS whose specification names `target`, and
/// those in `akvs`; most of the time they find it intact, since it was their own write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// Namespace of the object.
    pub namespace: String,
    /// The object.
    pub target: Target,
    /// Names of AKVS that its owner references name, or named before.
    pub akvs: Vec<String>,
}

/// The view. Cheap to clone; clones share one content.
#[derive(Clone, Default)]
pub struct Store {}

impl Store {
    /// An empty view; it stays empty when outputs are not watched.
    pub fn new() -> Self {
        Self {}
    }

    /// Follows Secrets and ConfigMaps until dropped; failures are logged and retried with back-off. Deletions of objects
    /// that are not kept are told, too: somebody may wait for that name.
    pub async fn watch(
        &self,
        client: kube::Client,
        scope: Scope,
        changed: tokio::sync::mpsc::UnboundedSender<Changed>,
    ) {
        let _ = (client, scope, changed);
        todo!()
    }

    /// Whether the first complete look at both kinds is done.
    pub fn is_synced(&self) -> bool {
        todo!()
    }

    /// Resolves once [`Self::is_synced`].
    pub async fn synced(&self) {
        todo!()
    }

    /// The output, if an AKVS has to do with it.
    pub fn get(&self, namespace: &str, target: &Target) -> Option<OutputMeta> {
        let _ = (namespace, target);
        todo!()
    }

    /// Every output that `akvs` has applied to or that names it as an owner.
    pub fn outputs_of(&self, akvs: &AkvsId) -> Vec<(Target, OutputMeta)> {
        let _ = akvs;
        todo!()
    }
}
