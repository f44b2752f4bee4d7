//! The env injector's webhook: prepares the pods that ask for values from Azure Key Vault.
//!
//! ```text
//!  API server ──AdmissionReview──▶ server ─▶ admission: mutate(pod, facts) → JSON Patch
//! ```

pub mod admission;
pub mod cluster;
pub mod pki;
