//! `--vault-grants`: which namespace may use which vault, asked before every request to a vault or for a token.
//!
//! ```text
//!  rule file ──(every second)──▶ rules ─┐
//!                                       ├─▶ check(namespace, object) ──▶ reconcile, poller, hints
//!  watch of namespaces ────────▶ labels ┘     (the watch exists only while a rule asks for labels)
//! ```
//!
//! [`akv2k8s_shared::grants`] decides. Without the flag everything is allowed.

mod labels;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use akv2k8s_shared::api;
use akv2k8s_shared::diagnosis::Diagnosis;
use akv2k8s_shared::follow::Follower;
use akv2k8s_shared::grants::Namespace;
use akv2k8s_shared::grants::rules::{self, Read, Rules};
use akv2k8s_shared::reference::ObjectRef;
use akv2k8s_shared::watching::until;
use labels::{Labels, Seen};
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;
use tracing::{info, warn};

use crate::health::Health;
use crate::namespaces::Namespaces;
use crate::objects::{Key, Object, Objects};
use crate::queue::Queue;
use crate::watch::enqueue;

/// How often the file is read. A change counts once two reads in a row show the same.
const LOOK: Duration = Duration::from_secs(1);
/// How long new rules wait for the labels they ask for; then they count without, which allows less.
const LABELS: Duration = Duration::from_secs(10);
/// What the problem is called in `/readyz` and metrics.
const SUBJECT: &str = "vault grants";

/// The answer about each object.
type Answers = HashMap<Key, Result<(), Box<Diagnosis>>>;

/// The rules and labels in force; one per process.
pub(crate) struct VaultGrants {
    file: Option<PathBuf>,
    rules: watch::Sender<Arc<Rules>>,
    labels: watch::Sender<Labels>,
    /// Whether a rule asks for the labels of namespaces.
    labels_wanted: watch::Sender<bool>,
    health: Arc<Health>,
}

impl VaultGrants {
    /// Nothing is read yet: until [`Self::load`], a `file` allows nothing.
    pub(crate) fn new(file: Option<PathBuf>, health: Arc<Health>) -> Self {
        let rules = Rules::unread(file.as_deref());
        Self {
            file,
            rules: watch::Sender::new(Arc::new(rules)),
            labels: watch::Sender::new(Labels::Pending),
            labels_wanted: watch::Sender::new(false),
            health,
        }
    }

    /// Reads the file as it is now; gives who notices when it changes.
    pub(crate) async fn load(&self) -> Follower<Read> {
        let mut follower = Follower::default();
        if let Some(path) = &self.file {
            let read = rules::read(path).await;
            self.adopt(&read);
            follower.took(read);
        }
        follower
    }

    /// Whether `namespace` may read `object`.
    pub(crate) fn check(&self, namespace: &str, object: &ObjectRef) -> Result<(), Box<Diagnosis>> {
        let labels = self.labels.borrow();
        let asking = Namespace {
            name: namespace,
            labels: labels.of(namespace),
        };
        self.rules().check(&self.file_name(), &asking, object)
    }

    /// Waits until `decide` decides: it is asked now and whenever rules or labels change.
    pub(crate) async fn until<T>(&self, decide: impl Fn() -> Option<T>) -> T {
        let (mut rules, mut labels) = (self.rules.subscribe(), self.labels.subscribe());
        loop {
            if let Some(decision) = decide() {
                return decision;
            }
            // The senders live in `self`: waiting never fails.
            tokio::select! {
                _ = rules.changed() => {}
                _ = labels.changed() => {}
            }
        }
    }

    /// Waits for the labels of namespaces, if a rule asks for them: until they are read, or cannot be.
    pub(crate) async fn labels_settled(&self) {
        if !*self.labels_wanted.borrow() {
            return;
        }
        let mut labels = self.labels.subscribe();
        let settled = labels.wait_for(|labels| !matches!(labels, Labels::Pending));
        if tokio::time::timeout(LABELS, settled).await.is_err() {
            warn!("the labels of namespaces are not read yet: rules that select by label allow nothing until they are");
        }
    }

