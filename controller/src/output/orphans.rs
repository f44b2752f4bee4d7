//! AKVS that went while the controller was down.

use std::collections::{BTreeMap, BTreeSet};

use akv2k8s_shared::api::AzureKeyVaultSecret;
use kube::Api;
use kube::api::ListParams;

use super::Target;
use super::failure::ApplyError;
use super::owner::manager_name;
use super::release::{Released, release_all};
use super::store::Store;

/// AKVS per page of the live list.
const PAGE: u32 = 500;

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

/// Managers of all AKVS of a namespace, read live.
async fn living(client: &kube::Client, namespace: &str) -> Result<BTreeSet<String>, kube::Error> {
    let api = Api::<AzureKeyVaultSecret>::namespaced(client.clone(), namespace);
    let mut living = BTreeSet::new();
    let mut params = ListParams::default().limit(PAGE);
    loop {
        let page = api.list_metadata(&params).await?;
        living.extend(
            page.items
                .iter()
                .filter_map(|akvs| Some(manager_name(namespace, akvs.metadata.name.as_ref()?))),
        );
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params = params.continue_token(&token),
            None => return Ok(living),
        }
    }
}
