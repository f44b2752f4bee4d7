//! How long pods that ask for values are refused while a release is switched.
//!
//! Helm takes the authority of the old webhook out of its configuration; until the new env injector has put its own there, the API server calls
//! neither. Before that moment the old one would have answered, so the gap is counted from there.

use std::time::{Duration, Instant};

use akv2k8s_testbed::node::guest;
use akv2k8s_testbed::wait::until;
use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, PostParams};
use serde_json::json;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use crate::world::{PATIENCE, RELEASE, World};

/// A gap that may begin from now on.
pub(crate) struct Gap(JoinHandle<anyhow::Result<Duration>>);

impl Gap {
    /// The old release is there, and `namespace` has the label of those whose pods are prepared.
    pub(crate) async fn watch(world: &World, namespace: &str) -> anyhow::Result<Self> {
        world.namespace(namespace, Some("enabled")).await?;
        let client = world.node.cluster.client()?;
        let configurations = Api::all(client.clone());
        let pods = Api::namespaced(client, namespace);
        // Futures of async closures cannot go from thread to thread.
        let runtime = Handle::current();
        let measure = move || runtime.block_on(measure(configurations, pods));
        Ok(Self(tokio::task::spawn_blocking(measure)))
    }

    /// Waits until it is over.
    pub(crate) async fn end(self) -> anyhow::Result<Duration> {
        self.0.await?
    }
}

async fn measure(configurations: Api<MutatingWebhookConfiguration>, pods: Api<Pod>) -> anyhow::Result<Duration> {
    let name = format!("{RELEASE}-envinjector");
    until("the old authority to go", PATIENCE, async || {
        let webhooks = configurations.get(&name).await.ok()?.webhooks?;
        let is_gone = webhooks.iter().all(|it| it.client_config.ca_bundle.is_none());
        is_gone.then_some(())
    })
    .await?;
    let gone = Instant::now();
    let pod = serde_json::from_value(json!({
        "metadata": {"generateName": "asks-"},
        "spec": {"containers": [{
            "name": "app", "image": guest::IMAGE, "command": [guest::PATH, "env"],
            "env": [{"name": "DB", "value": "db@azurekeyvault"}],
        }]},
    }))?;
    let dry_run = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    until("a pod that asks for a value to be admitted", PATIENCE, async || {
        pods.create(&dry_run, &pod).await.ok().map(drop)
    })
    .await?;
    Ok(gone.elapsed())
}
