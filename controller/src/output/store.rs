//! A compact view of the outputs AKVS have to do with, fed by a metadata-only watch. Nothing else is kept.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::meta::OutputMeta;
use super::observe::live;
use super::owner::{AkvsId, manager_name};
use super::{Kind, Target};
use crate::lists::Lists;
use crate::namespaces::Scope;

/// An object changed, appeared or vanished. The controller reconciles every AKVS whose specification names `target`, and
/// those in `akvs`; most of the time they find it intact, since it was their own write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// Namespace of the object.
    pub namespace: String,
    /// The object.
    pub target: Target,
    /// Names of AKVS that its owner references name, or named before.
    pub akvs: Vec<String>,
}

/// The view. Cheap to clone; clones share one content. As long as nothing feeds it ([`Store::watch`]) it stays empty, and
/// whoever asks it has to look live.
#[derive(Clone)]
pub struct Store {
    shared: Arc<Shared>,
}

struct Shared {
    fed: AtomicBool,
    lists: Lists,
    namespaces: Mutex<HashMap<String, Namespace>>,
    forgotten: Mutex<VecDeque<Box<str>>>,
}

/// How many UIDs of vanished objects are remembered: an answer to a request of our own may come after the watch has shown
/// the deletion, and would bring the object back for ever.
const FORGOTTEN: usize = 1024;

#[derive(Default)]
struct Namespace {
    outputs: BTreeMap<Target, OutputMeta>,
    /// (field manager, output) for every AKVS that applied to it or is named as its owner.
    claims: BTreeSet<(Box<str>, Target)>,
}

impl Default for Store {
    fn default() -> Self {
        Self::new()
    }
}

impl Store {
    /// An empty view.
    pub fn new() -> Self {
        Self::with(Lists::default())
    }

