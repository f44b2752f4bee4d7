//! The `CustomResourceDefinition` on a real API server, used by the real kubectl.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

mod printing;
mod rules;
mod upgrade;
mod writes;

use akv2k8s_shared::api::AzureKeyVaultSecret;
use akv2k8s_testbed::controlplane::{ControlPlane, Namespace};
use akv2k8s_testbed::crd;
use kube::{Api, Client};

/// A namespace on the shared control plane, where our resource is served.
struct Cluster {
    control_plane: &'static ControlPlane,
    client: Client,
    namespace: Namespace,
}

impl Cluster {
    async fn new(prefix: &str) -> anyhow::Result<Self> {
        let control_plane = ControlPlane::shared().await?;
        let client = control_plane.client()?;
        crd::install(&client).await?;
        let namespace = control_plane.namespace(prefix).await?;
        Ok(Self {
            control_plane,
            client,
            namespace,
        })
    }

    fn api(&self) -> Api<AzureKeyVaultSecret> {
        Api::namespaced(self.client.clone(), self.namespace.name())
    }

    /// Runs kubectl in the namespace, and gives what it printed when it ended well.
    async fn kubectl(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let arguments = [&["--namespace", self.namespace.name()], arguments].concat();
        Ok(self.control_plane.kubectl(&arguments).await?.success()?)
    }

    /// Applies a manifest in the namespace.
    async fn apply(&self, manifest: &str) -> anyhow::Result<String> {
        let arguments = ["--namespace", self.namespace.name(), "apply", "-f", "-"];
        Ok(self
            .control_plane
            .kubectl_with_input(&arguments, manifest)
            .await?
            .success()?)
    }
}

/// The four versions that are served.
const VERSIONS: [&str; 4] = ["v1alpha1", "v1", "v2alpha1", "v2beta1"];
