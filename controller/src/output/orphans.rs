//! AKVS that went while the controller was down.

use std::collections::BTreeMap;

use super::Target;
use super::failure::ApplyError;
use super::release::{Released, living, release_all};
use super::store::Store;

/// Releases the outputs whose manager belongs to no AKVS that exists. `known` says whether a manager's AKVS is in the
/// controller's own (perhaps filtered) view; the others are checked against an unfiltered live list of AKVS metadata of their
/// namespace. Call it once both caches are synced.
pub async fn release_orphans(client: &kube::Client, store: &Store, known: impl Fn(&str) -> bool) -> Orphans {
    let mut orphans = Orphans::default();
    for (namespace, managers) in unknown(store, known) {
        let living = match living(client, &namespace).await {
            Ok(living) => living,
            Err(error) => {
                orphans.unread.push((namespace, error));
                continue;
            }
        };
        for (manager, targets) in managers.iter().filter(|(manager, _)| !living.contains(*manager)) {
            let (done, errors) = release_all(client, store, &namespace, manager, targets).await;
            orphans.released.extend(done);
            orphans.failed.extend(errors);
        }
    }
    orphans
}

/// What one look did.
#[derive(Debug, Default)]
pub struct Orphans {
    /// Outputs released.
    pub released: Vec<Released>,
    /// Outputs that could not be released.
    pub failed: Vec<ApplyError>,
    /// Namespaces whose AKVS could not be listed, and why: nothing was done there.
    pub unread: Vec<(String, kube::Error)>,
}

type Claims = BTreeMap<String, Vec<Target>>;

/// By namespace: managers that are not `known`, and what they claim.
fn unknown(store: &Store, known: impl Fn(&str) -> bool) -> BTreeMap<String, Claims> {
    let mut unknown: BTreeMap<String, Claims> = BTreeMap::new();
    for (namespace, manager, target) in store.claims() {
        if !known(&manager) {
            unknown
                .entry(namespace)
                .or_default()
                .entry(manager)
                .or_default()
                .push(target);
        }
    }
    unknown
}
