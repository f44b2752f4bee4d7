//! Labels of namespaces, from a watch of their metadata.

use std::collections::{BTreeMap, HashMap};

use akv2k8s_shared::diagnosis::{Diagnosis, case};
use akv2k8s_shared::watching::{KEPT, Watching};
use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use kube::core::PartialObjectMeta;
use kube::runtime::watcher::{self, Event};
use tokio::time::Instant;

use crate::namespaces::Namespaces;

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
    /// As last seen. `broken`: since when the watch fails.
    Known {
        all: HashMap<String, Pairs>,
        broken: Option<Instant>,
    },
}

/// What the watch saw.
pub(super) enum Seen {
    /// A whole list.
    All(HashMap<String, Pairs>),
    /// One namespace; `None`: it went.
    One(String, Option<Pairs>),
    /// Nothing: an error. It is tried again.
    Failed(Diagnosis),
    /// Nothing for too long: what was seen last counts no more.
    Expired(Diagnosis),
}

impl Labels {
    /// The labels of `namespace`, or why they are not known.
    pub(super) fn of(&self, namespace: &str) -> Result<&Pairs, &str> {
        match self {
            Self::Pending => Err("they are being read"),
            Self::Unknown(why) => Err(why),
            Self::Known { all, .. } => all.get(namespace).ok_or("the namespace has not been seen yet"),
        }
    }

    /// When what was seen last will not count any more; `None`: it is as new as can be, or counts for nothing already.
    pub(super) fn expiry(&self) -> Option<Instant> {
        match self {
            Self::Known { broken, .. } => broken.map(|since| since + KEPT),
            Self::Pending | Self::Unknown(_) => None,
        }
    }

    pub(super) fn take(&mut self, seen: Seen) {
        match (self, seen) {
            (labels, Seen::All(all)) => *labels = Self::Known { all, broken: None },
            (Self::Known { all, broken }, Seen::One(namespace, pairs)) => {
                *broken = None;
                match pairs {
                    Some(pairs) => all.insert(namespace, pairs),
                    None => all.remove(&namespace),
                };
            }
            (Self::Known { broken, .. }, Seen::Failed(_)) => {
                broken.get_or_insert_with(Instant::now);
            }
            (labels, Seen::Expired(problem) | Seen::Failed(problem)) => {
                *labels = Self::Unknown(problem.cause.trim_end_matches('.').to_owned());
            }
            (Self::Pending | Self::Unknown(_), Seen::One(..)) => {}
        }
    }
}

impl Seen {
    /// The only namespace it is about.
    pub(super) fn namespace(&self) -> Option<&str> {
        match self {
            Self::One(namespace, _) => Some(namespace),
            Self::All(_) | Self::Failed(_) | Self::Expired(_) => None,
        }
    }

    pub(super) fn problem(&self) -> Option<Diagnosis> {
        match self {
            Self::Failed(problem) | Self::Expired(problem) => Some(problem.clone()),
            Self::All(_) | Self::One(..) => None,
        }
    }
}

/// Nothing was seen for so long.
pub(super) fn expired() -> Seen {
    let minutes = &(KEPT.as_secs() / 60);
    Seen::Expired(Diagnosis::case(
        case::LabelsOutdated { minutes },
        "Namespaces cannot be watched, and what was known of their labels counts no more.",
    ))
}

/// The watch; it goes on for ever, with back-off after errors.
pub(super) struct Watcher {
    watching: Watching<Meta>,
    /// The list that is being read.
    listing: HashMap<String, Pairs>,
}

impl Watcher {
    /// Watches the one namespace that is served; where several are, all, since the API server selects one or all.
    pub(super) fn new(client: kube::Client, served: &Namespaces) -> Self {
        let mut config = watcher::Config::default();
        if let Some(name) = served.single() {
            config = config.fields(&format!("metadata.name={name}"));
        }
        Self {
            watching: Watching::new(Api::all(client), config),
            listing: HashMap::new(),
        }
    }

    /// The next thing it sees.
    pub(super) async fn next(&mut self) -> Seen {
        loop {
            match self.watching.next().await {
                Ok(event) => {
                    if let Some(seen) = self.handle(event) {
                        return seen;
                    }
                }
                Err(error) => return Seen::Failed(problem(&error)),
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
    let what = "Namespaces cannot be watched, and a rule of the vault grants selects them by label.";
    if forbidden {
        Diagnosis::case(case::NamespacesForbidden { error }, what)
    } else {
        Diagnosis::case(case::NamespacesNotWatched { error }, what)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(value: &str) -> Pairs {
        [("team".to_owned(), value.to_owned())].into()
    }

    fn failed() -> Seen {
        let error = &"May not list";
        Seen::Failed(Diagnosis::case(case::NamespacesForbidden { error }, "What."))
    }

    #[tokio::test(start_paused = true)]
    async fn labels_once_known_outlive_a_watch_that_fails_for_ten_minutes() {
        let mut labels = Labels::Pending;
        labels.take(failed());
        assert_eq!(labels.of("a"), Err("May not list"));
        labels.take(Seen::All([("a".to_owned(), pairs("x"))].into()));
        assert_eq!(labels.expiry(), None);
        labels.take(failed());
        let first = Instant::now();
        tokio::time::advance(KEPT / 2).await;
        labels.take(failed());
        assert_eq!(labels.of("a"), Ok(&pairs("x")));
        assert_eq!(labels.expiry(), Some(first + KEPT), "it counts from the first failure");
        labels.take(Seen::One("a".to_owned(), Some(pairs("y"))));
        assert_eq!((labels.of("a"), labels.expiry()), (Ok(&pairs("y")), None));
        assert!(labels.of("b").is_err());
        labels.take(Seen::One("a".to_owned(), None));
        assert!(labels.of("a").is_err());

        labels.take(Seen::All([("a".to_owned(), pairs("x"))].into()));
        labels.take(expired());
        assert_eq!(labels.of("a"), Err("The watch of namespaces has failed for 10 minutes"));
        labels.take(failed());
        assert_eq!((labels.of("a"), labels.expiry()), (Err("May not list"), None));
        labels.take(Seen::All([("a".to_owned(), pairs("z"))].into()));
        assert_eq!(labels.of("a"), Ok(&pairs("z")));
    }
}