    /// An empty view; `lists` knows how the watches that feed it stand.
    pub(crate) fn with(lists: Lists) -> Self {
        let shared = Shared {
            fed: AtomicBool::new(false),
            lists,
            namespaces: Mutex::default(),
            forgotten: Mutex::default(),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// Whether both kinds were looked at completely in `namespace`: else whoever asks has to look live.
    pub fn is_synced(&self, namespace: &str) -> bool {
        self.shared
            .lists
            .know(namespace, &[Kind::Secret, Kind::ConfigMap].map(Kind::plural))
    }

    /// The output, if an AKVS has to do with it.
    pub fn get(&self, namespace: &str, target: &Target) -> Option<OutputMeta> {
        self.lock().get(namespace)?.outputs.get(target).cloned()
    }

    /// Every output that `akvs` has applied to or that names it as an owner.
    pub fn outputs_of(&self, akvs: &AkvsId) -> Vec<(Target, OutputMeta)> {
        let manager: Box<str> = akvs.manager().into();
        let namespaces = self.lock();
        let Some(namespace) = namespaces.get(&akvs.namespace) else {
            return Vec::new();
        };
        let first = (manager.clone(), Target::first());
        let claims = namespace
            .claims
            .range(first..)
            .take_while(|(claimant, _)| *claimant == manager);
        claims
            .filter_map(|(_, target)| Some((target.clone(), namespace.outputs.get(target)?.clone())))
            .collect()
    }

    /// Whether `akvs` has applied to any output and still has a part in it.
    pub fn has_applied(&self, akvs: &AkvsId) -> bool {
        let manager = akvs.manager();
        let outputs = self.outputs_of(akvs);
        outputs.iter().any(|(_, meta)| meta.applied(&manager).is_some())
    }

    /// How many outputs are kept.
    pub fn len(&self) -> usize {
        self.lock().values().map(|namespace| namespace.outputs.len()).sum()
    }

    /// Whether none is kept.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// (namespace, manager, output) of every claim.
    pub(super) fn claims(&self) -> Vec<(String, String, Target)> {
        let namespaces = self.lock();
        let claims = namespaces.iter().flat_map(|(name, namespace)| {
            namespace
                .claims
                .iter()
                .map(|(manager, target)| (name.clone(), manager.to_string(), target.clone()))
        });
        claims.collect()
    }

    /// From now on somebody feeds the view.
    pub(super) fn start(&self, scope: &Scope) {
        for kind in [Kind::Secret, Kind::ConfigMap] {
            self.shared.lists.begin(scope, kind.plural());
        }
        self.shared.fed.store(true, Ordering::Relaxed);
    }

    /// How the watches stand.
    pub(super) fn lists(&self) -> &Lists {
        &self.shared.lists
    }

    /// Takes over what was seen of an object. `None`: it was older than what is known, or is of no concern and never was.
    pub(super) fn see(&self, kind: Kind, object: &ObjectMeta) -> Option<Changed> {
        let target = Target {
            kind,
            name: object.name.clone()?,
        };
        self.put(object.namespace.as_deref()?, &target, OutputMeta::of(object))
    }

    /// Takes over the answer to a request of our own, unless the object has vanished since.
    pub(super) fn record(&self, namespace: &str, target: &Target, meta: OutputMeta) {
        if self.shared.fed.load(Ordering::Relaxed) {
            self.put(namespace, target, meta);
        }
    }

    /// The object with that UID is gone. `None`: another one is known under its name.
    pub(super) fn forget(&self, namespace: &str, target: &Target, uid: &str) -> Option<Changed> {
        let mut namespaces = self.lock();
        let outputs = namespaces.entry(namespace.to_owned()).or_default();
        if outputs.outputs.get(target).is_some_and(|known| *known.uid != *uid) {
            return None;
        }
        let before = outputs.remove(namespace, target);
        if outputs.outputs.is_empty() {
            namespaces.remove(namespace);
        }
        if before.is_some() {
            let mut forgotten = self.forgotten();
            forgotten.push_back(uid.into());
            if forgotten.len() > FORGOTTEN {
                forgotten.pop_front();
            }
        }
        Some(changed(namespace, target, before.as_ref(), None))
    }

    /// All outputs of one kind in `scope`: (namespace, output, UID).
    pub(super) fn all_of(&self, kind: Kind, scope: &Scope) -> Vec<(String, Target, Box<str>)> {
        let namespaces = self.lock();
        let inside = namespaces.iter().filter(|(name, _)| scope.covers(name));
        let all = inside.flat_map(|(name, namespace)| {
            let outputs = namespace.outputs.iter().filter(move |(target, _)| target.kind == kind);
            outputs.map(|(target, meta)| (name.clone(), target.clone(), meta.uid.clone()))
        });
        all.collect()
    }

    /// Looks at one object live: what is known of it proved wrong.
    pub(super) async fn refresh(&self, client: &kube::Client, namespace: &str, target: &Target) {
        let known = self.get(namespace, target);
        match (live(client, namespace, target).await, known) {
            (Ok(Some(meta)), _) => self.record(namespace, target, OutputMeta::of(&meta)),
            (Ok(None), Some(known)) => drop(self.forget(namespace, target, &known.uid)),
            // Not known here, or not to be had just now: the next attempt looks again.
            (Ok(None), None) | (Err(_), _) => {}
        }
    }

    fn put(&self, namespace: &str, target: &Target, meta: OutputMeta) -> Option<Changed> {
        let mut namespaces = self.lock();
        let known = namespaces
            .get(namespace)
            .and_then(|outputs| outputs.outputs.get(target));
        if known.is_some_and(|known| is_older(&meta.resource_version, &known.resource_version))
            || (known.is_none() && !meta.concerns_an_akvs())
            || self.forgotten().contains(&meta.uid)
        {
            return None;
        }
        let outputs = namespaces.entry(namespace.to_owned()).or_default();
        let before = outputs.remove(namespace, target);
        let changed = changed(namespace, target, before.as_ref(), Some(&meta));
        if meta.concerns_an_akvs() {
            outputs.insert(namespace, target, meta);
        } else if outputs.outputs.is_empty() {
            namespaces.remove(namespace);
        }
        Some(changed)
    }

    fn forgotten(&self) -> MutexGuard<'_, VecDeque<Box<str>>> {
        self.shared.forgotten.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Namespace>> {
        // Nothing in here panics half-way through a change.
        self.shared.namespaces.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Namespace {
    fn insert(&mut self, namespace: &str, target: &Target, meta: OutputMeta) {
        self.claims
            .extend(claimants(namespace, &meta).map(|manager| (manager, target.clone())));
        self.outputs.insert(target.clone(), meta);
    }

    fn remove(&mut self, namespace: &str, target: &Target) -> Option<OutputMeta> {
        let meta = self.outputs.remove(target)?;
        for manager in claimants(namespace, &meta) {
            self.claims.remove(&(manager, target.clone()));
        }
        Some(meta)
    }
}

/// Field managers of the AKVS that own the object or applied to it.
fn claimants(namespace: &str, meta: &OutputMeta) -> impl Iterator<Item = Box<str>> {
    let owners = meta
        .owners
        .iter()
        .map(|owner| manager_name(namespace, &owner.name).into());
    owners.chain(meta.managers.iter().filter(|m| m.is_akvs()).map(|m| m.name.clone()))
}

fn changed(namespace: &str, target: &Target, before: Option<&OutputMeta>, after: Option<&OutputMeta>) -> Changed {
    let owners = before.into_iter().chain(after).flat_map(|meta| meta.owners.iter());
    let akvs: BTreeSet<_> = owners.map(|owner| owner.name.to_string()).collect();
    Changed {
        namespace: namespace.to_owned(),
        target: target.clone(),
        akvs: akvs.into_iter().collect(),
    }
}

/// Whether resource version `a` is older than `b`. They are decimal numbers that grow with every write
/// (KEP-5504, comparable resource versions); what is not a number is never called older.
fn is_older(a: &str, b: &str) -> bool {
    matches!((a.parse::<u64>(), b.parse::<u64>()), (Ok(a), Ok(b)) if a < b)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Object, akvs, secret};
    use super::*;

    fn at(version: &str, object: Object) -> Object {
        let mut object = object;
        object.0.resource_version = Some(version.into());
        object
    }

    #[test]
    fn an_older_sight_never_replaces_a_newer_one() {
        let (store, a) = (Store::new(), akvs("a", 1));
        let object = |keys: &[&str]| Object::new().owned_by(&a).applied(&a, keys, &[]);
        assert!(store.see(Kind::Secret, &at("10", object(&["new"])).0).is_some());
        assert_eq!(store.see(Kind::Secret, &at("9", object(&["old"])).0), None);
        assert_eq!(store.outputs_of(&a)[0].1, at("10", object(&["new"])).meta());
    }

    #[test]
    fn an_object_of_another_uid_under_the_same_name_is_not_forgotten() {
        let (store, a) = (Store::new(), akvs("a", 1));
        store.see(Kind::Secret, &Object::new().owned_by(&a).0);
        assert_eq!(store.forget("team", &secret(), "uid-of-its-predecessor"), None);
        assert_eq!(store.len(), 1);
        let told = store.forget("team", &secret(), "uid-of-db").expect("it is known");
        assert_eq!((told.akvs, store.is_empty()), (vec!["a".to_owned()], true));
        assert!(store.claims().is_empty());
    }

    #[test]
    fn a_late_answer_does_not_bring_back_what_the_watch_saw_vanish() {
        let (store, a) = (Store::new(), akvs("a", 1));
        store.start(&Scope::Cluster);
        let object = Object::new().owned_by(&a).applied(&a, &["k"], &[]);
        store.see(Kind::Secret, &object.0);
        store.forget("team", &secret(), "uid-of-db");
        store.record("team", &secret(), object.meta());
        assert!(store.is_empty());
        let mut successor = object;
        successor.0.uid = Some("another".into());
        store.record("team", &secret(), successor.meta());
        assert_eq!(store.len(), 1);
    }

    #[test]
    fn claims_follow_owners_and_managers() {
        let (store, a, b) = (Store::new(), akvs("a", 1), akvs("b", 2));
        store.see(
            Kind::Secret,
            &at("1", Object::new().owned_by(&a).applied(&b, &["k"], &[])).0,
        );
        assert_eq!((store.outputs_of(&a).len(), store.outputs_of(&b).len()), (1, 1));
        assert!(store.has_applied(&b) && !store.has_applied(&a));
        let told = store
            .see(Kind::Secret, &at("2", Object::new().owned_by(&b)).0)
            .expect("it is newer");
        assert_eq!(told.akvs, ["a", "b"]);
        assert_eq!((store.outputs_of(&a).len(), store.outputs_of(&b).len()), (0, 1));
    }

    #[test]
    fn as_long_as_nothing_feeds_it_answers_are_not_kept() {
        let (store, a) = (Store::new(), akvs("a", 1));
        store.record("team", &secret(), Object::new().owned_by(&a).meta());
        assert!(store.is_empty());
        store.start(&Scope::Cluster);
        store.record("team", &secret(), Object::new().owned_by(&a).meta());
        assert_eq!(store.len(), 1);
    }

    #[test]
    fn foreign_objects_are_not_kept() {
        let store = Store::new();
        assert_eq!(store.see(Kind::Secret, &Object::new().owned_by_a("Deployment").0), None);
        assert!(store.is_empty());
    }

    #[test]
    fn resource_versions_are_compared_as_numbers() {
        assert!(is_older("9", "10"));
        assert!(!is_older("10", "9") && !is_older("10", "10") && !is_older("x", "10"));
    }
}
