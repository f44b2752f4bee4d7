//! Looks at the outputs an AKVS has to do with: in the store where it knows, live otherwise. Metadata only.

use super::Target;
use super::failure::ApplyError;
use super::meta::OutputMeta;
use super::owner::AkvsId;
use super::store::Store;

/// An output as it was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    /// Which object.
    pub target: Target,
    /// `None`: it does not exist.
    pub meta: Option<OutputMeta>,
}

/// Observes `wanted`, and every other output this AKVS has applied to: those the store knows, or, when outputs are not
/// watched, those of `recorded` (the status is a hint where to look; only the object itself proves the claim).
pub async fn observe(
    client: &kube::Client,
    store: &Store,
    akvs: &AkvsId,
    wanted: &[Target],
    recorded: &[Target],
) -> Result<Vec<Observed>, ApplyError> {
    let _ = (client, store, akvs, wanted, recorded);
    todo!()
}
