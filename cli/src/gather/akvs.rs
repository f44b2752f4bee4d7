//! One `AzureKeyVaultSecret`, its outputs' metadata, and the controller.

use akv2k8s_shared::api::{AzureKeyVaultSecret, StatusOutput, StatusOutputKind};
use akv2k8s_shared::doctor::Seen;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::{Api, ResourceExt};

use super::Controller;
use super::controller::{controller, deployments};
use crate::args::Installation;
use crate::cluster::{Cluster, required_akvs, seen};

/// What is known of an AKVS.
pub(crate) struct Akvs {
    pub(crate) object: AzureKeyVaultSecret,
    /// The outputs its status names, each with its UID in the cluster.
    pub(crate) outputs: Vec<(StatusOutput, Seen<Option<String>>)>,
    pub(crate) controller: Controller,
}

/// Reads the AKVS `name`.
pub(crate) async fn akvs(cluster: &Cluster, name: &str, at: &Installation) -> anyhow::Result<Akvs> {
    let (client, namespace) = (&cluster.client, cluster.namespace.as_str());
    let objects: Api<AzureKeyVaultSecret> = Api::namespaced(client.clone(), namespace);
    let what = format!("AzureKeyVaultSecret {namespace}/{name}");
    let object = required_akvs(objects.get(name).await, &what, "get", &format!("namespace {namespace}"))?;
    let named = object.status.iter().flat_map(|status| status.outputs.clone());
    let mut outputs = Vec::new();
    for output in named {
        let uid = uid(cluster, &output).await?;
        outputs.push((output, uid));
    }
    let deployments = deployments(client, &at.controller_namespace).await?;
    Ok(Akvs {
        object,
        outputs,
        controller: controller(client, at, &deployments).await?,
    })
}

/// Asks for metadata only: a Secret's data never comes here. (The right is the same as to read it, so many will not have it.)
async fn uid(cluster: &Cluster, output: &StatusOutput) -> anyhow::Result<Seen<Option<String>>> {
    let (client, namespace) = (cluster.client.clone(), cluster.namespace.as_str());
    let answer = match output.kind {
        StatusOutputKind::Secret => {
            let api: Api<Secret> = Api::namespaced(client, namespace);
            api.get_metadata(&output.name).await.map(|it| it.uid())
        }
        StatusOutputKind::ConfigMap => {
            let api: Api<ConfigMap> = Api::namespaced(client, namespace);
            api.get_metadata(&output.name).await.map(|it| it.uid())
        }
    };
    seen(answer, "an output's metadata")
}
