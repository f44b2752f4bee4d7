//! The `AzureKeyVaultSecret` custom resource.
//!
//! Four versions are served and one is stored (`v2beta1`). The conversion strategy is `None`: the API server only rewrites
//! `apiVersion`, so a field that one version lacked would be lost by any write through it (kubectl prefers `v1`). That is
//! why every version has the same fields; the version modules differ in name and printer columns only.
//!
//! ```text
//!  spec, status ──▶ v1alpha1, v1, v2alpha1, v2beta1 ──▶ crd ──▶ the chart's YAML
//!       │                       (rules: CEL)
//!       └──▶ parse ──▶ Request: the only form the controller works with
//! ```
//!
//! Without feature `kube` only the spec is there: the exec wrapper reads it, and never speaks to an API server through that crate.

pub mod parse;
pub mod spec;

#[cfg(feature = "kube")]
mod columns;
#[cfg(feature = "kube")]
pub mod condition;
#[cfg(feature = "kube")]
pub mod crd;
#[cfg(feature = "kube")]
mod rules;
#[cfg(feature = "kube")]
pub mod status;
#[cfg(feature = "kube")]
pub mod v1;
#[cfg(feature = "kube")]
pub mod v1alpha1;
#[cfg(feature = "kube")]
pub mod v2alpha1;
#[cfg(feature = "kube")]
pub mod v2beta1;

#[cfg(feature = "kube")]
pub use crd::{crd, crd_yaml};
#[cfg(feature = "kube")]
pub use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
pub use parse::Request;
#[cfg(feature = "kube")]
pub use parse::parse;
pub use spec::{
    AzureIdentity, ChainOrder, ConfigMapOutput, ContentType, KeyFormat, ObjectType, Output, SecretOutput, Vault,
    VaultObject,
};
#[cfg(feature = "kube")]
pub use status::{AzureKeyVaultSecretStatus, StatusIdentity, StatusOutput, StatusOutputKind};
#[cfg(feature = "kube")]
pub use v2beta1::{AzureKeyVaultSecret, AzureKeyVaultSecretSpec};

/// API group of the resource.
pub const GROUP: &str = "spv.no";

/// Annotation on an AKVS: `"true"` lets it take over an output that exists and that nobody's AKVS owns.
pub const ADOPT: &str = "akv2k8s.spv.no/adopt";
/// Annotation: labels and annotations that the outputs do not get: keys with commas between them, `*` at the end of one for all that begin so.
pub const DO_NOT_COPY: &str = "akv2k8s.spv.no/do-not-copy";
