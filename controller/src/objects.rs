//! The AKVS this controller watches, as last seen or written, and those that left.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use akv2k8s_shared::api::{AzureKeyVaultSecret, AzureKeyVaultSecretStatus, StatusOutput, condition};
use akv2k8s_shared::readers::Reader;
use k8s_openapi::jiff::Timestamp;
use kube::core::error_boundary::InvalidObject;
use kube::core::{DeserializeGuard, ObjectMeta};

use crate::expiry::{Ends, ends};
use crate::output::{AkvsId, Kind, Target};
use crate::sight::Sight;

/// Annotation of `kubectl apply`: as large as the object, and never needed here.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Namespace and name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Key {
    /// `metadata.namespace`.
    pub(crate) namespace: Arc<str>,
    /// `metadata.name`.
    pub(crate) name: Arc<str>,
}

impl Key {
    /// The key of `namespace/name`.
    pub(crate) fn new(namespace: &str, name: &str) -> Self {
        Self {
            namespace: namespace.into(),
            name: name.into(),
        }
    }

    fn of(meta: &ObjectMeta) -> Self {
        Self::new(
            meta.namespace.as_deref().unwrap_or_default(),
            meta.name.as_deref().unwrap_or_default(),
        )
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// One AKVS.
#[derive(Debug, Clone)]
pub(crate) enum Object {
    /// Readable, without what nobody here needs (`managedFields`, kubectl's copy).
    Valid(Arc<AzureKeyVaultSecret>),
    /// Not what its type says; nothing but its metadata can be trusted.
    Malformed(Arc<InvalidObject>),
}

impl Object {
    fn meta(&self) -> &ObjectMeta {
        match self {
            Self::Valid(akvs) => &akvs.metadata,
            Self::Malformed(invalid) => &invalid.metadata,
        }
    }

    fn status_outputs(&self) -> &[StatusOutput] {
        match self {
            Self::Valid(akvs) => akvs.status.as_ref().map_or(&[], |status| &status.outputs),
            Self::Malformed(_) => &[],
        }
    }

    /// The vault this object names, in lower case: its room in the queue.
    pub(crate) fn partition(&self) -> String {
        match self {
            Self::Valid(akvs) => akvs.spec.vault.name.to_ascii_lowercase(),
            Self::Malformed(_) => String::new(),
        }
    }
}

/// An AKVS that left the watch: deleted, or no longer matching the selector.
#[derive(Debug, Clone)]
pub(crate) struct Gone {
    /// Who it was.
    pub(crate) id: AkvsId,
    /// What it had written, as its status said.
    pub(crate) outputs: Vec<StatusOutput>,
}

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

#[derive(Default)]
struct Content {
    objects: HashMap<Key, Object>,
    gone: HashMap<Key, Vec<Gone>>,
    by_sight: HashMap<Sight, BTreeSet<Key>>,
    by_target: HashMap<(Arc<str>, Target), BTreeSet<Key>>,
    /// Statuses that are being written, or whose answer never came: the watch may show them first.
    writing: HashMap<Key, AzureKeyVaultSecretStatus>,
}

/// The view; shared by watch, poller and workers.
#[derive(Default)]
pub(crate) struct Objects(Mutex<Content>);

impl Objects {
    /// Takes over what the watch or a status write showed. An older state than the one known is ignored; the same name
    /// with another UID is a deletion and an addition.
    pub(crate) fn observe(&self, object: DeserializeGuard<AzureKeyVaultSecret>) -> (Key, News) {
        let object = match object.0 {
            Ok(mut akvs) => {
                prune(&mut akvs.metadata);
                Object::Valid(Arc::new(akvs))
            }
            Err(invalid) => Object::Malformed(Arc::new(invalid)),
        };
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
                *counts.entry(reason(object).to_owned()).or_default() += 1;
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

impl Content {
    fn observe(&mut self, key: &Key, object: Object) -> News {
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

    fn remove(&mut self, key: &Key) -> bool {
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

/// The outputs a specification names.
pub fn wanted(akvs: &AzureKeyVaultSecret) -> Vec<Target> {
    let output = akvs.spec.output.as_ref();
    let secret = output
        .and_then(|it| it.secret.as_ref())
        .map(|it| (Kind::Secret, &it.name));
    let config_map = output
        .and_then(|it| it.config_map.as_ref())
        .map(|it| (Kind::ConfigMap, &it.name));
    [secret, config_map]
        .into_iter()
        .flatten()
        .map(|(kind, name)| Target {
            kind,
            name: name.clone(),
        })
        .collect()
}

/// Who `meta` is.
pub fn id(meta: &ObjectMeta) -> AkvsId {
    AkvsId {
        namespace: meta.namespace.clone().unwrap_or_default(),
        name: meta.name.clone().unwrap_or_default(),
        uid: meta.uid.clone().unwrap_or_default(),
        created: meta.creation_timestamp.as_ref().map(|it| it.0).unwrap_or_default(),
    }
}

fn prune(meta: &mut ObjectMeta) {
    meta.managed_fields = None;
    if let Some(annotations) = &mut meta.annotations {
        annotations.remove(LAST_APPLIED);
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

fn differs_in_more_than_status(before: &AzureKeyVaultSecret, after: &AzureKeyVaultSecret) -> bool {
    let (b, a) = (&before.metadata, &after.metadata);
    b.generation != a.generation
        || b.labels != a.labels
        || b.annotations != a.annotations
        || b.deletion_timestamp != a.deletion_timestamp
}

fn reason(object: &Object) -> &str {
    match object {
        Object::Malformed(_) => "InvalidSpec",
        Object::Valid(akvs) if wanted(akvs).is_empty() => "InjectorOnly",
        Object::Valid(akvs) => {
            let conditions = akvs.status.as_ref().map_or(&[][..], |status| &status.conditions);
            condition::get(conditions, condition::READY).map_or("Pending", |ready| ready.reason.as_str())
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn akvs(uid: &str, version: u32, generation: u32, synced: u32) -> AzureKeyVaultSecret {
        serde_json::from_value(json!({
            "apiVersion": "spv.no/v2beta1",
            "kind": "AzureKeyVaultSecret",
            "metadata": {"name": "a", "namespace": "n", "uid": uid, "resourceVersion": version.to_string(),
                         "generation": generation},
            "spec": {"vault": {"name": "kv1", "object": {"name": "s", "type": "secret"}},
                     "output": {"secret": {"name": "out", "dataKey": "k"}}},
            "status": {"observedGeneration": synced},
        }))
        .unwrap()
    }

    fn seen(object: AzureKeyVaultSecret) -> DeserializeGuard<AzureKeyVaultSecret> {
        DeserializeGuard(Ok(object))
    }

    fn known(objects: &Objects, version: u32) -> Key {
        let (key, news) = objects.observe(seen(akvs("u1", version, 1, 0)));
        assert_eq!(news, News::Added);
        key
    }

    #[test]
    fn objects_of_one_vault_are_kept_apart_by_who_reads_them() {
        let objects = Objects::default();
        let of = |name: &str, namespace: &str, account: Option<&str>| {
            let mut object = akvs(name, 1, 1, 0);
            object.metadata.name = Some(name.to_owned());
            object.metadata.namespace = Some(namespace.to_owned());
            object.spec.vault.service_account_name = account.map(str::to_owned);
            objects.observe(seen(object)).0
        };
        let (a, b) = (of("a", "shop", None), of("b", "bank", None));
        let c = of("c", "shop", Some("reader"));
        of("d", "bank", Some("reader"));
        assert_eq!(objects.vaults(), ["kv1"]);
        assert_eq!(objects.sights().len(), 3);
        let sight = |account| Sight {
            vault: "kv1".to_owned(),
            reader: Reader::new("shop", account),
        };
        let (controller, reader) = (sight(None), sight(Some("reader")));
        let keys = |sight| {
            objects
                .in_sight(sight)
                .into_iter()
                .map(|(key, _)| key)
                .collect::<BTreeSet<_>>()
        };
        assert_eq!(keys(&controller), BTreeSet::from([a, b]));
        assert_eq!(keys(&reader), BTreeSet::from([c]));
        // The reader is edited: nothing is left behind under the old one.
        let mut edited = akvs("c", 9, 2, 0);
        edited.metadata.name = Some("c".to_owned());
        edited.metadata.namespace = Some("shop".to_owned());
        objects.observe(seen(edited));
        assert!(!objects.sights().contains(&reader));
        assert_eq!(keys(&controller).len(), 3);
    }

    #[test]
    fn an_edit_that_only_the_answer_to_our_status_write_shows_is_news() {
        let objects = Objects::default();
        known(&objects, 5);
        assert_eq!(objects.wrote(akvs("u1", 7, 2, 1)), News::Changed);
        // The watch is late: it shows the edit (6) and our own write (7), and neither is new any more.
        assert_eq!(objects.observe(seen(akvs("u1", 6, 2, 0))).1, News::Nothing);
        assert_eq!(objects.observe(seen(akvs("u1", 7, 2, 1))).1, News::Nothing);
    }

    #[test]
    fn our_own_status_write_alone_is_no_news() {
        let objects = Objects::default();
        known(&objects, 5);
        assert_eq!(objects.wrote(akvs("u1", 6, 1, 1)), News::Nothing);
        assert_eq!(objects.observe(seen(akvs("u1", 6, 1, 1))).1, News::Nothing);
    }

    #[test]
    fn our_own_status_write_is_no_news_when_the_watch_is_quicker_than_its_answer() {
        let objects = Objects::default();
        let key = known(&objects, 5);
        let status = akvs("u1", 6, 1, 1).status.unwrap();
        objects.writing(&key, &status);
        assert_eq!(objects.observe(seen(akvs("u1", 6, 1, 1))).1, News::Nothing);
        assert_eq!(objects.wrote(akvs("u1", 6, 1, 1)), News::Nothing);
        // The same status again, by somebody else, after another one: nobody is writing it now.
        assert_eq!(objects.observe(seen(akvs("u1", 7, 1, 0))).1, News::Changed);
        assert_eq!(objects.observe(seen(akvs("u1", 8, 1, 1))).1, News::Changed);
    }

    #[test]
    fn what_others_change_is_news_while_a_status_is_being_written() {
        let objects = Objects::default();
        let key = known(&objects, 5);
        objects.writing(&key, &akvs("u1", 6, 1, 1).status.unwrap());
        assert_eq!(
            objects.observe(seen(akvs("u1", 6, 1, 9))).1,
            News::Changed,
            "another status"
        );
        assert_eq!(
            objects.observe(seen(akvs("u1", 7, 2, 1))).1,
            News::Changed,
            "an edit besides"
        );
    }

    #[test]
    fn a_late_answer_never_brings_back_what_is_gone() {
        let objects = Objects::default();
        let key = known(&objects, 5);
        assert!(objects.remove(&key, Some("u1")));
        assert_eq!(objects.wrote(akvs("u1", 6, 1, 1)), News::Nothing);
        assert!(objects.get(&key).is_none() && objects.vaults().is_empty());
        // Created again meanwhile: the successor stays.
        objects.observe(seen(akvs("u2", 8, 1, 0)));
        assert_eq!(objects.wrote(akvs("u1", 6, 1, 1)), News::Nothing);
        assert_eq!(objects.get(&key).unwrap().meta().uid.as_deref(), Some("u2"));
        assert_eq!(objects.take_gone(&key).len(), 1);
    }
}
