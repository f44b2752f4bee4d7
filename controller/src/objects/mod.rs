//! The AKVS this controller watches, as last seen or written, and those that left.

mod content;
mod model;
mod seen;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use akv2k8s_shared::api::{AzureKeyVaultSecret, AzureKeyVaultSecretStatus};
use k8s_openapi::jiff::Timestamp;

use self::content::{Content, differs_in_more_than_status};
use self::model::prune;
pub(crate) use self::model::{Gone, Key, Object};
pub use self::model::{id, wanted};
pub(crate) use self::seen::{Malformed, Seen};
use crate::expiry::{Ends, ends};
use crate::output::{AkvsId, Target};
use crate::sight::Sight;

/// What an observation means for the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum News {
    /// Never seen before.
    Added,
    /// Something that matters differs.
    Changed,
    /// Our own write, or older than what we know.
    Nothing,
}

/// The view; shared by watch, poller and workers.
#[derive(Default)]
pub(crate) struct Objects(Mutex<Content>);

impl Objects {
    /// Takes over what the watch or a status write showed. An older state than the one known is ignored; the same name
    /// with another UID is a deletion and an addition.
    pub(crate) fn observe(&self, object: Seen) -> (Key, News) {
        let object = Object::of(object);
        let key = Key::of(object.meta());
        let news = self.with(|content| content.observe(&key, object));
        (key, news)
    }

    /// Announces a status write. Should the watch show its result before the answer comes, that is no news either.
    pub(crate) fn writing(&self, key: &Key, status: &AzureKeyVaultSecretStatus) {
        self.with(|content| content.writing.insert(key.clone(), status.clone()));
    }

    /// Takes over the answer to our own status write: only what somebody else changed meanwhile is news, and it is news
    /// here alone, since the watch shows it no newer. An answer about an object that left the watch in the meantime, or
    /// that has a successor, is too late to count: it would bring back what is gone.
    #[must_use = "what somebody else changed has to be synced"]
    pub(crate) fn wrote(&self, mut akvs: AzureKeyVaultSecret) -> News {
        prune(&mut akvs.metadata);
        let key = Key::of(&akvs.metadata);
        self.with(|content| {
            content.writing.remove(&key);
            let others = match content.objects.get(&key) {
                Some(known) if known.meta().uid != akvs.metadata.uid => return News::Nothing,
                Some(Object::Valid(known)) => differs_in_more_than_status(known, &akvs),
                Some(Object::Malformed(_)) => true,
                None => return News::Nothing,
            };
            match content.observe(&key, Object::Valid(Arc::new(akvs))) {
                News::Changed if !others => News::Nothing,
                news => news,
            }
        })
    }

    /// Moves `key` to the gone ones. False when it was not known, or is known by another UID.
    pub(crate) fn remove(&self, key: &Key, uid: Option<&str>) -> bool {
        self.with(|content| {
            let same = content
                .objects
                .get(key)
                .is_some_and(|it| uid.is_none() || it.meta().uid.as_deref() == uid);
            same && content.remove(key)
        })
    }

    /// The object, if it is watched.
    pub(crate) fn get(&self, key: &Key) -> Option<Object> {
        self.with(|content| content.objects.get(key).cloned())
    }

    /// Those who had this name and left; they are forgotten here.
    pub(crate) fn take_gone(&self, key: &Key) -> Vec<Gone> {
        self.with(|content| content.gone.remove(key).unwrap_or_default())
    }

    /// Puts `gone` back: it could not be dealt with now.
    pub(crate) fn put_back(&self, key: &Key, gone: Gone) {
        self.with(|content| content.gone.entry(key.clone()).or_default().push(gone));
    }

    /// Everything that is watched now.
    pub(crate) fn keys(&self) -> Vec<Key> {
        self.with(|content| content.objects.keys().cloned().collect())
    }

    /// Number of objects.
    pub(crate) fn len(&self) -> usize {
        self.with(|content| content.objects.len())
    }

    /// The vaults that are named, in lower case.
    pub(crate) fn vaults(&self) -> Vec<String> {
        let vaults: BTreeSet<_> = self.sights().into_iter().map(|sight| sight.vault).collect();
        vaults.into_iter().collect()
    }

    /// The vaults that are named, each with everybody who is to read it.
    pub(crate) fn sights(&self) -> HashSet<Sight> {
        self.with(|content| content.by_sight.keys().cloned().collect())
    }

    /// The readable objects that one reader reads from one vault.
    pub(crate) fn in_sight(&self, sight: &Sight) -> Vec<(Key, Arc<AzureKeyVaultSecret>)> {
        self.with(|content| {
            let keys = content.by_sight.get(sight).into_iter().flatten();
            let valid = keys.filter_map(|key| match content.objects.get(key) {
                Some(Object::Valid(akvs)) => Some((key.clone(), Arc::clone(akvs))),
                _ => None,
            });
            valid.collect()
        })
    }

    /// The AKVS whose specification names `target`.
    pub(crate) fn claimants(&self, namespace: &str, target: &Target) -> Vec<Key> {
        self.with(|content| {
            let keys = content.by_target.get(&(namespace.into(), target.clone()));
            keys.into_iter().flatten().cloned().collect()
        })
    }

    /// Who the claimants of `target` are, without `except`.
    pub(crate) fn siblings(&self, target: &Target, except: &AkvsId) -> Vec<AkvsId> {
        self.with(|content| {
            let keys = content
                .by_target
                .get(&(except.namespace.as_str().into(), target.clone()));
            let objects = keys.into_iter().flatten().filter_map(|key| content.objects.get(key));
            objects
                .map(|it| id(it.meta()))
                .filter(|it| it.uid != except.uid)
                .collect()
        })
    }

    /// How many objects there are, by the reason of their Ready condition.
    pub(crate) fn count_by_reason(&self) -> BTreeMap<String, usize> {
        self.with(|content| {
            let mut counts = BTreeMap::new();
            for object in content.objects.values() {
                *counts.entry(object.reason().to_owned()).or_default() += 1;
            }
            counts
        })
    }

    /// When the vault objects end that are synced, vault by vault.
    pub(crate) fn ends(&self, now: Timestamp) -> BTreeMap<String, Ends> {
        self.with(|content| ends(content.objects.values(), now))
    }

    fn with<T>(&self, f: impl FnOnce(&mut Content) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
