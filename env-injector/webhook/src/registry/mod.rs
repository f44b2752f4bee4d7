//! What an image starts, asked of its registry: for containers without a `command` only.
//!
//! ```text
//!  ImageQuery ─▶ name ─────────────▶ look-up, once per (image, platforms, credentials) ─▶ ENTRYPOINT and CMD
//!             ├▶ pull_secrets, acr ─▶ │ cache
//!             └▶ platform ──────────▶ client ─▶ challenge · manifest · digest
//! ```
//!
//! Everything is read by digest and checked against it. Answers are kept with a fingerprint of the credentials they were read with: no
//! namespace learns from the cache what its own credentials would not show it.

mod acr;
mod cache;
mod challenge;
mod client;
mod credentials;
mod digest;
#[cfg(fuzzing)]
pub(crate) mod fuzzing;
mod host_port;
mod lookup;
mod manifest;
mod name;
mod open;
mod platform;
mod problem;
mod pull_secrets;
mod settings;

pub use host_port::{HostPort, NoHostPort};
pub use lookup::Registries;
pub use open::open;
pub use settings::{Settings, SettingsError};
