//! Watches AKVS and outputs, and turns what they show into work.

use std::collections::HashSet;
use std::sync::Arc;

use akv2k8s_shared::watching::Watching;
use kube::runtime::watcher;
use kube::{Resource, ResourceExt};
use tokio::sync::{mpsc, watch};

use crate::lists::{Lists, OBJECTS};
use crate::namespaces::Scope;
use crate::objects::{Key, News, Objects, Seen};
use crate::output::Changed;
use crate::queue::{Lane, Queue, Reasons};

/// Which AKVS one watch shows.
pub(crate) struct Selection {
    pub(crate) scope: Scope,
    /// Label selector.
    pub(crate) labels: Option<String>,
}

/// Follows the AKVS until dropped; `listed` is set after each complete list. Failures are told and retried with back-off.
pub(crate) fn objects(
    client: kube::Client,
    selection: Selection,
    objects: Arc<Objects>,
    queue: Arc<Queue<Key>>,
    lists: Lists,
    listed: watch::Sender<bool>,
) -> impl Future<Output = ()> + Send {
    let Selection { scope, labels } = selection;
    lists.begin(&scope, OBJECTS);
    let mut config = watcher::Config::default();
    if let Some(labels) = &labels {
        config = config.labels(labels);
    }
    let mut watching = Watching::new(scope.api::<Seen>(client), config);
    let mut follower = Follower {
        scope,
        objects,
        queue,
        listed: HashSet::new(),
    };
    async move {
        loop {
            let said = watching.next().await;
            lists.take(&follower.scope, OBJECTS, &said);
            if let Ok(event) = said
                && follower.handle(event)
            {
                lists.complete(&follower.scope, OBJECTS);
                listed.send_replace(true);
            }
        }
    }
}

struct Follower {
    scope: Scope,
    objects: Arc<Objects>,
    queue: Arc<Queue<Key>>,
    /// What the list that is being read has shown so far.
    listed: HashSet<Key>,
}

impl Follower {
    /// True when a list is complete.
    fn handle(&mut self, event: watcher::Event<Seen>) -> bool {
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
                    if self.scope.covers(&key.namespace) && !self.listed.contains(&key) {
                        self.remove(&key, None);
                    }
                }
                self.listed = HashSet::new();
                return true;
            }
        }
        false
    }

    fn observe(&self, object: Seen) -> Key {
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
