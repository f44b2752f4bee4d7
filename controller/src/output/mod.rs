//! How Secrets and ConfigMaps are written, owned, watched and released.
//!
//! ```text
//!  watch (metadata only) ──▶ store ──▶ state: does it still hold what we applied?      (pure)
//!                              │
//!                           observe ──▶ plan: what to create, apply, delete, release   (pure)
//!                                         │
//!                                       apply ──▶ API server (server-side apply, one field manager per AKVS)
//! ```
//!
//! The values of an output are never read back: `metadata.managedFields` tells who owns each key, and a key that an AKVS's
//! manager still owns has the value it applied.

mod apply;
mod body;
mod echo;
mod failure;
mod fields;
mod meta;
mod metadata;
mod observe;
mod orphans;
mod owner;
mod plan;
mod refusal;
mod release;
mod request;
mod state;
mod store;
mod strip;
#[cfg(test)]
mod testing;
mod watcher;

use std::collections::BTreeMap;
use std::fmt;

use akv2k8s_shared::api::{StatusOutput, StatusOutputKind};
use akv2k8s_shared::object::SecretData;
use k8s_openapi::jiff::Timestamp;

pub use apply::{Applied, Change, Written, apply};
pub use body::manifest;
pub use failure::{ApplyError, Retry};
pub use meta::{Claims, Manager, Names, Operation, OutputMeta, OwnerRef, Pairs};
pub use metadata::{Copied, copied};
pub use observe::{Observed, observe};
pub use orphans::{Orphans, release_orphans};
pub use owner::{AkvsId, manager_name};
pub use plan::{Action, Application, Claimant, Plan, Rivals, Why, plan};
pub use release::{Released, is_gone, release};
pub use state::{OutputState, state};
pub use store::{Changed, Store};

/// What kind of object an output is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// A Secret.
    Secret,
    /// A ConfigMap.
    ConfigMap,
}

impl Kind {
    /// The `kind` as Kubernetes spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Secret => "Secret",
            Self::ConfigMap => "ConfigMap",
        }
    }

    /// The resource as kubectl and RBAC rules spell it.
    pub fn plural(self) -> &'static str {
        match self {
            Self::Secret => "secrets",
            Self::ConfigMap => "configmaps",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One output; its namespace is always that of the AKVS.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Target {
    /// Secret or ConfigMap.
    pub kind: Kind,
    /// `metadata.name`.
    pub name: String,
}

impl Target {
    /// What sorts before every other.
    fn first() -> Self {
        Self {
            kind: Kind::Secret,
            name: String::new(),
        }
    }
}

impl From<&StatusOutput> for Target {
    fn from(output: &StatusOutput) -> Self {
        let kind = match output.kind {
            StatusOutputKind::Secret => Kind::Secret,
            StatusOutputKind::ConfigMap => Kind::ConfigMap,
        };
        Self {
            kind,
            name: output.name.clone(),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.name)
    }
}

/// What an AKVS wants an output to hold. It has no `Debug`: it holds secret values.
pub struct Desired {
    /// Which object.
    pub target: Target,
    /// The Secret's type; `None` means `Opaque`. Ignored for a ConfigMap.
    pub secret_type: Option<String>,
    /// `data`: bytes of a Secret, text of a ConfigMap (UTF-8 without NUL, as `object::config_map_data` gives it).
    pub data: SecretData,
    /// `binaryData` of a ConfigMap; empty for a Secret.
    pub binary: SecretData,
    /// Labels to copy, see [`copied`].
    pub labels: BTreeMap<String, String>,
    /// Annotations to copy, see [`copied`].
    pub annotations: BTreeMap<String, String>,
}

impl Desired {
    /// Every key this output is to have, `data` and `binaryData` together.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.data.keys().chain(self.binary.keys()).map(String::as_str)
    }
}

/// When an AKVS was created: decides which of two claimants is the older.
pub type Created = Timestamp;
