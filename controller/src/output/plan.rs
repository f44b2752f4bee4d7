//! What to do with the outputs of one AKVS: a pure value.

use akv2k8s_shared::diagnosis::Diagnosis;

use super::meta::OutputMeta;
use super::observe::Observed;
use super::owner::AkvsId;
use super::{Desired, Target};

/// The AKVS a plan is made for.
pub struct Claimant<'a> {
    /// Who it is.
    pub id: &'a AkvsId,
    /// Annotation `akv2k8s.spv.no/adopt: "true"`.
    pub adopt: bool,
}

/// Why an action is taken, in plain words for the log line: `kubectl-edit changed data key "password"`.
pub type Why = String;

/// One step. Executed in order; every step names the object it means by UID, or demands that there be none.
pub enum Action<'a> {
    /// Create the object.
    Create(&'a Desired),
    /// Apply to an existing object.
    Apply {
        /// What it shall hold.
        desired: &'a Desired,
        /// What was seen.
        seen: OutputMeta,
        /// Labels left to the sibling that owns them.
        yield_labels: Vec<String>,
        /// Annotations left to the sibling that owns them.
        yield_annotations: Vec<String>,
        /// Take fields from people and from younger AKVS; only valid for the very version that was seen.
        force: bool,
        /// Delete and create when the API server says the type differs: every key is this AKVS's.
        recreate_on_type_change: bool,
        /// Why.
        why: Why,
    },
    /// Delete an output no longer wanted, all of which is this AKVS's.
    Delete {
        /// Which.
        target: Target,
        /// What was seen.
        seen: OutputMeta,
    },
    /// Give up this AKVS's part of an output no longer wanted.
    Release {
        /// Which.
        target: Target,
        /// What was seen.
        seen: OutputMeta,
    },
}

/// What to do, and what cannot be done; the one does not hinder the other.
pub struct Plan<'a> {
    /// The AKVS it is for.
    pub akvs: &'a AkvsId,
    /// Steps: creates and applies first, then deletes and releases.
    pub actions: Vec<Action<'a>>,
    /// Outputs that are refused, and why.
    pub refused: Vec<(Target, Box<Diagnosis>)>,
}

/// Decides. `observed` holds one entry for every desired target, and one for every other object this AKVS has applied to
/// (see [`super::observe`]); `siblings` are the other AKVS whose specification names one of the desired targets.
pub fn plan<'a>(akvs: &Claimant<'a>, desired: &'a [Desired], observed: &[Observed], siblings: &[AkvsId]) -> Plan<'a> {
    let _ = (akvs.adopt, desired, observed, siblings);
    todo!()
}
