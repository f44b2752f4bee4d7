//! `top`: what each vault is asked, how much of its budget that is, and what it costs.

mod metrics;
mod report;

use std::collections::BTreeMap;

use akv2k8s_shared::api::{self, AzureKeyVaultSecret};
use akv2k8s_shared::doctor::Seen;
use anyhow::{Context, bail};
use jiff::Timestamp;
use kube::Api;
use kube::api::ListParams;

pub(crate) use report::Top;

use crate::args::Top as Args;
use crate::cluster::{Cluster, required_akvs};
use crate::gather::{self, Component};

/// Looks at the controller that leads, and at all AKVS.
///
/// # Errors
/// One of them cannot be read.
pub(crate) async fn top(args: &Args, cluster: &Cluster) -> anyhow::Result<Top> {
    let all: Api<AzureKeyVaultSecret> = Api::all(cluster.client.clone());
    let list = all.list(&ListParams::default()).await;
    let objects = required_akvs(list, "AzureKeyVaultSecrets", "list", "all namespaces")?;
    let leader = leader(args, cluster).await?;
    let age = Timestamp::now().as_second() - leader.started.as_second();
    Ok(report::top(
        &metrics::parse(&leader.metrics),
        age,
        &objects_by_vault(&objects.items),
        args.price,
    ))
}

/// How many AKVS name an object of each vault; those that name none are not counted.
fn objects_by_vault(objects: &[AzureKeyVaultSecret]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for request in objects.iter().filter_map(|akvs| api::parse(akvs).ok()) {
        *counts.entry(request.object.vault.to_string()).or_default() += 1;
    }
    counts
}

/// The controller that does the work: only its counters grow.
struct Leader {
    started: Timestamp,
    metrics: String,
}

async fn leader(args: &Args, cluster: &Cluster) -> anyhow::Result<Leader> {
    let namespace = &args.installation.controller_namespace;
    let pods = match gather::controller_pods(&cluster.client, &args.installation).await? {
        Seen::Found(pods) => pods,
        Seen::Missing => {
            bail!("there is no controller in namespace {namespace} (--controller-namespace names another)")
        }
        Seen::NotAllowed => bail!("no right to list deployments.apps and pods in namespace {namespace}"),
    };
    let mut why = "none of its pods runs".to_owned();
    for pod in pods {
        let name = pod.metadata.name.clone().unwrap_or_default();
        let port = args.installation.health_port;
        let port = port.unwrap_or_else(|| Component::Controller.http_port(&pod));
        match gather::ask_pod(&cluster.client, namespace, &name, port, "metrics").await {
            Ok(text) if text.lines().any(|line| line == "akv2k8s_leader 1") => {
                return Ok(Leader {
                    started: started(&pod).with_context(|| format!("pod {name} does not say since when it runs"))?,
                    metrics: text,
                });
            }
            Ok(_) => why = format!("{name} does not lead"),
            Err(error) => why = format!("{name}: {error} (METRICS_ENABLED=true serves metrics)"),
        }
    }
    bail!("no controller in namespace {namespace} tells its metrics: {why}")
}

/// Since when its container runs: counters begin with it.
fn started(pod: &k8s_openapi::api::core::v1::Pod) -> Option<Timestamp> {
    let status = pod.status.as_ref()?;
    let containers = status.container_statuses.iter().flatten();
    let running = containers.filter_map(|it| it.state.as_ref()?.running.as_ref()?.started_at.as_ref());
    running
        .map(|it| it.0)
        .max()
        .or(status.start_time.as_ref().map(|it| it.0))
}
