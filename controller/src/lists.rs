//! How the watches stand: which lists were read, and which may not be.
//!
//! A controller of several namespaces does not wait for one that it may not read: it says which right is missing there, and works in the
//! others.

use std::collections::BTreeMap;
use std::sync::Arc;

use akv2k8s_shared::diagnosis::{Diagnosis, case};
use akv2k8s_shared::watching::{is_complete, is_forbidden};
use kube::runtime::watcher::{Error, Event};
use tokio::sync::watch;
use tracing::warn;

use crate::health::Health;
use crate::namespaces::Scope;

/// What AKVS are called in rules of RBAC.
pub(crate) const OBJECTS: &str = "azurekeyvaultsecrets";

/// How a first list stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stands {
    /// It is on its way.
    Reading,
    /// The API server refuses it. It is tried again.
    Refused,
    /// It was complete once; since then, a watch has followed.
    Complete,
}

type All = BTreeMap<(Scope, &'static str), Stands>;

/// One per process; clones share it.
#[derive(Clone, Default)]
pub(crate) struct Lists {
    all: Arc<watch::Sender<All>>,
    health: Arc<Health>,
}

impl Lists {
    pub(crate) fn new(health: Arc<Health>) -> Self {
        Self {
            health,
            ..Self::default()
        }
    }

    /// `resource` of `scope` is about to be listed.
    pub(crate) fn begin(&self, scope: &Scope, resource: &'static str) {
        self.set(scope, resource, Stands::Reading);
    }

    /// Takes note of what a watch said, before anybody acts on it.
    pub(crate) fn take<K>(&self, scope: &Scope, resource: &'static str, said: &Result<Event<K>, Error>) {
        match said {
            Ok(event) if is_complete(event) => self.problem(scope, resource, None),
            Ok(_) => {}
            Err(error) if is_forbidden(error) => {
                let place = match scope.namespace() {
                    Some(namespace) => format!("in {namespace}"),
                    None => "in all namespaces".to_owned(),
                };
                let what = format!("The {resource}{scope} cannot be watched.");
                let why = case::WatchForbidden {
                    error,
                    resource: &resource,
                    place: &place,
                };
                self.problem(scope, resource, Some(Diagnosis::case(why, what)));
                self.refuse(scope, resource);
            }
            Err(error) => warn!(%error, "watching {resource}{scope} failed; trying again"),
        }
    }

    /// The list is complete, and what it showed is known.
    pub(crate) fn complete(&self, scope: &Scope, resource: &'static str) {
        self.set(scope, resource, Stands::Complete);
    }

    /// Whether all `resources` of `namespace` were listed.
    pub(crate) fn know(&self, namespace: &str, resources: &[&'static str]) -> bool {
        let all = self.all.borrow();
        let known = |resource: &&str| {
            all.iter()
                .any(|((scope, it), stands)| it == resource && scope.covers(namespace) && *stands == Stands::Complete)
        };
        resources.iter().all(known)
    }

    /// Waits until no first list is on its way any more, and all those of one scope are complete.
    pub(crate) async fn settled(&self) {
        // The sender lives in `self`: waiting never fails.
        let _ = self.all.subscribe().wait_for(is_settled).await;
    }

    fn problem(&self, scope: &Scope, resource: &str, problem: Option<Diagnosis>) {
        let told = problem.clone();
        if self.health.report(&format!("watch of {resource}{scope}"), problem)
            && let Some(problem) = told
        {
            warn!(code = problem.code.as_str(), error = %problem, "{resource}{scope} cannot be watched; trying again");
        }
    }

    fn refuse(&self, scope: &Scope, resource: &'static str) {
        self.all
            .send_if_modified(|all| match all.get_mut(&(scope.clone(), resource)) {
                Some(stands @ Stands::Reading) => {
                    *stands = Stands::Refused;
                    true
                }
                _ => false,
            });
    }

    fn set(&self, scope: &Scope, resource: &'static str, stands: Stands) {
        self.all.send_modify(|all| {
            all.insert((scope.clone(), resource), stands);
        });
    }
}

fn is_settled(all: &All) -> bool {
    let is_complete = |scope: &Scope| {
        let mut of_scope = all.iter().filter(|((it, _), _)| it == scope);
        of_scope.all(|(_, stands)| *stands == Stands::Complete)
    };
    all.values().all(|stands| *stands != Stands::Reading) && all.keys().any(|(scope, _)| is_complete(scope))
}

#[cfg(test)]
mod tests {
    use akv2k8s_shared::api::AzureKeyVaultSecret;
    use futures::FutureExt as _;
    use kube::core::Status;

    use super::*;

    fn refused() -> Result<Event<AzureKeyVaultSecret>, Error> {
        let status = Status {
            code: 403,
            reason: "Forbidden".to_owned(),
            ..Status::failure("secrets is forbidden", "Forbidden")
        };
        Err(Error::InitialListFailed(kube::Error::Api(status.boxed())))
    }

    #[test]
    fn one_namespace_that_may_not_be_read_does_not_hold_up_the_others_and_is_told() {
        let health = Arc::new(Health::default());
        let lists = Lists::new(Arc::clone(&health));
        let (a, b) = (Scope::Namespace("a".to_owned()), Scope::Namespace("b".to_owned()));
        for scope in [&a, &b] {
            lists.begin(scope, OBJECTS);
            lists.begin(scope, "secrets");
        }
        let settled = || lists.settled().now_or_never().is_some();
        assert!(!settled());
        lists.complete(&a, OBJECTS);
        lists.complete(&a, "secrets");
        lists.complete(&b, OBJECTS);
        assert!(!settled(), "a list of b is on its way");
        lists.take(&b, "secrets", &refused());
        assert!(settled());
        assert!(lists.know("a", &[OBJECTS, "secrets"]) && lists.know("b", &[OBJECTS]));
        assert!(!lists.know("b", &[OBJECTS, "secrets"]));
        let problems = health.problems();
        assert_eq!(problems, [("watch of secrets in b".to_owned(), "ApiServerForbidden")]);

        lists.take(&b, "secrets", &Ok(Event::<AzureKeyVaultSecret>::InitDone));
        lists.complete(&b, "secrets");
        assert!(lists.know("b", &["secrets"]) && health.problems().is_empty());
        lists.take(&b, "secrets", &refused());
        assert!(lists.know("b", &["secrets"]), "what was known stays known");
    }

    #[test]
    fn where_nothing_may_be_read_there_is_no_work() {
        let lists = Lists::default();
        lists.begin(&Scope::Cluster, OBJECTS);
        lists.take(&Scope::Cluster, OBJECTS, &refused());
        assert!(lists.settled().now_or_never().is_none());
        lists.complete(&Scope::Cluster, OBJECTS);
        assert!(lists.settled().now_or_never().is_some() && lists.know("any", &[OBJECTS]));
    }
}
