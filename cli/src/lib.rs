//! What stands between a workload and its vault, found out from a laptop.
//!
//! ```text
//!  args ──▶ gather (API server, read only) ──▶ facts ──▶ checks (pure) ──┐
//!                                        try (--mint: Entra, the vault) ─┴─▶ Report ──▶ text or JSON
//! ```
//!
//! It reads no Secret. Without a right to look somewhere it says so and goes on.

pub mod args;
mod checks;
mod cluster;
mod flags;
mod gather;
mod mint;

use akv2k8s_shared::doctor::Report;
use akv2k8s_shared::environment::Environment;
use args::{Args, Command, Subject};
use cluster::Cluster;

/// Does what `args` ask for; `environment` gives cloud, proxies and certificate authorities for `--mint`.
///
/// # Errors
/// What was to be looked at could not be: no cluster, no such object, no right to read it.
pub async fn run(args: &Args, environment: &Environment) -> anyhow::Result<Report> {
    let cluster = Cluster::connect(args).await?;
    let Command::Doctor(doctor) = &args.command;
    match &doctor.subject {
        None => installation(&cluster, &doctor.installation).await,
        Some(Subject::Akvs { name }) => akvs(&cluster, name, &doctor.installation).await,
        Some(Subject::Identity { service_account, mint }) => {
            let mut report = identity(&cluster, service_account, mint, environment).await?;
            if let Some(vault) = &mint.vault {
                let facts = gather::way(&cluster, service_account, &doctor.installation).await?;
                report.checks.extend(checks::way(&facts, vault));
            }
            Ok(report)
        }
        Some(Subject::Pod { name, mint }) => pod(&cluster, name, mint, environment).await,
    }
}

async fn installation(cluster: &Cluster, at: &args::Installation) -> anyhow::Result<Report> {
    let facts = gather::installation(cluster, at).await?;
    Ok(Report {
        subject: format!("installation in namespace {}", at.controller_namespace),
        checks: checks::installation(&facts),
    })
}

async fn akvs(cluster: &Cluster, name: &str, at: &args::Installation) -> anyhow::Result<Report> {
    let facts = gather::akvs(cluster, name, at).await?;
    Ok(Report {
        subject: format!("AzureKeyVaultSecret {}/{name}", cluster.namespace),
        checks: checks::akvs(&facts)?,
    })
}

async fn identity(
    cluster: &Cluster,
    account: &args::ServiceAccountName,
    try_it: &args::Mint,
    environment: &Environment,
) -> anyhow::Result<Report> {
    let facts = gather::identity(cluster, account).await?;
    let mut checks = checks::identity(&facts, try_it);
    if try_it.mint {
        let who = mint::Who {
            account: account.clone(),
            client_id: facts.client_id(),
            tenant_id: facts.tenant_id(),
        };
        checks.extend(mint::checks(cluster, who, try_it.vault.as_ref(), environment).await);
    }
    Ok(Report {
        subject: format!("identity of ServiceAccount {account}"),
        checks,
    })
}

async fn pod(cluster: &Cluster, name: &str, try_it: &args::Mint, environment: &Environment) -> anyhow::Result<Report> {
    let facts = gather::pod(cluster, name).await?;
    let mut checks = checks::pod(&facts, try_it);
    if try_it.mint {
        let (client_id, tenant_id) = facts.workload.who();
        let who = mint::Who {
            account: facts.account(),
            client_id,
            tenant_id,
        };
        checks.extend(mint::checks(cluster, who, try_it.vault.as_ref(), environment).await);
    }
    Ok(Report {
        subject: format!("pod {}/{name}", cluster.namespace),
        checks,
    })
}
