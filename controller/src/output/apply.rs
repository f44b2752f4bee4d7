//! Carries a plan out: server-side apply, one field manager per AKVS.

use super::Target;
use super::failure::ApplyError;
use super::plan::Plan;
use super::store::Store;

/// What a step did to an output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It was not there.
    Created,
    /// Data, metadata or ownership changed.
    Updated,
    /// The API server stored nothing: all was so already.
    Unchanged,
    /// Deleted and created with another type.
    Recreated,
    /// No longer wanted: deleted.
    Deleted,
    /// No longer wanted: this AKVS's part was given up.
    Released,
}

/// One output that was written.
#[derive(Debug, Clone)]
pub struct Written {
    /// Which.
    pub target: Target,
    /// What was done.
    pub change: Change,
    /// Why, for the log line.
    pub why: String,
    /// The data keys this AKVS holds there now (none after a delete or release).
    pub keys: Vec<String>,
    /// `metadata.uid`.
    pub uid: String,
}

/// The result of a plan. Steps are independent: one that fails does not stop the others, but nothing is pruned unless every
/// desired output was written.
#[derive(Debug, Default)]
pub struct Applied {
    /// What was done.
    pub written: Vec<Written>,
    /// What failed.
    pub failed: Vec<ApplyError>,
}

/// Carries `plan` out and tells the store what it wrote, so that the next look does not depend on the watch being quick.
pub async fn apply(client: &kube::Client, store: &Store, plan: &Plan<'_>) -> Applied {
    let _ = (client, store, &plan.actions);
    todo!()
}
