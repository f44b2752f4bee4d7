//! Feeds the store: a watch of the metadata of Secrets and ConfigMaps.

use std::collections::HashMap;
use std::fmt::Debug;

use futures::{StreamExt, TryStreamExt};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::core::PartialObjectMeta;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Resource};
use serde::de::DeserializeOwned;
use tokio::sync::mpsc::UnboundedSender;

use super::store::{Changed, Store};
use super::{Kind, Target};

/// Where outputs are watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// In every namespace.
    Cluster,
    /// In one.
    Namespace(String),
}

impl Scope {
    fn api<K>(&self, client: kube::Client) -> Api<PartialObjectMeta<K>>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        match self {
            Self::Cluster => Api::all(client),
            Self::Namespace(namespace) => Api::namespaced(client, namespace),
        }
    }
}

impl Store {
    /// Follows Secrets and ConfigMaps until dropped; failures are logged and retried with back-off. Deletions of objects
    /// that are not kept are told, too: somebody may wait for that name.
    pub async fn watch(&self, client: kube::Client, scope: Scope, changed: UnboundedSender<Changed>) {
        self.start();
        futures::join!(
            self.follow(Kind::Secret, scope.api::<Secret>(client.clone()), &changed),
            self.follow(Kind::ConfigMap, scope.api::<ConfigMap>(client.clone()), &changed),
        );
    }

    async fn follow<K>(&self, kind: Kind, api: Api<PartialObjectMeta<K>>, changed: &UnboundedSender<Changed>)
    where
        K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + 'static,
    {
        let mut look = Look::default();
        let mut events = watcher(api, watcher::Config::default()).default_backoff().boxed();
        loop {
            match events.try_next().await {
                Ok(Some(event)) => {
                    for change in self.handle(kind, &mut look, event) {
                        // Nobody listens any more: the controller is stopping.
                        if changed.send(change).is_err() {
                            return;
                        }
                    }
                }
                Ok(None) => return,
                Err(error) => tracing::warn!(
                    kind = kind.as_str(),
                    error = %error,
                    "outputs cannot be watched; without list and watch rights on {} use --watch-outputs=false",
                    kind.plural()
                ),
            }
        }
    }

    fn handle<K>(&self, kind: Kind, look: &mut Look, event: Event<PartialObjectMeta<K>>) -> Vec<Changed> {
        match event {
            Event::Init => {
                look.missing = self
                    .all_of(kind)
                    .into_iter()
                    .map(|(namespace, target, uid)| (uid, (namespace, target)))
                    .collect();
                Vec::new()
            }
            Event::InitApply(object) => {
                look.missing.remove(object.metadata.uid.as_deref().unwrap_or_default());
                self.see(kind, &object.metadata).into_iter().collect()
            }
            Event::InitDone => {
                self.set_synced(kind);
                let missing = std::mem::take(&mut look.missing).into_iter();
                missing
                    .filter_map(|(uid, (namespace, target))| self.forget(&namespace, &target, &uid))
                    .collect()
            }
            Event::Apply(object) => self.see(kind, &object.metadata).into_iter().collect(),
            Event::Delete(object) => {
                let meta = object.metadata;
                let (Some(name), Some(namespace)) = (meta.name, meta.namespace) else {
                    return Vec::new();
                };
                let uid = meta.uid.unwrap_or_default();
                self.forget(&namespace, &Target { kind, name }, &uid)
                    .into_iter()
                    .collect()
            }
        }
    }
}

/// One complete look at a kind, in progress.
#[derive(Default)]
struct Look {
    /// What was known when it began and has not been seen since, by UID. What was written meanwhile is not in it.
    missing: HashMap<Box<str>, (String, Target)>,
}
