//! Does an output still hold what its AKVS applied? Pure, from metadata alone.

use super::meta::OutputMeta;
use super::owner::AkvsId;
use super::{Copied, Kind};

/// What the AKVS says it wrote, and what it wants beside the values; known without the vault.
pub struct Recorded<'a> {
    /// Data keys, as its status records them.
    pub keys: &'a [String],
    /// Labels and annotations it wants now.
    pub copied: &'a Copied,
}

/// How an output stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OutputState {
    /// The store holds no such object: it does not exist, or no AKVS has to do with it.
    Absent,
    /// Everything is as this AKVS applied it.
    Intact,
    /// Written by upstream's controller (or somebody else's update) for this AKVS, never by this one: applying once changes
    /// no data and moves the ownership, so it may wait for a quiet moment.
    TakeOver,
    /// Somebody changed it: each entry is a plain phrase such as `data key "password" was changed by kubectl-edit`.
    Drifted(Vec<String>),
    /// It is there, and other AKVS have to do with it, but not this one.
    NotJoined,
}

/// Compares what the object's managers own with what `akvs` applied.
pub fn state(kind: Kind, meta: Option<&OutputMeta>, akvs: &AkvsId, recorded: &Recorded<'_>) -> OutputState {
    let _ = (kind, meta, akvs, recorded.keys, recorded.copied);
    todo!()
}
