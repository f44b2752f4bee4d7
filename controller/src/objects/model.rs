//! What one AKVS is, and who it is.

use std::fmt;
use std::sync::Arc;

use akv2k8s_shared::api::{AzureKeyVaultSecret, StatusOutput, condition};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::seen::{Malformed, Seen};
use crate::output::{AkvsId, Kind, Target};

/// Annotation of `kubectl apply`: as large as the object, and never needed here.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Namespace and name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Key {
    /// `metadata.namespace`.
    pub(crate) namespace: Arc<str>,
    /// `metadata.name`.
    pub(crate) name: Arc<str>,
}

impl Key {
    /// The key of `namespace/name`.
    pub(crate) fn new(namespace: &str, name: &str) -> Self {
        Self {
            namespace: namespace.into(),
            name: name.into(),
        }
    }

    pub(super) fn of(meta: &ObjectMeta) -> Self {
        Self::new(
            meta.namespace.as_deref().unwrap_or_default(),
            meta.name.as_deref().unwrap_or_default(),
        )
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// One AKVS.
#[derive(Debug, Clone)]
pub(crate) enum Object {
    /// Readable, without what nobody here needs (`managedFields`, kubectl's copy).
    Valid(Arc<AzureKeyVaultSecret>),
    /// Not what its type says; nothing but its metadata can be trusted.
    Malformed(Arc<Malformed>),
}

impl Object {
    /// What is kept of what was seen.
    pub(super) fn of(seen: Seen) -> Self {
        match seen {
            Seen::Valid(mut akvs) => {
                prune(&mut akvs.metadata);
                Self::Valid(Arc::new(*akvs))
            }
            Seen::Malformed(malformed) => Self::Malformed(Arc::new(*malformed)),
        }
    }

    pub(super) fn meta(&self) -> &ObjectMeta {
        match self {
            Self::Valid(akvs) => &akvs.metadata,
            Self::Malformed(malformed) => &malformed.metadata,
        }
    }

    pub(super) fn status_outputs(&self) -> &[StatusOutput] {
        match self {
            Self::Valid(akvs) => akvs.status.as_ref().map_or(&[], |status| &status.outputs),
            Self::Malformed(malformed) => &malformed.outputs,
        }
    }

    /// The reason of its Ready condition, or what stands in for it.
    pub(super) fn reason(&self) -> &str {
        match self {
            Self::Malformed(_) => "InvalidSpec",
            Self::Valid(akvs) if wanted(akvs).is_empty() => "InjectorOnly",
            Self::Valid(akvs) => {
                let conditions = akvs.status.as_ref().map_or(&[][..], |status| &status.conditions);
                condition::get(conditions, condition::READY).map_or("Pending", |ready| ready.reason.as_str())
            }
        }
    }

    /// The vault this object names, in lower case: its room in the queue.
    pub(crate) fn partition(&self) -> String {
        match self {
            Self::Valid(akvs) => akvs.spec.vault.name.to_ascii_lowercase(),
            Self::Malformed(_) => String::new(),
        }
    }
}

/// An AKVS that left the watch: deleted, or no longer matching the selector.
#[derive(Debug, Clone)]
pub(crate) struct Gone {
    /// Who it was.
    pub(crate) id: AkvsId,
    /// What it had written, as its status said.
    pub(crate) outputs: Vec<StatusOutput>,
}

/// The outputs a specification names.
pub fn wanted(akvs: &AzureKeyVaultSecret) -> Vec<Target> {
    let output = akvs.spec.output.as_ref();
    let secret = output
        .and_then(|it| it.secret.as_ref())
        .map(|it| (Kind::Secret, &it.name));
    let config_map = output
        .and_then(|it| it.config_map.as_ref())
        .map(|it| (Kind::ConfigMap, &it.name));
    [secret, config_map]
        .into_iter()
        .flatten()
        .map(|(kind, name)| Target {
            kind,
            name: name.clone(),
        })
        .collect()
}

/// Who `meta` is.
pub fn id(meta: &ObjectMeta) -> AkvsId {
    AkvsId {
        namespace: meta.namespace.clone().unwrap_or_default(),
        name: meta.name.clone().unwrap_or_default(),
        uid: meta.uid.clone().unwrap_or_default(),
        created: meta.creation_timestamp.as_ref().map(|it| it.0).unwrap_or_default(),
    }
}

pub(super) fn prune(meta: &mut ObjectMeta) {
    meta.managed_fields = None;
    if let Some(annotations) = &mut meta.annotations {
        annotations.remove(LAST_APPLIED);
    }
}
