//! What webhook and broker know of the cluster: every `AzureKeyVaultSecret`, and the labels of namespaces, from two watches.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Debug;
use std::sync::{Arc, PoisonError, RwLock};

use akv2k8s_shared::api::AzureKeyVaultSecret;
use akv2k8s_shared::watching::{KEPT, Watching, is_complete};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{ApiResource, DynamicObject};
use kube::core::PartialObjectMeta;
use kube::runtime::reflector::{self, ObjectRef, Store};
use kube::runtime::watcher::{self, Event};
use kube::{Api, ResourceExt};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::warn;

use crate::label::NamespaceLabel;

/// `AzureKeyVaultSecrets` of one namespace: name → `spec`, as it stands there, right or wrong.
pub type Specs = BTreeMap<String, Arc<Value>>;
type Meta = PartialObjectMeta<Namespace>;

/// Both, as last seen. Cheap to clone.
#[derive(Clone)]
pub struct Cluster {
    akvs: Arc<Akvs>,
    namespaces: Store<Meta>,
    label: Arc<NamespaceLabel>,
    seen: [watch::Receiver<Sight>; 2],
}

/// How a watch stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sight {
    /// The first list is on its way.
    Pending,
    /// All is as the API server has it.
    Current,
    /// It fails since then.
    Broken(Instant),
}

impl Sight {
    fn counts(self, now: Instant) -> bool {
        match self {
            Self::Pending => false,
            Self::Current => true,
            Self::Broken(since) => now < since + KEPT,
        }
    }

    fn after_failure(self, now: Instant) -> Self {
        if self == Self::Current { Self::Broken(now) } else { self }
    }
}

impl Cluster {
    /// The view, empty at first, and what fills it and keeps it up to date until dropped.
    pub fn watch(client: kube::Client) -> (Self, impl Future<Output = ()> + Send) {
        let akvs = Arc::new(Akvs::default());
        let (namespaces, mut writer) = reflector::store();
        let ((akvs_sight, akvs_seen), (namespaces_sight, namespaces_seen)) =
            (watch::channel(Sight::Pending), watch::channel(Sight::Pending));
        let cluster = Self {
            akvs: Arc::clone(&akvs),
            namespaces,
            label: Arc::default(),
            seen: [akvs_seen, namespaces_seen],
        };
        let resource = ApiResource::erase::<AzureKeyVaultSecret>(&());
        let all_akvs = Api::<DynamicObject>::all_with(client.clone(), &resource);
        let all_namespaces = Api::<Meta>::all(client);
        let followed = async move {
            let mut listing = HashMap::new();
            let akvs = follow("AzureKeyVaultSecrets", all_akvs, akvs_sight, |event| {
                akvs.take(event, &mut listing);
            });
            let namespaces = follow("namespaces", all_namespaces, namespaces_sight, |mut event| {
                if let Event::Apply(namespace) | Event::InitApply(namespace) = &mut event {
                    // What nobody here needs, and most of what there is.
                    namespace.managed_fields_mut().clear();
                    namespace.annotations_mut().clear();
                }
                writer.apply_watcher_event(&event);
            });
            futures::join!(akvs, namespaces);
        };
        (cluster, followed)
    }

    /// The same with another label that switches injection on.
    #[must_use]
    pub fn with_label(self, label: NamespaceLabel) -> Self {
        Self {
            label: Arc::new(label),
            ..self
        }
    }

    /// The label that switches injection on in a namespace.
    pub fn label(&self) -> &NamespaceLabel {
        &self.label
    }

    /// Waits until both first lists are complete.
    pub async fn synced(&self) {
        for mut seen in self.seen.clone() {
            // The senders live as long as the watches; if those end, so does the program.
            let _ = seen.wait_for(|sight| *sight != Sight::Pending).await;
        }
    }

    /// Whether both are known, and not from a watch that has failed for ten minutes.
    pub fn is_current(&self) -> bool {
        let now = Instant::now();
        self.seen.iter().all(|seen| seen.borrow().counts(now))
    }

    /// Names of all vaults that are mentioned.
    pub fn vaults(&self) -> HashSet<String> {
        let akvs = self.akvs.0.read().unwrap_or_else(PoisonError::into_inner);
        let specs = akvs.values().flat_map(|specs| specs.values());
        specs
            .filter_map(|spec| Some(spec["vault"]["name"].as_str()?.to_ascii_lowercase()))
            .collect()
    }

    /// All AKVS of `namespace`.
    pub fn specs(&self, namespace: &str) -> Arc<Specs> {
        let akvs = self.akvs.0.read().unwrap_or_else(PoisonError::into_inner);
        akvs.get(namespace).cloned().unwrap_or_default()
    }

