//! Which namespaces a controller serves.

use std::collections::BTreeSet;
use std::fmt;

use k8s_openapi::NamespaceResourceScope;
use kube::{Api, Resource};

/// All of them, or these.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Namespaces {
    /// Every namespace of the cluster, those to come included.
    All,
    /// These, whether they exist yet or not; never empty.
    Only(BTreeSet<String>),
}

impl Namespaces {
    /// What has to be listed and watched, one by one, to see them all.
    pub fn scopes(&self) -> Vec<Scope> {
        match self {
            Self::All => vec![Scope::Cluster],
            Self::Only(names) => names.iter().cloned().map(Scope::Namespace).collect(),
        }
    }

    /// The one namespace, if it is one.
    pub(crate) fn single(&self) -> Option<&str> {
        match self {
            Self::Only(names) if names.len() == 1 => names.first().map(String::as_str),
            Self::All | Self::Only(_) => None,
        }
    }
}

/// What one list and one watch show.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// Every namespace.
    Cluster,
    /// One.
    Namespace(String),
}

impl Scope {
    /// The API for a type in there.
    pub(crate) fn api<K>(&self, client: kube::Client) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        match self {
            Self::Cluster => Api::all(client),
            Self::Namespace(namespace) => Api::namespaced(client, namespace),
        }
    }

    /// The namespace, if it is not the whole cluster.
    pub(crate) fn namespace(&self) -> Option<&str> {
        match self {
            Self::Cluster => None,
            Self::Namespace(namespace) => Some(namespace),
        }
    }

    /// Whether objects of `namespace` are in there.
    pub(crate) fn covers(&self, namespace: &str) -> bool {
        self.namespace().is_none_or(|it| it == namespace)
    }
}

/// ` in NAMESPACE`, to stand behind what is there; nothing for the whole cluster.
impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cluster => Ok(()),
            Self::Namespace(namespace) => write!(f, " in {namespace}"),
        }
    }
}
