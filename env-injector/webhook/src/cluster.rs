//! What webhook and broker know of the cluster: `AzureKeyVaultSecrets`, and the labels of namespaces, from two watches of the whole cluster or
//! two of each namespace that is served.

mod akvs;
mod sight;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt::{self, Debug};
use std::sync::Arc;

use akv2k8s_shared::api::AzureKeyVaultSecret;
use akv2k8s_shared::diagnosis::{Diagnosis, case};
use akv2k8s_shared::watching::{Watching, is_complete, is_forbidden};
use futures::StreamExt;
use futures::future::join_all;
use futures::stream::FuturesUnordered;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{ApiResource, DynamicObject};
use kube::core::PartialObjectMeta;
use kube::runtime::reflector::{self, ObjectRef, Store};
use kube::runtime::watcher::{self, Event};
use kube::{Api, ResourceExt};
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::warn;

use crate::label::NamespaceLabel;
use akvs::Akvs;
pub use akvs::Specs;
use sight::Sight;

type Meta = PartialObjectMeta<Namespace>;

/// All that was seen last. Cheap to clone.
#[derive(Clone)]
pub struct Cluster {
    views: Arc<Views>,
    label: Arc<NamespaceLabel>,
}

/// What is served: everything, or one view of each namespace.
enum Views {
    All(View),
    Of(BTreeMap<String, View>),
}

impl Views {
    fn of(&self, namespace: &str) -> Option<&View> {
        match self {
            Self::All(view) => Some(view),
            Self::Of(views) => views.get(namespace),
        }
    }

    fn iter(&self) -> impl Iterator<Item = &View> {
        let (all, of) = match self {
            Self::All(view) => (Some(view), None),
            Self::Of(views) => (None, Some(views.values())),
        };
        all.into_iter().chain(of.into_iter().flatten())
    }
}

/// What two watches show.
struct View {
    akvs: Arc<Akvs>,
    namespaces: Store<Meta>,
    /// How the watches of AKVS and of namespaces stand.
    sights: Arc<[watch::Sender<Sight>; 2]>,
}

/// How much is known of a namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Knowledge {
    /// It is none of those that are served.
    NotServed,
    /// Nothing yet, or nothing that has been confirmed within the last ten minutes.
    Outdated,
    /// All.
    Current,
}