    /// The labels of `namespace`; `None`: no such namespace has been seen.
    pub fn labels(&self, namespace: &str) -> Option<BTreeMap<String, String>> {
        let namespace = self.namespaces.get(&ObjectRef::new(namespace))?;
        Some(namespace.labels().clone())
    }
}

type ByNamespace = HashMap<String, Arc<Specs>>;

/// All AKVS, by namespace.
#[derive(Default)]
struct Akvs(RwLock<ByNamespace>);

impl Akvs {
    /// Takes over what the watch saw; `listing` is the list that is being read.
    fn take(&self, event: Event<DynamicObject>, listing: &mut ByNamespace) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::Init => listing.clear(),
            Event::InitApply(object) => insert(listing, object),
            Event::Apply(object) => insert(&mut known, object),
            Event::Delete(object) => remove(&mut known, &object),
            Event::InitDone => *known = std::mem::take(listing),
        }
    }
}

fn insert(all: &mut ByNamespace, mut object: DynamicObject) {
    let spec = object.data.get_mut("spec").map(Value::take).unwrap_or_default();
    let specs = all.entry(object.namespace().unwrap_or_default()).or_default();
    // Whoever reads the former state goes on reading it.
    Arc::make_mut(specs).insert(object.name_any(), Arc::new(spec));
}

fn remove(all: &mut ByNamespace, object: &DynamicObject) {
    let namespace = object.namespace().unwrap_or_default();
    let Some(specs) = all.get_mut(&namespace) else { return };
    Arc::make_mut(specs).remove(&object.name_any());
    if specs.is_empty() {
        all.remove(&namespace);
    }
}

/// Watches for ever, with back-off after failures.
async fn follow<K>(what: &'static str, api: Api<K>, sight: watch::Sender<Sight>, mut take: impl FnMut(Event<K>))
where
    K: kube::Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let mut watching = Watching::new(api, watcher::Config::default());
    loop {
        match watching.next().await {
            Ok(event) => {
                let complete = is_complete(&event);
                take(event);
                if complete {
                    sight.send_replace(Sight::Current);
                }
            }
            Err(error) => {
                warn!(%error, "watching {what} failed; trying again");
                sight.send_modify(|sight| *sight = sight.after_failure(Instant::now()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(namespace: &str, name: &str, spec: &str) -> DynamicObject {
        let object = json!({
            "apiVersion": "spv.no/v2beta1", "kind": "AzureKeyVaultSecret",
            "metadata": {"namespace": namespace, "name": name}, "spec": spec, "status": {"x": 1},
        });
        serde_json::from_value(object).unwrap()
    }

    fn names(akvs: &Akvs, namespace: &str) -> Vec<(String, String)> {
        let all = akvs.0.read().unwrap();
        let specs = all.get(namespace).cloned().unwrap_or_default();
        let specs = specs.iter();
        specs
            .map(|(name, spec)| (name.clone(), spec.as_str().unwrap().to_owned()))
            .collect()
    }

    #[test]
    fn objects_come_change_and_go_and_a_new_list_replaces_all() {
        let (akvs, mut listing) = (Akvs::default(), HashMap::new());
        let mut take = |event| akvs.take(event, &mut listing);
        take(Event::Init);
        take(Event::InitApply(object("a", "db", "1")));
        take(Event::InitApply(object("b", "db", "2")));
        assert!(names(&akvs, "a").is_empty(), "half a list says nothing");
        take(Event::InitDone);
        take(Event::Apply(object("a", "db", "3")));
        take(Event::Apply(object("a", "tls", "4")));
        let pair = |name: &str, spec: &str| (name.to_owned(), spec.to_owned());
        assert_eq!(names(&akvs, "a"), [pair("db", "3"), pair("tls", "4")]);
        take(Event::Delete(object("b", "db", "2")));
        assert!(names(&akvs, "b").is_empty());
        take(Event::Init);
        take(Event::InitApply(object("c", "db", "5")));
        assert_eq!(names(&akvs, "a").len(), 2, "until the new list is complete");
        take(Event::InitDone);
        assert!(names(&akvs, "a").is_empty());
        assert_eq!(names(&akvs, "c"), [pair("db", "5")]);
    }

    #[test]
    fn what_was_seen_counts_for_ten_minutes_after_the_watch_broke() {
        let start = Instant::now();
        assert!(!Sight::Pending.counts(start), "half a list says nothing");
        assert_eq!(Sight::Pending.after_failure(start), Sight::Pending);
        let broken = Sight::Current.after_failure(start);
        assert!(broken.counts(start + KEPT / 2));
        let later = broken.after_failure(start + KEPT / 2);
        assert_eq!(later, broken, "it counts from the first failure");
        assert!(!later.counts(start + KEPT));
    }
}
