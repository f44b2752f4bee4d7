//! An AKVS is gone: its keys leave the outputs it shared; the garbage collector takes the others. No vault is needed.

use std::collections::BTreeSet;

use akv2k8s_shared::api::{AzureKeyVaultSecret, StatusOutput};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, ObjectMeta};
use kube::Api;
use kube::api::ListParams;

use super::Target;
use super::body::Body;
use super::failure::{ApplyError, Attempt};
use super::meta::{OutputMeta, contains};
use super::observe::live;
use super::owner::{AkvsId, is_akvs_reference, manager_name};
use super::request::Object;
use super::store::Store;

/// AKVS per page of the live list.
const PAGE: u32 = 500;

/// What became of one output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Released {
    /// Its keys, labels and owner reference were removed from a shared output.
    Keys(Target),
    /// Its keys are required by the Secret's type, so they stay; its ownership was given up.
    Ownership(Target),
    /// Nobody else has a part in it: left to the garbage collector (or, after `--cascade=orphan`, to the user).
    Left(Target),
}

/// Whether `akvs` is gone: an unfiltered live read of its metadata finds none of that name. A new AKVS of the same name
/// (another UID) has the same field manager and inherits the outputs, so nothing is released for its predecessor.
pub async fn is_gone(client: &kube::Client, akvs: &AkvsId) -> Result<bool, kube::Error> {
    let api = Api::<AzureKeyVaultSecret>::namespaced(client.clone(), &akvs.namespace);
    Ok(api.get_metadata_opt(&akvs.name).await?.is_none())
}

/// Releases every output a gone AKVS applied to: those the store knows, or those of `recorded` when outputs are not watched.
/// Call it only after [`is_gone`] said so.
pub async fn release(
    client: &kube::Client,
    store: &Store,
    akvs: &AkvsId,
    recorded: &[StatusOutput],
) -> (Vec<Released>, Vec<ApplyError>) {
    let mut targets: Vec<_> = store.outputs_of(akvs).into_iter().map(|(target, _)| target).collect();
    if !store.is_synced(&akvs.namespace) {
        targets.extend(recorded.iter().map(Target::from));
    }
    targets.sort_unstable();
    targets.dedup();
    release_all(client, store, &akvs.namespace, &akvs.manager(), &targets).await
}

/// Releases `targets` from a manager whose AKVS is gone.
pub(super) async fn release_all(
    client: &kube::Client,
    store: &Store,
    namespace: &str,
    manager: &str,
    targets: &[Target],
) -> (Vec<Released>, Vec<ApplyError>) {
    let (mut released, mut failed) = (Vec::new(), Vec::new());
    for target in targets {
        match release_one(client, store, namespace, manager, target).await {
            Ok(outcome) => released.extend(outcome),
            Err(error) => failed.push(error),
        }
    }
    (released, failed)
}

async fn release_one(
    client: &kube::Client,
    store: &Store,
    namespace: &str,
    manager: &str,
    target: &Target,
) -> Result<Option<Released>, ApplyError> {
    let Some(meta) = live(client, namespace, target).await? else {
        return Ok(None);
    };
    let seen = OutputMeta::of(&meta);
    if seen.applied(manager).is_none() {
        return Ok(None);
    }
    let failed = |error| {
        let attempt = Attempt {
            namespace,
            target,
            verb: "patch",
            desired: None,
        };
        attempt.failed(&error)
    };
    let object = Object::new(client, namespace, target);
    if !is_shared(&object, manager, &seen).await.map_err(failed)? {
        return Ok(Some(Released::Left(target.clone())));
    }
    let given_up = give_up(&object, manager, seen).await;
    let (meta, outcome) = match given_up.map_err(failed)? {
        GivenUp::Keys(meta) => (meta, Released::Keys(target.clone())),
        GivenUp::Ownership(meta) => (meta, Released::Ownership(target.clone())),
        GivenUp::Vanished => return Ok(None),
        GivenUp::Alone(_) => return Ok(Some(Released::Left(target.clone()))),
    };
    store.record(namespace, target, OutputMeta::of(&meta));
    Ok(Some(outcome))
}

