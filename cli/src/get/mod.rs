//! `get`: one AKVS, what it wrote, and whether the vault still says the same; values only after a question.

mod compare;
mod report;

use akv2k8s_shared::environment::Environment;
use anyhow::Context;

pub(crate) use report::Got;

use crate::args::Get;
use crate::cluster::Cluster;
use crate::disclose::Consent;
use crate::progress::during;
use crate::style::counted;
use crate::survey::{Survey, neighbours, survey};
use crate::vault::Vaults;

/// Looks at the AKVS that is asked for.
///
/// # Errors
/// There is none of this name, the API server failed, or nobody agreed to values being printed.
pub(crate) async fn get(args: &Get, cluster: &Cluster, environment: &Environment) -> anyhow::Result<Got> {
    let namespace = &cluster.namespace;
    let all = during("looking", neighbours(cluster, namespace)).await?;
    let named = all
        .iter()
        .find(|akvs| akvs.metadata.name.as_deref() == Some(&args.name));
    let akvs = named.with_context(|| format!("there is no AzureKeyVaultSecret {namespace}/{}", args.name))?;
    let vaults = Vaults::new(environment)?;
    let survey = during("comparing", Box::pin(survey(cluster, &vaults, akvs.clone(), &all))).await?;
    let consent = args.show.then(|| consent(args, &survey)).transpose()?;
    Ok(compare::got(&survey, consent.as_ref()))
}

fn consent(args: &Get, survey: &Survey) -> anyhow::Result<Consent> {
    let count = compare::values(survey);
    Consent::ask(
        &format!("Print {} of {}?", counted(count, "value"), args.name),
        args.yes,
    )
}