impl Cluster {
    /// The view of these namespaces (`None`: of all), empty at first, and what fills it and keeps it up to date until dropped.
    pub fn watch(
        client: &kube::Client,
        served: Option<&BTreeSet<String>>,
    ) -> (Self, impl Future<Output = ()> + Send + use<>) {
        let mut followed = Vec::new();
        let mut view = |scope| {
            let (view, following) = View::watch(client, Scope(scope));
            followed.push(following);
            view
        };
        let views = match served {
            None => Views::All(view(None)),
            Some(names) => Views::Of(
                names
                    .iter()
                    .map(|name| (name.clone(), view(Some(name.clone()))))
                    .collect(),
            ),
        };
        let cluster = Self {
            views: Arc::new(views),
            label: Arc::default(),
        };
        let followed = async move {
            join_all(followed).await;
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

    /// Waits until no first list is on its way any more, and those of one view are complete. A namespace that may not be read does not hold
    /// up the others.
    pub async fn synced(&self) {
        for view in self.views.iter() {
            view.reached(|sight| sight != Sight::Pending).await;
        }
        let known = self.views.iter().map(|view| view.reached(Sight::is_known));
        known.collect::<FuturesUnordered<_>>().next().await;
    }

    /// How much is known of `namespace`.
    pub fn knowledge(&self, namespace: &str) -> Knowledge {
        match self.views.of(namespace) {
            None => Knowledge::NotServed,
            Some(view) if view.is_current() => Knowledge::Current,
            Some(_) => Knowledge::Outdated,
        }
    }

    /// Whether anything is known that a pod could be served with.
    pub fn is_current_somewhere(&self) -> bool {
        self.views.iter().any(View::is_current)
    }

    /// Names of all vaults that are mentioned.
    pub fn vaults(&self) -> HashSet<String> {
        self.views.iter().flat_map(|view| view.akvs.vaults()).collect()
    }

    /// All AKVS of `namespace`.
    pub fn specs(&self, namespace: &str) -> Arc<Specs> {
        let view = self.views.of(namespace);
        view.map(|view| view.akvs.of(namespace)).unwrap_or_default()
    }

    /// The labels of `namespace`; `None`: no such namespace has been seen.
    pub fn labels(&self, namespace: &str) -> Option<BTreeMap<String, String>> {
        let view = self.views.of(namespace)?;
        let namespace = view.namespaces.get(&ObjectRef::new(namespace))?;
        Some(namespace.labels().clone())
    }
}

impl View {
    /// Nothing, and what fills it.
    fn watch(client: &kube::Client, scope: Scope) -> (Self, impl Future<Output = ()> + Send + use<>) {
        let (namespaces, mut writer) = reflector::store();
        let view = Self {
            akvs: Arc::default(),
            namespaces,
            sights: Arc::default(),
        };
        let (akvs, client, sights) = (Arc::clone(&view.akvs), client.clone(), Arc::clone(&view.sights));
        let followed = async move {
            let [of_akvs, of_namespaces] = &*sights;
            let mut listing = HashMap::new();
            let objects = Watched {
                api: scope.akvs(client.clone()),
                config: watcher::Config::default(),
                resource: "azurekeyvaultsecrets",
                scope: &scope,
            };
            let objects = objects.follow(of_akvs, |event| akvs.take(event, &mut listing));
            let labels = Watched {
                api: Api::<Meta>::all(client),
                config: scope.namespaces(),
                resource: "namespaces",
                scope: &scope,
            };
            let labels = labels.follow(of_namespaces, |mut event| {
                if let Event::Apply(namespace) | Event::InitApply(namespace) = &mut event {
                    // What nobody here needs, and most of what there is.
                    namespace.managed_fields_mut().clear();
                    namespace.annotations_mut().clear();
                }
                writer.apply_watcher_event(&event);
            });
            futures::join!(objects, labels);
        };
        (view, followed)
    }

    /// Whether all of it is known, and not from a watch that has failed for ten minutes.
    fn is_current(&self) -> bool {
        let now = Instant::now();
        self.sights.iter().all(|sight| sight.borrow().counts(now))
    }

    /// Waits until both watches are so far; neither falls behind it again.
    async fn reached(&self, is_so_far: fn(Sight) -> bool) {
        for sight in &*self.sights {
            // The sender lives in `self`: waiting never fails.
            let _ = sight.subscribe().wait_for(|sight| is_so_far(*sight)).await;
        }
    }
}

/// One namespace, or all of them.
struct Scope(Option<String>);

impl Scope {
    fn akvs(&self, client: kube::Client) -> Api<DynamicObject> {
        let resource = ApiResource::erase::<AzureKeyVaultSecret>(&());
        match &self.0 {
            None => Api::all_with(client, &resource),
            Some(namespace) => Api::namespaced_with(client, namespace, &resource),
        }
    }

    /// RBAC holds the name in a field selector against `resourceNames`: so the right to see this one namespace is enough.
    fn namespaces(&self) -> watcher::Config {
        match &self.0 {
            None => watcher::Config::default(),
            Some(namespace) => watcher::Config::default().fields(&format!("metadata.name={namespace}")),
        }
    }
}

/// ` of NAMESPACE`, to stand behind what is there; nothing for the whole cluster.
impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            None => Ok(()),
            Some(namespace) => write!(f, " of {namespace}"),
        }
    }
}

/// What one watch is for.
struct Watched<'s, K> {
    api: Api<K>,
    config: watcher::Config,
    resource: &'static str,
    scope: &'s Scope,
}

impl<K> Watched<'_, K>
where
    K: kube::Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    /// Watches for ever, with back-off after failures.
    async fn follow(self, sight: &watch::Sender<Sight>, mut take: impl FnMut(Event<K>)) {
        let mut watching = Watching::new(self.api, self.config);
        let (resource, scope) = (self.resource, self.scope);
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
                    tell(resource, scope, &error);
                    let (is_forbidden, now) = (is_forbidden(&error), Instant::now());
                    sight.send_modify(|sight| *sight = sight.after_failure(is_forbidden, now));
                }
            }
        }
    }
}

fn tell(resource: &str, scope: &Scope, error: &watcher::Error) {
    if !is_forbidden(error) {
        warn!(%error, "watching {resource}{scope} failed; trying again");
        return;
    }
    let right = &format!("list and watch {resource}{scope}");
    let what = format!("The {resource}{scope} cannot be watched.");
    let problem = Diagnosis::case(case::InjectorForbidden { error, right }, what);
    warn!(code = problem.code.as_str(), error = %problem, "a watch is refused; trying again");
}

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
