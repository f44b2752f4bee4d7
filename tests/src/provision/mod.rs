//! The Kubernetes programs that tests need: where they are, and how they are built when they are nowhere.
//!
//! Programs are looked for in `KUBEBUILDER_ASSETS` first (the convention of operator projects), then in a cache outside the work tree.
//! `cargo testbed provision` builds what is in neither from Go modules whose versions and checksums are committed under `tests/kube`.

mod build;
mod locate;

pub use build::{BuildError, provision};
pub use locate::{Locations, NotProvisioned};

/// Version of all programs but etcd; `tests/kube/kubernetes/go.mod` names the same.
pub const KUBERNETES_VERSION: &str = "1.35.4";
/// Version of etcd; `tests/kube/etcd/go.mod` names the same.
pub const ETCD_VERSION: &str = "3.6.8";

/// One program of a cluster.
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
    /// Finds a node for each pod.
    Scheduler,
    /// Runs the pods of a node.
    Kubelet,
    /// Makes the addresses of Services work on a node.
    Proxy,
}

impl Program {
    /// What a control plane needs, in the order in which it is built.
    pub const CONTROL_PLANE: &[Self] = &[Self::Etcd, Self::ApiServer, Self::ControllerManager, Self::Kubectl];
    /// What a node needs besides.
    pub const NODE: &[Self] = &[Self::Scheduler, Self::Kubelet, Self::Proxy];

    /// The name of the executable file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::ApiServer => "kube-apiserver",
            Self::ControllerManager => "kube-controller-manager",
            Self::Kubectl => "kubectl",
            Self::Scheduler => "kube-scheduler",
            Self::Kubelet => "kubelet",
            Self::Proxy => "kube-proxy",
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
