//! What every akv2k8s-rs program shares.
//!
//! ```text
//!  reference ──▶ keyvault ──▶ object ──▶ key/value pairs
//!                   ▲            │  ╲
//!               identity ────────┼── certificate
//!                            diagnosis ──▶ status, event, log line
//! ```
//!
//! The library decides and fetches; it has no policy of its own about processes, logs or exit codes.

pub mod api;
mod certificate;
pub mod diagnosis;
pub mod doctor;
mod encoding;
pub mod environment;
pub mod file;
pub mod follow;
pub mod grants;
pub mod http;
pub mod identity;
pub mod injection;
pub mod keyvault;
pub mod object;
#[cfg(feature = "kube")]
pub mod readers;
pub mod reference;
pub mod secret;
pub mod single_flight;
pub mod span;
pub mod text;
#[cfg(feature = "kube")]
pub mod watching;
