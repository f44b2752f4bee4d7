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

pub mod condition;
pub mod crd;
pub mod parse;
pub mod spec;
pub mod status;
pub mod v1;
pub mod v1alpha1;
pub mod v2alpha1;
pub mod v2beta1;

mod columns;
mod rules;

pub use crd::{crd, crd_yaml};
pub use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
pub use parse::{Request, parse};
pub use spec::{
    AzureIdentity, ChainOrder, ConfigMapOutput, ContentType, KeyFormat, ObjectType, Output, SecretOutput, Vault,
    VaultObject,
};
pub use status::{AzureKeyVaultSecretStatus, StatusIdentity, StatusOutput, StatusOutputKind};
pub use v2beta1::{AzureKeyVaultSecret, AzureKeyVaultSecretSpec};

/// API group of the resource.
pub const GROUP: &str = "spv.no";

/// Annotation on an AKVS: `"true"` lets it take over an output that exists and that nobody's AKVS owns.
pub const ADOPT: &str = "akv2k8s.spv.no/adopt";
