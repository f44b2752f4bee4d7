//! Watches AKVS and outputs, and turns what they show into work.

use std::collections::HashSet;
use std::sync::Arc;

use akv2k8s_shared::api::AzureKeyVaultSecret;
use futures::{StreamExt, pin_mut};
use kube::api::Api;
use kube::core::DeserializeGuard;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Resource, ResourceExt};
use tokio::sync::{mpsc, watch};
use tracing::warn;

use crate::objects::{Key, News, Objects};
use crate::output::Changed;
use crate::queue::{Lane, Queue, Reasons};

type Guarded = DeserializeGuard<AzureKeyVaultSecret>;

/// Which AKVS are watched.
pub(crate) struct Selection {
    /// One namespace, or all.
    pub(crate) namespace: Option<String>,
    /// Label selector.
    pub(crate) labels: Option<String>,
}

/// Follows the AKVS until dropped; `synced` turns true after the first complete list. Failures are retried with back-off.
pub(crate) async fn objects(
    client: kube::Client,
    selection: Selection,
    objects: Arc<Objects>,
    queue: Arc<Queue<Key>>,
    synced: watch::Sender<bool>,
) {
    let api = match &selection.namespace {
        Some(namespace) => Api::<Guarded>::namespaced(client, namespace),
        None => Api::<Guarded>::all(client),
    };
    let mut config = watcher::Config::default();
    if let Some(labels) = &selection.labels {
        config = config.labels(labels);
    }
    let events = watcher(api, config).default_backoff();
    pin_mut!(events);
    let mut follower = Follower {
        objects,
        queue,
        listed: HashSet::new(),
    };
    while let Some(event) = events.next().await {
        match event {
            Ok(event) => {
                if follower.handle(event) {
                    synced.send_replace(true);
                }
            }
            Err(error) => warn!(%error, "watching AzureKeyVaultSecrets failed; trying again"),
        }
    }
}

struct Follower {
    objects: Arc<Objects>,
    queue: Arc<Queue<Key>>,
    /// What the list that is being read has shown so far.
    listed: HashSet<Key>,
}

impl Follower {
    /// True when a list is complete.
    fn handle(&mut self, event: watcher::Event<Guarded>) -> bool {
        match event {
            watcher::Event::Init => self.listed.clear(),
            watcher::Event::InitApply(object) => {
                let key = self.observe(object);
                self.listed.insert(key);
            }
            watcher::Event::Apply(object) => {
                self.observe(object);
            }
            watcher::Event::Delete(object) => {
                let key = Key::new(&object.namespace().unwrap_or_default(), &object.name_any());
                self.remove(&key, object.meta().uid.as_deref());
            }
            watcher::Event::InitDone => {
                for key in self.objects.keys() {
                    if !self.listed.contains(&key) {
                        self.remove(&key, None);
                    }
                }
                self.listed = HashSet::new();
                return true;
            }
        }
        false
    }

    fn observe(&self, object: Guarded) -> Key {
        let (key, news) = self.objects.observe(object);
        if news != News::Nothing {
            enqueue(&self.objects, &self.queue, &key);
        }
        key
    }

    fn remove(&self, key: &Key, uid: Option<&str>) {
        if self.objects.remove(key, uid) {
            enqueue(&self.objects, &self.queue, key);
        }
    }
}

/// Follows what the store says about outputs.
pub(crate) async fn outputs(
    mut changed: mpsc::UnboundedReceiver<Changed>,
    objects: Arc<Objects>,
    queue: Arc<Queue<Key>>,
) {
    while let Some(changed) = changed.recv().await {
        let mut keys = objects.claimants(&changed.namespace, &changed.target);
        keys.extend(changed.akvs.iter().map(|name| Key::new(&changed.namespace, name)));
        keys.sort();
        keys.dedup();
        for key in keys {
            if objects.get(&key).is_some() {
                enqueue(&objects, &queue, &key);
            }
        }
    }
}

/// Asks for `key` to be synced now.
pub(crate) fn enqueue(objects: &Objects, queue: &Queue<Key>, key: &Key) {
    let partition = objects.get(key).map(|object| object.partition()).unwrap_or_default();
    queue.add(key.clone(), &partition, Lane::New, Reasons::default());
}