    /// Follows the file until dropped. Objects about which the answer changes are synced.
    pub(crate) async fn follow_file(
        self: Arc<Self>,
        mut follower: Follower<Read>,
        objects: Arc<Objects>,
        queue: Arc<Queue<Key>>,
    ) {
        let Some(path) = &self.file else {
            return std::future::pending().await;
        };
        let mut ticks = tokio::time::interval(LOOK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if let Some(read) = follower.look(rules::read(path).await) {
                let before = self.answers(&objects, None);
                self.adopt(&read);
                self.labels_settled().await;
                self.sync_what_differs(before, &objects, &queue);
            }
        }
    }

    /// Watches the labels of namespaces while a rule asks for them, until dropped.
    pub(crate) async fn follow_labels(
        self: Arc<Self>,
        client: kube::Client,
        namespaces: Namespaces,
        objects: Arc<Objects>,
        queue: Arc<Queue<Key>>,
    ) {
        let mut wanted = self.labels_wanted.subscribe();
        // The sender lives in `self`: waiting never fails.
        while wanted.wait_for(|wanted| *wanted).await.is_ok() {
            info!("a rule selects namespaces by label: watching namespaces");
            let mut watcher = labels::Watcher::new(client.clone(), &namespaces);
            loop {
                let expiry = self.labels.borrow().expiry();
                tokio::select! {
                    seen = watcher.next() => self.take(seen, &objects, &queue),
                    () = until(expiry) => self.take(labels::expired(), &objects, &queue),
                    _ = wanted.wait_for(|wanted| !*wanted) => break,
                }
            }
            self.labels.send_replace(Labels::Pending);
            self.health.report(labels::SUBJECT, None);
        }
    }

    /// Puts the rules of `read` in force. A file that cannot be used changes nothing, but says so.
    fn adopt(&self, read: &Read) {
        match self.rules().after(&self.file_name(), read) {
            Ok(grants) => {
                info!(
                    file = self.file_name(),
                    rules = grants.len(),
                    "vault grants are in force"
                );
                self.labels_wanted.send_replace(grants.needs_labels());
                self.set_rules(Rules::Grants(grants));
                self.health.report(SUBJECT, None);
            }
            Err((problem, instead)) => {
                warn!(code = problem.code.as_str(), error = %problem, "vault grants cannot be used");
                self.health.report(SUBJECT, Some(*problem));
                if let Some(rules) = instead {
                    self.set_rules(rules);
                }
            }
        }
    }

    /// Takes over what the watch of namespaces saw. Objects about which the answer changes are synced.
    fn take(&self, seen: Seen, objects: &Arc<Objects>, queue: &Arc<Queue<Key>>) {
        let before = self.answers(objects, seen.namespace());
        let news = self.health.report(labels::SUBJECT, seen.problem());
        let news = news || matches!(seen, Seen::Expired(_));
        if let (true, Some(problem)) = (news, seen.problem()) {
            warn!(code = problem.code.as_str(), error = %problem, "namespaces cannot be watched");
        }
        self.labels.send_modify(|labels| labels.take(seen));
        self.sync_what_differs(before, objects, queue);
    }

    /// The answer about each object, of one namespace or of all.
    fn answers(&self, objects: &Objects, namespace: Option<&str>) -> Answers {
        let keys = objects.keys().into_iter();
        let concerned = keys.filter(|key| namespace.is_none_or(|it| it == &*key.namespace));
        concerned
            .filter_map(|key| self.answer(objects, &key).map(|answer| (key, answer)))
            .collect()
    }

    /// `None`: it names no object that could be asked about.
    fn answer(&self, objects: &Objects, key: &Key) -> Option<Result<(), Box<Diagnosis>>> {
        match objects.get(key)? {
            Object::Valid(akvs) => {
                let object = api::parse(&akvs).ok()?.object;
                Some(self.check(&key.namespace, &object))
            }
            Object::Malformed(_) => None,
        }
    }

    fn sync_what_differs(&self, before: Answers, objects: &Arc<Objects>, queue: &Arc<Queue<Key>>) {
        for (key, answer) in before {
            if self.answer(objects, &key).is_some_and(|it| it != answer) {
                enqueue(objects, queue, &key);
            }
        }
    }

    fn file_name(&self) -> String {
        self.file
            .as_ref()
            .map(|path| path.display().to_string())
            .unwrap_or_default()
    }

    fn rules(&self) -> Arc<Rules> {
        Arc::clone(&self.rules.borrow())
    }

    fn set_rules(&self, rules: Rules) {
        self.rules.send_replace(Arc::new(rules));
    }
}

#[cfg(test)]
mod tests;
