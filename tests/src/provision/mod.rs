//! The Kubernetes programs that tests need: where they are, and how they are built when they are nowhere.
//!
//! Programs are looked for in `KUBEBUILDER_ASSETS` first (the convention of operator projects), then in a cache outside the work tree.
//! `cargo testbed provision` builds what is in neither from Go modules whose versions and checksums are committed under `tests/kube`.

mod build;
mod locate;

pub use build::{BuildError, provision};
pub use locate::{Locations, NotProvisioned};

/// Version of the API server, the controller manager and kubectl; `tests/kube/kubernetes/go.mod` names the same.
pub const KUBERNETES_VERSION: &str = "1.35.4";
/// Version of etcd; `tests/kube/etcd/go.mod` names the same.
pub const ETCD_VERSION: &str = "3.6.8";

/// One program of the control plane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// The store behind the API server.
    Etcd,
    /// The API server.
    ApiServer,
    /// Garbage collection, default ServiceAccounts, token Secrets, namespace deletion.
    ControllerManager,
    /// What users type.
    Kubectl,
}

impl Program {
    /// All of them, in the order in which they are built.
    pub const ALL: [Self; 4] = [Self::Etcd, Self::ApiServer, Self::ControllerManager, Self::Kubectl];

    /// The name of the executable file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::ApiServer => "kube-apiserver",
            Self::ControllerManager => "kube-controller-manager",
            Self::Kubectl => "kubectl",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pinned_modules_name_the_same_versions() {
        let kubernetes = include_str!("../../kube/kubernetes/go.mod");
        assert!(kubernetes.contains(&format!("k8s.io/kubernetes v{KUBERNETES_VERSION}")));
        let etcd = include_str!("../../kube/etcd/go.mod");
        assert!(etcd.contains(&format!("go.etcd.io/etcd/server/v3 v{ETCD_VERSION}")));
    }
}
