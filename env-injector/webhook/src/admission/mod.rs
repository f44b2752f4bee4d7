//! What becomes of a pod at admission.
//!
//! ```text
//!  AdmissionReview ─review─▶ pod ─wanted─▶ questions ─▶ lookup (images' registries)
//!                             │                            │
//!                             └──────▶ mutate ◀─── facts ──┘ (AKVS, settings, authorities)
//!                                        └──▶ JSON Patch and warnings, or a denial
//! ```
//!
//! All is decided on the raw JSON, so fields that this program has never heard of survive.

mod advice;
mod deadline;
mod edit;
mod inject;
mod lookup;
mod metrics;
mod mutate;
mod pod;
#[cfg(test)]
mod properties;
mod review;
mod settings;
mod specs;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod wanted;
mod webhook;

use std::fmt;

use akv2k8s_shared::diagnosis::Diagnosis;

pub use deadline::deadline;
pub use lookup::{ImageConfig, ImageLookup, ImageQuery, LookUpsOff, LookupError};
pub use metrics::Metrics;
pub use mutate::{Facts, Outcome, mutate};
pub use review::Review;
pub use settings::{Resources, Security, Settings};
pub use specs::NotTold;
pub use wanted::questions;
pub use webhook::Webhook;

/// Why a pod may not be created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial(pub Box<Diagnosis>);

impl Denial {
    fn new(diagnosis: Diagnosis) -> Self {
        Self(Box::new(diagnosis))
    }
}

/// As the person who creates the pod reads it.
impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
