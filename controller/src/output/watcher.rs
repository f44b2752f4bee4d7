//! Feeds the store: a watch of the metadata of Secrets and ConfigMaps.

use std::collections::HashMap;
use std::fmt::Debug;

use akv2k8s_shared::watching::Watching;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::Resource;
use kube::core::PartialObjectMeta;
use kube::runtime::watcher::{self, Event};
use serde::de::DeserializeOwned;
use tokio::sync::mpsc::UnboundedSender;

use super::store::{Changed, Store};
use super::{Kind, Target};
use crate::namespaces::Scope;

impl Store {
    /// Follows Secrets and ConfigMaps until dropped; failures are told and retried with back-off. Deletions of objects
    /// that are not kept are told, too: somebody may wait for that name.
    pub fn watch(
        &self,
        client: kube::Client,
        scope: Scope,
        changed: UnboundedSender<Changed>,
    ) -> impl Future<Output = ()> + Send + use<> {
        let store = self.clone();
        store.start(&scope);
        async move {
            futures::join!(
                store.follow::<Secret>(Kind::Secret, &scope, client.clone(), &changed),
                store.follow::<ConfigMap>(Kind::ConfigMap, &scope, client, &changed),
            );
        }
    }

    async fn follow<K>(&self, kind: Kind, scope: &Scope, client: kube::Client, changed: &UnboundedSender<Changed>)
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + Debug
            + DeserializeOwned
            + Send
            + 'static,
    {
        let mut look = Look::default();
        let api = scope.api::<PartialObjectMeta<K>>(client);
        let mut watching = Watching::new(api, watcher::Config::default());
        loop {
            let said = watching.next().await;
            self.lists().take(scope, kind.plural(), &said);
            let Ok(event) = said else { continue };
            for change in self.handle(kind, scope, &mut look, event) {
                // Nobody listens any more: the controller is stopping.
                if changed.send(change).is_err() {
                    return;
                }
            }
        }
    }

    fn handle<K>(
        &self,
        kind: Kind,
        scope: &Scope,
        look: &mut Look,
        event: Event<PartialObjectMeta<K>>,
    ) -> Vec<Changed> {
        match event {
            Event::Init => {
                look.missing = self
                    .all_of(kind, scope)
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
                self.lists().complete(scope, kind.plural());
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
