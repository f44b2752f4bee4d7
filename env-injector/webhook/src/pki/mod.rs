//! The injector's own certificates: made, kept, rotated and served without a restart and without anybody's help.
//!
//! ```text
//!             clock ──▶ plan ──steps──▶ apply ──▶ Secret of the own namespace (all replicas agree there)
//!                         ▲                            │
//!                       state ◀────────────────────────┤
//!                                                      ├──▶ hot: certificate of both TLS ports
//!                                                      ├──▶ bundle [current, next]: into pods
//!                                                      └──▶ caBundle and path of the MutatingWebhookConfiguration
//! ```
//!
//! The path is a secret of the API server and us: whoever does not know it is not answered.
//!
//! Two authorities exist at any time: the *current* one signs, the *next* one is only published. A pod keeps the bundle it was
//! created with, so it trusts us until both are gone: five years at least.

mod authority;
mod configuration;
mod directory;
mod hot;
mod keeper;
mod path;
mod plan;
mod publisher;
mod secret;
mod serving;
mod state;

pub use directory::Directory;
pub use keeper::{Clock, Options, Pki};

use akv2k8s_shared::diagnosis::{Code, Diagnosis};

/// What is called so went wrong, in the words of the catalogue.
fn unusable(what: &str, cause: impl std::fmt::Display, fix: impl Into<String>) -> Diagnosis {
    let cause = cause.to_string();
    let cause = format!("{}.", cause.trim_end_matches('.'));
    Diagnosis::new(Code::ServingCertificateUnusable, what, cause, fix)
}
