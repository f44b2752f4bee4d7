//! What stands between a workload and its vault, found out from a laptop.
//!
//! ```text
//!  args ──▶ gather (API server, read only) ──▶ facts ──▶ checks (pure) ──▶ Report ──▶ text or JSON
//! ```
//!
//! It reads no Secret. Without a right to look somewhere it says so and goes on.

pub mod args;
mod checks;
mod cluster;
mod gather;

use akv2k8s_shared::doctor::Report;
use args::{Args, Command, Subject};
use cluster::Cluster;

/// Does what `args` ask for.
///
/// # Errors
/// What was to be looked at could not be: no cluster, no such object, no right to read it.
pub async fn run(args: &Args) -> anyhow::Result<Report> {
    let cluster = Cluster::connect(args).await?;
    let Command::Doctor(doctor) = &args.command;
    match &doctor.subject {
        None => installation(&cluster, &doctor.controller_namespace).await,
        Some(Subject::Akvs { name }) => akvs(&cluster, name, &doctor.controller_namespace).await,
        Some(Subject::Identity { service_account }) => identity(&cluster, service_account).await,
        Some(Subject::Pod { name }) => pod(&cluster, name).await,
    }
}

async fn installation(cluster: &Cluster, namespace: &str) -> anyhow::Result<Report> {
    let facts = gather::installation(cluster, namespace).await?;
    Ok(Report {
        subject: format!("installation in namespace {namespace}"),
        checks: checks::installation(&facts),
    })
}

async fn akvs(cluster: &Cluster, name: &str, controller_namespace: &str) -> anyhow::Result<Report> {
    let facts = gather::akvs(cluster, name, controller_namespace).await?;
    Ok(Report {
        subject: format!("AzureKeyVaultSecret {}/{name}", cluster.namespace),
        checks: checks::akvs(&facts)?,
    })
}

async fn identity(cluster: &Cluster, account: &args::ServiceAccountName) -> anyhow::Result<Report> {
    let facts = gather::identity(cluster, account).await?;
    let checks = checks::identity(&facts);
    Ok(Report {
        subject: format!("identity of service account {account}"),
        checks,
    })
}

async fn pod(cluster: &Cluster, name: &str) -> anyhow::Result<Report> {
    let facts = gather::pod(cluster, name).await?;
    let checks = checks::pod(&facts);
    Ok(Report {
        subject: format!("pod {}/{name}", cluster.namespace),
        checks,
    })
}
