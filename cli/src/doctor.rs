//! `doctor`: gathers facts, checks them, and tries what is asked for.

use akv2k8s_shared::doctor::Report;
use akv2k8s_shared::environment::Environment;
use serde::{Serialize, Serializer};

use crate::args::{Doctor, Installation, Mint, ServiceAccountName, Subject};
use crate::cluster::Cluster;
use crate::output::Text;
use crate::style::{Paint, Style};
use crate::{checks, gather, mint};

/// A report as it is printed.
pub(crate) struct Told(pub(crate) Report);

impl Text for Told {
    fn text(&self, style: Style) -> String {
        let line = |line: &str| {
            let paint = match line.chars().next() {
                Some('✓') => Paint::Good,
                Some('✗') => Paint::Bad,
                Some('?') => Paint::Change,
                Some('–') => Paint::Faint,
                _ => Paint::Plain,
            };
            style.paint(paint, line) + "\n"
        };
        self.0.to_string().lines().map(line).collect()
    }
}

impl Serialize for Told {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.to_json().serialize(serializer)
    }
}

/// Looks at what `doctor` is asked for; `environment` gives cloud, proxies and certificate authorities for `--mint`.
///
/// # Errors
/// What was to be looked at could not be: no such object, no right to read it.
pub(crate) async fn doctor(doctor: &Doctor, cluster: &Cluster, environment: &Environment) -> anyhow::Result<Told> {
    let report = match &doctor.subject {
        None => installation(cluster, &doctor.installation).await,
        Some(Subject::Akvs { name }) => akvs(cluster, name, &doctor.installation).await,
        Some(Subject::Identity { service_account, mint }) => {
            let mut report = identity(cluster, service_account, mint, environment).await?;
            if let Some(vault) = &mint.vault {
                let facts = gather::way(cluster, service_account, &doctor.installation).await?;
                report.checks.extend(checks::way(&facts, vault));
            }
            Ok(report)
        }
        Some(Subject::Pod { name, mint }) => pod(cluster, name, mint, environment).await,
    };
    report.map(Told)
}

async fn installation(cluster: &Cluster, at: &Installation) -> anyhow::Result<Report> {
    let facts = gather::installation(cluster, at).await?;
    Ok(Report {
        subject: format!("installation in namespace {}", at.controller_namespace),
        checks: checks::installation(&facts),
    })
}

async fn akvs(cluster: &Cluster, name: &str, at: &Installation) -> anyhow::Result<Report> {
    let facts = gather::akvs(cluster, name, at).await?;
    Ok(Report {
        subject: format!("AzureKeyVaultSecret {}/{name}", cluster.namespace),
        checks: checks::akvs(&facts)?,
    })
}

async fn identity(
    cluster: &Cluster,
    account: &ServiceAccountName,
    try_it: &Mint,
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

async fn pod(cluster: &Cluster, name: &str, try_it: &Mint, environment: &Environment) -> anyhow::Result<Report> {
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
