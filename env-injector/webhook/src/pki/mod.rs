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

/// What others say, as part of a sentence.
fn clause(said: impl std::fmt::Display) -> String {
    said.to_string().trim_end_matches('.').to_owned()
}
