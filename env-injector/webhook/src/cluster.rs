//! What webhook and broker know of the cluster: every `AzureKeyVaultSecret`, and the labels of namespaces, from two watches.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock};

use akv2k8s_shared::api::AzureKeyVaultSecret;
use futures::{Stream, StreamExt};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{ApiResource, DynamicObject};
use kube::core::PartialObjectMeta;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::watcher::{self, Event, watcher};
use kube::runtime::{WatchStreamExt, reflector};
use kube::{Api, ResourceExt};
use serde_json::Value;
use tokio::sync::watch;
use tracing::warn;

/// `AzureKeyVaultSecrets` of one namespace: name → `spec`, as it stands there, right or wrong.
pub type Specs = BTreeMap<String, Arc<Value>>;
type Meta = PartialObjectMeta<Namespace>;

/// Both, as last seen. Cheap to clone.
#[derive(Clone)]
pub struct Cluster {
    akvs: Arc<Akvs>,
    is_listed: watch::Receiver<bool>,
    namespaces: Store<Meta>,
}

impl Cluster {
    /// The view, empty at first, and what fills it and keeps it up to date until dropped.
    pub fn watch(client: kube::Client) -> (Self, impl Future<Output = ()> + Send) {
        let akvs = Arc::new(Akvs::default());
        let (listed, is_listed) = watch::channel(false);
        let resource = ApiResource::erase::<AzureKeyVaultSecret>(&());
        let api = Api::<DynamicObject>::all_with(client.clone(), &resource);
        let akvs_events = watcher(api, watcher::Config::default()).default_backoff();

        let (namespaces, writer) = reflector::store();
        let events = watcher(Api::<Meta>::all(client), watcher::Config::default()).modify(|namespace| {
            // What nobody here needs, and most of what there is.
            namespace.managed_fields_mut().clear();
            namespace.annotations_mut().clear();
        });
        let namespace_events = reflector(writer, events.default_backoff());

        let cluster = Self {
            akvs: Arc::clone(&akvs),
            is_listed,
            namespaces,
        };
        let followed = async move {
            let mut listing = HashMap::new();
            let akvs = follow("AzureKeyVaultSecrets", akvs_events, |event| {
                if akvs.take(event, &mut listing) {
                    listed.send_replace(true);
                }
            });
            futures::join!(akvs, follow("namespaces", namespace_events, drop));
        };
        (cluster, followed)
    }

    /// Waits until both first lists are complete.
    pub async fn synced(&self) {
        let mut is_listed = self.is_listed.clone();
        // The senders live as long as the watches; if those end, so does the program.
        let listed = async { is_listed.wait_for(|listed| *listed).await.map(drop) };
        let _ = futures::join!(listed, self.namespaces.wait_until_ready());
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
    /// Takes over what the watch saw; `listing` is the list that is being read. True when a list is complete.
    fn take(&self, event: Event<DynamicObject>, listing: &mut ByNamespace) -> bool {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::Init => listing.clear(),
            Event::InitApply(object) => insert(listing, object),
            Event::Apply(object) => insert(&mut known, object),
            Event::Delete(object) => remove(&mut known, &object),
            Event::InitDone => {
                *known = std::mem::take(listing);
                return true;
            }
        }
        false
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

async fn follow<K>(
    what: &'static str,
    events: impl Stream<Item = Result<Event<K>, watcher::Error>>,
    mut take: impl FnMut(Event<K>),
) {
    futures::pin_mut!(events);
    while let Some(event) = events.next().await {
        match event {
            Ok(event) => take(event),
            Err(error) => warn!(%error, "watching {what} failed; trying again"),
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
        assert!(take(Event::InitDone));
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
}
