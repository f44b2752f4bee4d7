//! What was installed, and how its objects stand.

use std::time::Duration;

use akv2k8s_shared::api::AzureKeyVaultSecret;
use akv2k8s_shared::doctor::Seen;
use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt};

use super::controller::{controller, deployment, deployments};
use super::prepared::{Prepared, prepared};
use super::{Component, Controller};
use crate::args;
use crate::cluster::{Cluster, seen};

/// Name of the custom resource definition.
const CRD: &str = "azurekeyvaultsecrets.spv.no";

/// How long a pod may take to answer a probe. The client would go on trying for minutes.
const ANSWER: Duration = Duration::from_secs(5);

/// What is known of the installation.
pub(crate) struct Installation {
    pub(crate) crd: Seen<CustomResourceDefinition>,
    /// Of controller and env injector.
    pub(crate) deployments: Seen<Vec<Deployment>>,
    /// Of all Deployments there.
    pub(crate) sets: Seen<Vec<ReplicaSet>>,
    pub(crate) controller: Controller,
    /// `/readyz` of each controller pod.
    pub(crate) readiness: Seen<Vec<Answer>>,
    pub(crate) webhooks: Seen<Vec<MutatingWebhookConfiguration>>,
    pub(crate) objects: Seen<Vec<AzureKeyVaultSecret>>,
    pub(crate) prepared: Seen<Vec<Prepared>>,
}

/// What a pod answered.
pub(crate) struct Answer {
    pub(crate) pod: String,
    pub(crate) port: u16,
    pub(crate) text: Seen<String>,
}

/// Reads it all; the controller is looked for at `at`.
pub(crate) async fn installation(cluster: &Cluster, at: &args::Installation) -> anyhow::Result<Installation> {
    let client = &cluster.client;
    let crds: Api<CustomResourceDefinition> = Api::all(client.clone());
    let objects: Api<AzureKeyVaultSecret> = Api::all(client.clone());
    let webhooks: Api<MutatingWebhookConfiguration> = Api::all(client.clone());
    let sets: Api<ReplicaSet> = Api::namespaced(client.clone(), &at.controller_namespace);
    let all = ListParams::default();
    let deployments = deployments(client, &at.controller_namespace).await?;
    let controller = controller(client, at, &deployments).await?;
    Ok(Installation {
        crd: seen(crds.get(CRD).await, "the custom resource definition")?,
        deployments,
        sets: seen(sets.list(&all).await.map(|list| list.items), "the ReplicaSets")?,
        readiness: readiness(client, &controller, at.health_port).await?,
        controller,
        webhooks: seen(
            webhooks.list(&all).await.map(|list| list.items),
            "the mutating webhooks",
        )?,
        objects: seen(
            objects.list(&all).await.map(|list| list.items),
            "the AzureKeyVaultSecrets",
        )?,
        prepared: Box::pin(prepared(client)).await?,
    })
}

/// The controller's pods.
pub(crate) async fn controller_pods(client: &Client, at: &args::Installation) -> anyhow::Result<Seen<Vec<Pod>>> {
    match deployment(client, &at.controller_namespace, Component::Controller).await? {
        Seen::Found(deployment) => pods(client, &at.controller_namespace, &deployment).await,
        Seen::Missing => Ok(Seen::Missing),
        Seen::NotAllowed => Ok(Seen::NotAllowed),
    }
}

/// The pods of `deployment`, by its selector.
pub(crate) async fn pods(client: &Client, namespace: &str, deployment: &Deployment) -> anyhow::Result<Seen<Vec<Pod>>> {
    let selector = deployment.spec.as_ref().map(|spec| &spec.selector);
    let labels = selector.and_then(|selector| selector.match_labels.as_ref());
    let labels: Vec<_> = labels
        .into_iter()
        .flatten()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    // Without labels the API server would give all pods of the namespace.
    if labels.is_empty() {
        return Ok(Seen::Found(Vec::new()));
    }
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let list = pods.list(&ListParams::default().labels(&labels.join(","))).await;
    seen(list.map(|list| list.items), "the pods")
}

/// What a pod answers to `GET /PATH`, through the API server's proxy.
///
/// # Errors
/// It does not answer, or there is no right to ask.
pub(crate) async fn ask_pod(
    client: &Client,
    namespace: &str,
    name: &str,
    port: u16,
    path: &str,
) -> anyhow::Result<String> {
    let path = format!("/api/v1/namespaces/{namespace}/pods/{name}:{port}/proxy/{path}");
    let answer = client.request_text(hyper::Request::get(path).body(Vec::new())?);
    Ok(tokio::time::timeout(ANSWER, answer).await??)
}

async fn readiness(client: &Client, controller: &Controller, port: Option<u16>) -> anyhow::Result<Seen<Vec<Answer>>> {
    let Some(deployment) = controller.deployment.found() else {
        return Ok(Seen::Missing);
    };
    let pods = match pods(client, &controller.namespace, deployment).await? {
        Seen::Found(pods) => pods,
        Seen::Missing => return Ok(Seen::Missing),
        Seen::NotAllowed => return Ok(Seen::NotAllowed),
    };
    let mut answers = Vec::new();
    for pod in pods {
        let name = pod.name_any();
        let port = port.unwrap_or_else(|| Component::Controller.http_port(&pod));
        // Whatever else goes wrong on the way to the pod says nothing of the pod.
        let text = match ask_pod(client, &controller.namespace, &name, port, "readyz").await {
            Ok(text) => Seen::Found(text),
            Err(error) => match error.downcast_ref::<kube::Error>() {
                Some(kube::Error::Api(status)) if status.code == 403 => Seen::NotAllowed,
                _ => Seen::Missing,
            },
        };
        answers.push(Answer { pod: name, port, text });
    }
    Ok(Seen::Found(answers))
}
