//! An AKVS is gone: its keys leave the outputs it shared; the garbage collector takes the others. No vault is needed.

use super::Target;
use super::failure::ApplyError;
use super::owner::AkvsId;
use super::store::Store;

/// What became of one output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Released {
    /// Its keys, labels and owner reference were removed from a shared output.
    Keys(Target),
    /// Its keys are required by the Secret's type, so they stay; its ownership was given up.
    Ownership(Target),
    /// Nobody else has a part in it: left to the garbage collector.
    LeftToGarbageCollector(Target),
}

/// Whether `akvs` is gone: an unfiltered live read of its metadata finds none, or one with another UID.
pub async fn is_gone(client: &kube::Client, akvs: &AkvsId) -> Result<bool, kube::Error> {
    let _ = (client, akvs);
    todo!()
}

/// Releases every output a gone AKVS applied to: those the store knows, or those of `recorded` when outputs are not watched.
/// Call it only after [`is_gone`] said so.
pub async fn release(
    client: &kube::Client,
    store: &Store,
    akvs: &AkvsId,
    recorded: &[Target],
) -> (Vec<Released>, Vec<ApplyError>) {
    let _ = (client, store, akvs, recorded);
    todo!()
}
