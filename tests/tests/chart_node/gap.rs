//! How long pods that ask for values are refused while a release is switched.
//!
//! Helm takes the authority of the old webhook out of its configuration; until the new env injector has put its own there, the API server calls
//! neither. Before that moment the old one would have answered, so the gap is counted from there.

use std::time::{Duration, Instant};

use akv2k8s_testbed::wait::until;
use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, PostParams};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use crate::load::{Asks, Load};
use crate::world::{PATIENCE, RELEASE, World};

/// A gap that may begin from now on.
pub(crate) struct Gap(JoinHandle<anyhow::Result<Measured>>);

/// What came of it.
pub(crate) struct Measured {
    /// For how long pods that ask for values were refused.
    pub(crate) refused: Duration,
    /// Pods of the same namespace that ask for nothing, since it began.
    pub(crate) quiet: Load,
}

impl Gap {
    /// The old release is there, and `namespace` has the label of those whose pods are prepared.
    pub(crate) async fn watch(world: &World, namespace: &str) -> anyhow::Result<Self> {
        world.namespace(namespace, Some("enabled")).await?;
        let configurations = Api::all(world.node.cluster.client()?);
        let pods = world.pods_of(namespace)?;
        // Futures of async closures cannot go from thread to thread.
        let runtime = Handle::current();
        let measure = move || runtime.block_on(measure(configurations, pods));
        Ok(Self(tokio::task::spawn_blocking(measure)))
    }

    /// Waits until it is over.
    pub(crate) async fn end(self) -> anyhow::Result<Measured> {
        self.0.await?
    }
}

async fn measure(configurations: Api<MutatingWebhookConfiguration>, pods: Api<Pod>) -> anyhow::Result<Measured> {
    let name = format!("{RELEASE}-envinjector");
    until("the old authority to go", PATIENCE, async || {
        let webhooks = configurations.get(&name).await.ok()?.webhooks?;
        let is_gone = webhooks.iter().all(|it| it.client_config.ca_bundle.is_none());
        is_gone.then_some(())
    })
    .await?;
    let gone = Instant::now();
    // The API server has written the new configuration, and goes by it a moment later.
    admitted(&pods, Asks::Nothing, A_MOMENT).await?;
    let quiet = Load::start(pods.clone(), Asks::Nothing)?;
    admitted(&pods, Asks::AValue, PATIENCE).await?;
    let refused = gone.elapsed();
    Ok(Measured { refused, quiet })
}

/// How soon the API server goes by what it has written.
const A_MOMENT: Duration = Duration::from_secs(5);

async fn admitted(pods: &Api<Pod>, asks: Asks, limit: Duration) -> anyhow::Result<()> {
    let pod = asks.pod()?;
    let dry_run = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    let what = format!("a pod that asks for {asks:?} to be admitted");
    let admitted = until(&what, limit, async || pods.create(&dry_run, &pod).await.ok().map(drop));
    Ok(admitted.await?)
}