/// Whether somebody else keeps the object alive: another AKVS, or an owner of another kind. Of AKVS that went together the garbage
/// collector may have removed the references already, while what they applied is still there: those keep nothing alive.
async fn is_shared(object: &Object<'_>, manager: &str, seen: &OutputMeta) -> Result<bool, kube::Error> {
    let (client, namespace) = object.place();
    let mut owners = seen.owners.iter();
    if seen.foreign_owner || owners.any(|owner| manager_name(namespace, &owner.name) != manager) {
        return Ok(true);
    }
    let others: Vec<_> = seen.other_akvs_managers(manager).map(|it| &*it.name).collect();
    if others.is_empty() {
        return Ok(false);
    }
    let living = living(client, namespace).await?;
    Ok(others.into_iter().any(|it| living.contains(it)))
}

/// Managers of all AKVS of a namespace, read live.
pub(super) async fn living(client: &kube::Client, namespace: &str) -> Result<BTreeSet<String>, kube::Error> {
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

/// What could be given up, and the object as it is then.
pub(super) enum GivenUp {
    /// Everything.
    Keys(ObjectMeta),
    /// The ownership; the keys are required by the Secret's type.
    Ownership(ObjectMeta),
    /// Nothing: there is no such object, or it is not this manager's any more.
    Vanished,
    /// Nothing: all others have left it meanwhile, so what is to become of it has to be decided anew. With the refusal.
    Alone(kube::Error),
}

/// How often an output that keeps changing is looked at: others leave it, and the garbage collector removes owner references, in the same
/// moment. Of those who leave together one succeeds each time.
const ATTEMPTS: usize = 10;

/// Removes everything `manager` applied from the object just as it was `seen`: whoever decided to leave it counted on those who are in it
/// then. If it is another one by now, it is looked at again.
pub(super) async fn give_up(object: &Object<'_>, manager: &str, mut seen: OutputMeta) -> Result<GivenUp, kube::Error> {
    let mut attempt = 1;
    loop {
        let refusal = match leave(object, manager, &seen).await {
            Err(error) if is_conflict(&error) => error,
            result => return result,
        };
        let Some(meta) = object.metadata().await? else {
            return Ok(GivenUp::Vanished);
        };
        seen = OutputMeta::of(&meta);
        if seen.applied(manager).is_none() {
            return Ok(GivenUp::Vanished);
        }
        if !is_shared(object, manager, &seen).await? {
            return Ok(GivenUp::Alone(refusal));
        }
        if attempt == ATTEMPTS {
            return Err(refusal);
        }
        attempt += 1;
    }
}

fn is_conflict(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 409)
}

/// One attempt. Where validation forbids it (422: keys its type requires), the keys stay and only the ownership ends.
async fn leave(object: &Object<'_>, manager: &str, seen: &OutputMeta) -> Result<GivenUp, kube::Error> {
    let nothing = Body::empty(object.target(), &seen.uid).with_resource_version(&seen.resource_version);
    match object.apply(manager, false, &nothing).await {
        Err(kube::Error::Api(status)) if status.code == 422 => disown(object, manager, seen).await,
        result => result.map(GivenUp::Keys),
    }
}

async fn disown(object: &Object<'_>, manager: &str, seen: &OutputMeta) -> Result<GivenUp, kube::Error> {
    let Some(mut meta) = object.metadata().await? else {
        return Ok(GivenUp::Vanished);
    };
    let Some(ours) = seen.applied(manager) else {
        return Ok(GivenUp::Vanished);
    };
    let entries = meta.managed_fields.iter().flatten();
    let kept = entries
        .filter(|entry| !is_applied_by(entry, manager))
        .cloned()
        .collect();
    let references = meta.owner_references.iter().flatten();
    let others = references
        .filter(|r| !is_akvs_reference(r) || !contains(&ours.owners, &r.uid))
        .cloned()
        .collect();
    // Refused when this is another version than the one that was seen.
    meta.uid = Some(seen.uid.to_string());
    meta.resource_version = Some(seen.resource_version.to_string());
    let result = object.replace_ownership(&meta, kept, Some(others)).await;
    result.map(GivenUp::Ownership)
}

fn is_applied_by(entry: &ManagedFieldsEntry, manager: &str) -> bool {
    entry.operation.as_deref() == Some("Apply") && entry.manager.as_deref() == Some(manager)
}
