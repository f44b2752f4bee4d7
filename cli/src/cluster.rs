//! The cluster, and what looking at it can come to.

use akv2k8s_program::api_server::{self, Place};
use akv2k8s_shared::diagnosis::{Diagnosis, case};
use akv2k8s_shared::doctor::Seen;
use anyhow::{Context, anyhow, bail};
use kube::core::Status;
use kube::{Client, Error};

use crate::args::Args;

/// A connection, and the namespace that is looked at.
pub(crate) struct Cluster {
    pub(crate) client: Client,
    pub(crate) namespace: String,
}

impl Cluster {
    /// Reads the kubeconfig; nothing is sent yet.
    pub(crate) async fn connect(args: &Args) -> anyhow::Result<Self> {
        let config = api_server::cluster(Place {
            kubeconfig: args.kubeconfig.as_deref(),
            context: args.context.as_deref(),
            ..Place::default()
        })
        .await?;
        let namespace = args
            .namespace
            .clone()
            .unwrap_or_else(|| config.default_namespace.clone());
        let client = Client::try_from(config).context("cannot set up the Kubernetes client")?;
        Ok(Self { client, namespace })
    }
}

/// `answer` as far as it was allowed.
///
/// # Errors
/// The API server failed in another way than 403 or 404.
pub(crate) fn seen<T>(answer: Result<T, Error>, what: &str) -> anyhow::Result<Seen<T>> {
    match answer {
        Ok(it) => Ok(Seen::Found(it)),
        Err(Error::Api(status)) if status.code == 403 => Ok(Seen::NotAllowed),
        Err(Error::Api(status)) if status.code == 404 => Ok(Seen::Missing),
        Err(error) => Err(error).with_context(|| format!("cannot read {what}")),
    }
}

/// What has to be there for anything to be said; `right` is what it takes to read it: `get pods in namespace shop`.
///
/// # Errors
/// It is not there, or may not be read.
pub(crate) fn required<T>(answer: Result<T, Error>, what: &str, right: &str) -> anyhow::Result<T> {
    match seen(answer, what)? {
        Seen::Found(it) => Ok(it),
        Seen::Missing => bail!("there is no {what}"),
        Seen::NotAllowed => bail!("no right to {right}"),
    }
}

/// The same of AKVS, of which a cluster may not know at all.
///
/// # Errors
/// It is not there, the cluster does not know the resource, or it may not be read.
pub(crate) fn required_akvs<T>(answer: Result<T, Error>, what: &str, verb: &str, place: &str) -> anyhow::Result<T> {
    match &answer {
        Err(Error::Api(status)) if status.code == 404 && !names_an_object(status) => Err(definition_missing()),
        _ => required(answer, what, &format!("{verb} {RESOURCE} in {place}")),
    }
}

/// AKVS, as RBAC names them.
const RESOURCE: &str = "azurekeyvaultsecrets.spv.no";

/// The API server names what it did not find; where it does not know the resource, there is nothing to be named.
fn names_an_object(status: &Status) -> bool {
    status.details.as_ref().is_some_and(|details| !details.name.is_empty())
}

fn definition_missing() -> anyhow::Error {
    let what = "The cluster does not know the resource AzureKeyVaultSecret.";
    anyhow!("{}", Diagnosis::case(case::DefinitionMissing, what))
}
