//! Labels of namespaces, from a watch of their metadata.

use std::collections::{BTreeMap, HashMap};

use akv2k8s_shared::diagnosis::{Code, Diagnosis};
use futures::StreamExt;
use futures::stream::BoxStream;
use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use kube::core::PartialObjectMeta;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};

/// What the problem is called in `/readyz` and metrics.
pub(super) const SUBJECT: &str = "labels of namespaces";

/// Labels of one namespace.
type Pairs = BTreeMap<String, String>;
type Meta = PartialObjectMeta<Namespace>;

/// What is known of all namespaces.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Labels {
    /// The first list is on its way, or nobody asks.
    Pending,
    /// The first list failed, and this is why.
    Unknown(String),
    /// As last seen; a watch that fails later changes nothing.
    Known(HashMap<String, Pairs>),
}

/// What the watch saw.
pub(super) enum Seen {
    /// A whole list.
    All(HashMap<String, Pairs>),
    /// One namespace; `None`: it went.
    One(String, Option<Pairs>),
    /// Nothing: an error. It is tried again.
    Failed(Diagnosis),
}

impl Labels {
    /// The labels of `namespace`, or why they are not known.
    pub(super) fn of(&self, namespace: &str) -> Result<&Pairs, &str> {
        match self {
            Self::Pending => Err("they are being read"),
            Self::Unknown(why) => Err(why),
            Self::Known(all) => all.get(namespace).ok_or("the namespace has not been seen yet"),
        }
    }

    pub(super) fn take(&mut self, seen: Seen) {
        match (self, seen) {
            (labels, Seen::All(all)) => *labels = Self::Known(all),
            (Self::Known(all), Seen::One(namespace, Some(pairs))) => {
                all.insert(namespace, pairs);
            }
            (Self::Known(all), Seen::One(namespace, None)) => {
                all.remove(&namespace);
            }
            (labels @ (Self::Pending | Self::Unknown(_)), Seen::Failed(problem)) => {
                *labels = Self::Unknown(problem.cause.trim_end_matches('.').to_owned());
            }
            (Self::Known(_), Seen::Failed(_)) | (Self::Pending | Self::Unknown(_), Seen::One(..)) => {}
        }
    }
}

impl Seen {
    /// The only namespace it is about.
    pub(super) fn namespace(&self) -> Option<&str> {
        match self {
            Self::One(namespace, _) => Some(namespace),
            Self::All(_) | Self::Failed(_) => None,
        }
    }

    pub(super) fn problem(&self) -> Option<Diagnosis> {
        match self {
            Self::Failed(problem) => Some(problem.clone()),
            Self::All(_) | Self::One(..) => None,
        }
    }
}

/// The watch; it goes on for ever, with back-off after errors.
pub(super) struct Watcher {
    events: BoxStream<'static, Result<Event<Meta>, watcher::Error>>,
    /// The list that is being read.
    listing: HashMap<String, Pairs>,
}

impl Watcher {
    /// Watches `only` one namespace, or all.
    pub(super) fn new(client: kube::Client, only: Option<&str>) -> Self {
        let mut config = watcher::Config::default();
        if let Some(name) = only {
            config = config.fields(&format!("metadata.name={name}"));
        }
        Self {
            events: watcher(Api::<Meta>::all(client), config).default_backoff().boxed(),
            listing: HashMap::new(),
        }
    }

    /// The next thing it sees.
    pub(super) async fn next(&mut self) -> Seen {
        loop {
            match self.events.next().await {
                Some(Ok(event)) => {
                    if let Some(seen) = self.handle(event) {
                        return seen;
                    }
                }
                Some(Err(error)) => return Seen::Failed(problem(&error)),
                // A watch has no end.
                None => std::future::pending().await,
            }
        }
    }

    fn handle(&mut self, event: Event<Meta>) -> Option<Seen> {
        match event {
            Event::Init => self.listing.clear(),
            Event::InitApply(namespace) => {
                let (name, pairs) = of(namespace);
                self.listing.insert(name, pairs);
            }
            Event::InitDone => return Some(Seen::All(std::mem::take(&mut self.listing))),
            Event::Apply(namespace) => {
                let (name, pairs) = of(namespace);
                return Some(Seen::One(name, Some(pairs)));
            }
            Event::Delete(namespace) => return Some(Seen::One(of(namespace).0, None)),
        }
        None
    }
}

fn of(namespace: Meta) -> (String, Pairs) {
    let meta = namespace.metadata;
    (meta.name.unwrap_or_default(), meta.labels.unwrap_or_default())
}

fn problem(error: &watcher::Error) -> Diagnosis {
    use watcher::Error::{InitialListFailed, WatchStartFailed};
    let forbidden = match error {
        InitialListFailed(kube::Error::Api(status)) | WatchStartFailed(kube::Error::Api(status)) => {
            status.is_forbidden()
        }
        _ => false,
    };
    let code = if forbidden {
        Code::ApiServerForbidden
    } else {
        Code::ApiServerUnavailable
    };
    Diagnosis::new(
        code,
        "Namespaces cannot be watched, and a rule of the vault grants selects them by label.",
        format!("{error}."),
        "Give the controller the right to list and watch namespaces: examples/install/namespace-labels-rbac.yaml",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(value: &str) -> Pairs {
        [("team".to_owned(), value.to_owned())].into()
    }

    fn failed() -> Seen {
        Seen::Failed(Diagnosis::new(
            Code::ApiServerForbidden,
            "What.",
            "May not list.",
            "Fix.",
        ))
    }

    #[test]
    fn labels_once_known_outlive_a_watch_that_fails() {
        let mut labels = Labels::Pending;
        labels.take(failed());
        assert_eq!(labels.of("a"), Err("May not list"));
        labels.take(Seen::All([("a".to_owned(), pairs("x"))].into()));
        labels.take(failed());
        assert_eq!(labels.of("a"), Ok(&pairs("x")));
        labels.take(Seen::One("a".to_owned(), Some(pairs("y"))));
        assert_eq!(labels.of("a"), Ok(&pairs("y")));
        assert!(labels.of("b").is_err());
        labels.take(Seen::One("a".to_owned(), None));
        assert!(labels.of("a").is_err());
    }
}
