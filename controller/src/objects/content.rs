//! What is known of all AKVS, and the indexes to find them by.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use akv2k8s_shared::api::{AzureKeyVaultSecret, AzureKeyVaultSecretStatus};
use akv2k8s_shared::readers::Reader;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::News;
use super::model::{Gone, Key, Object, id, wanted};
use crate::output::Target;
use crate::sight::Sight;

#[derive(Default)]
pub(super) struct Content {
    pub(super) objects: HashMap<Key, Object>,
    pub(super) gone: HashMap<Key, Vec<Gone>>,
    pub(super) by_sight: HashMap<Sight, BTreeSet<Key>>,
    pub(super) by_target: HashMap<(Arc<str>, Target), BTreeSet<Key>>,
    /// Statuses that are being written, or whose answer never came: the watch may show them first.
    pub(super) writing: HashMap<Key, AzureKeyVaultSecretStatus>,
}

impl Content {
    pub(super) fn observe(&mut self, key: &Key, object: Object) -> News {
        let news = match self.objects.get(key) {
            None => News::Added,
            Some(known) if known.meta().uid != object.meta().uid => {
                self.remove(key);
                News::Added
            }
            Some(known) if version(known.meta()) > version(object.meta()) => return News::Nothing,
            Some(known) if matters(known, &object) && !self.is_own_write(key, known, &object) => News::Changed,
            Some(_) => News::Nothing,
        };
        self.index(key, &object, true);
        self.objects.insert(key.clone(), object);
        news
    }

    /// Whether `after` differs from `before` in just the status that is being written.
    fn is_own_write(&self, key: &Key, before: &Object, after: &Object) -> bool {
        let (Object::Valid(before), Object::Valid(after)) = (before, after) else {
            return false;
        };
        !differs_in_more_than_status(before, after) && after.status.as_ref() == self.writing.get(key)
    }

    pub(super) fn remove(&mut self, key: &Key) -> bool {
        self.writing.remove(key);
        let Some(object) = self.objects.remove(key) else {
            return false;
        };
        self.index(key, &object, false);
        let outputs = object.status_outputs().to_vec();
        self.gone.entry(key.clone()).or_default().push(Gone {
            id: id(object.meta()),
            outputs,
        });
        true
    }

    /// Brings the indexes up to date: `present` adds `object` in place of what was there, else takes it out.
    fn index(&mut self, key: &Key, object: &Object, present: bool) {
        if present && let Some(before) = self.objects.get(key).cloned() {
            self.index(key, &before, false);
        }
        let Object::Valid(akvs) = object else { return };
        let sight = Sight {
            vault: object.partition(),
            reader: Reader::new(&key.namespace, akvs.spec.vault.service_account_name.as_deref()),
        };
        enter(&mut self.by_sight, sight, key, present);
        for target in wanted(akvs) {
            enter(&mut self.by_target, (Arc::clone(&key.namespace), target), key, present);
        }
    }
}

fn enter<I: std::hash::Hash + Eq>(index: &mut HashMap<I, BTreeSet<Key>>, at: I, key: &Key, present: bool) {
    if present {
        index.entry(at).or_default().insert(key.clone());
    } else if let Some(keys) = index.get_mut(&at) {
        keys.remove(key);
        if keys.is_empty() {
            index.remove(&at);
        }
    }
}

/// Resource versions of one resource are comparable numbers (Kubernetes ≥ 1.35 promises it, etcd always gave it).
fn version(meta: &ObjectMeta) -> u64 {
    meta.resource_version
        .as_deref()
        .and_then(|version| version.parse().ok())
        .unwrap_or_default()
}

/// Whether a sync could come to another result: not for a heartbeat of somebody's annotation in `managedFields`.
fn matters(before: &Object, after: &Object) -> bool {
    match (before, after) {
        (Object::Valid(before), Object::Valid(after)) => {
            before.status != after.status || differs_in_more_than_status(before, after)
        }
        (Object::Malformed(before), Object::Malformed(after)) => {
            before.metadata.generation != after.metadata.generation || before.error != after.error
        }
        _ => true,
    }
}

pub(super) fn differs_in_more_than_status(before: &AzureKeyVaultSecret, after: &AzureKeyVaultSecret) -> bool {
    let (b, a) = (&before.metadata, &after.metadata);
    b.generation != a.generation
        || b.labels != a.labels
        || b.annotations != a.annotations
        || b.deletion_timestamp != a.deletion_timestamp
}
