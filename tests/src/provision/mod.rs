//! The Kubernetes programs, and Helm, that tests need: where they are, and how they are built when they are nowhere.
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

/// Version of Helm 3; `tests/kube/helm3/go.mod` names the same.
pub const HELM_3_VERSION: &str = "3.22.0";
/// Minor version of the Kubernetes that Helm 3 is built for: that of `k8s.io/client-go` in its `go.mod`.
const HELM_3_KUBERNETES_MINOR: u32 = 37;
/// Version of Helm 4; `tests/kube/helm4/go.mod` names the same.
pub const HELM_4_VERSION: &str = "4.3.1";

/// One program of a cluster, or of those who install into it.
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
    /// Installs charts, as most do today.
    Helm3,
    /// Installs charts, by server-side apply.
    Helm4,
}

impl Program {
    /// What a control plane needs.
    pub const CONTROL_PLANE: &[Self] = &[Self::Etcd, Self::ApiServer, Self::ControllerManager, Self::Kubectl];
    /// What a node needs besides.
    pub const NODE: &[Self] = &[Self::Scheduler, Self::Kubelet, Self::Proxy];
    /// What the tests of the chart need besides.
    pub const HELM: &[Self] = &[Self::Helm3, Self::Helm4];

    /// What `cargo test` needs: all that runs without a node.
    pub fn of_tests() -> Vec<Self> {
        [Self::CONTROL_PLANE, Self::HELM].concat()
    }

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
            // Two of one name, and versions that the folder's name does not tell.
            Self::Helm3 => "helm-3.22.0",
            Self::Helm4 => "helm-4.3.1",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn the_pinned_modules_name_the_same_versions() {
        let kubernetes = include_str!("../../kube/kubernetes/go.mod");
        assert!(kubernetes.contains(&format!("k8s.io/kubernetes v{KUBERNETES_VERSION}")));
        let etcd = include_str!("../../kube/etcd/go.mod");
        assert!(etcd.contains(&format!("go.etcd.io/etcd/server/v3 v{ETCD_VERSION}")));
        for (module, path, program, version) in [
            (
                include_str!("../../kube/helm3/go.mod"),
                "helm.sh/helm/v3",
                Program::Helm3,
                HELM_3_VERSION,
            ),
            (
                include_str!("../../kube/helm4/go.mod"),
                "helm.sh/helm/v4",
                Program::Helm4,
                HELM_4_VERSION,
            ),
        ] {
            assert!(module.contains(&format!("{path} v{version}")), "{path}");
            assert_eq!(program.name(), format!("helm-{version}"));
        }
        let client = format!("k8s.io/client-go v0.{HELM_3_KUBERNETES_MINOR}.");
        assert!(include_str!("../../kube/helm3/go.mod").contains(&client));
    }

    /// Versions that differ would have packages of many compiled twice.
    #[test]
    fn modules_that_share_packages_pin_the_same_versions() {
        let versions = |module: &'static str| -> BTreeMap<_, _> {
            let lines = module.lines().filter_map(|line| line.trim().split_once(" v"));
            lines
                .filter(|(name, _)| !name.contains(' '))
                .map(|(name, version)| (name, version.trim_end_matches(" // indirect")))
                .collect()
        };
        let etcd = versions(include_str!("../../kube/etcd/go.mod"));
        let kubernetes = versions(include_str!("../../kube/kubernetes/go.mod"));
        let helm_3 = versions(include_str!("../../kube/helm3/go.mod"));
        let helm_4 = versions(include_str!("../../kube/helm4/go.mod"));
        for (a, b, own) in [(&helm_3, &helm_4, "helm.sh/"), (&etcd, &kubernetes, "go.etcd.io/")] {
            let differ = a
                .iter()
                .filter(|(name, version)| b.get(*name).is_some_and(|it| it != *version));
            let differ: Vec<_> = differ.filter(|(name, _)| !name.starts_with(own)).collect();
            assert!(differ.is_empty(), "{differ:?}");
        }
        assert!(helm_3.contains_key("k8s.io/client-go") && etcd.contains_key("google.golang.org/grpc"));
    }
}
