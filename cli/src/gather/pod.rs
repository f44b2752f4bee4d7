//! A pod and what stands around it.

use akv2k8s_shared::diagnosis::workload::{Workload, service_account_name};
use akv2k8s_shared::doctor::Seen;
use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use k8s_openapi::api::core::v1::{Namespace, Pod as CorePod, ServiceAccount};
use kube::Api;
use kube::api::ListParams;

use super::identity::issuer;
use super::owner;
use crate::args::ServiceAccountName;
use crate::cluster::{Cluster, required, seen};

/// What is known of a pod.
pub(crate) struct Pod {
    pub(crate) workload: Workload,
    pub(crate) issuer: Seen<String>,
}

impl Pod {
    /// The ServiceAccount it runs as.
    pub(crate) fn account(&self) -> ServiceAccountName {
        let metadata = &self.workload.pod.metadata;
        ServiceAccountName {
            namespace: metadata.namespace.clone().unwrap_or_default(),
            name: self.workload.service_account_name().to_owned(),
        }
    }
}

/// Reads the pod `name` and what stands around it.
pub(crate) async fn pod(cluster: &Cluster, name: &str) -> anyhow::Result<Pod> {
    let (client, namespace) = (&cluster.client, cluster.namespace.as_str());
    let pods: Api<CorePod> = Api::namespaced(client.clone(), namespace);
    let right = format!("get pods in namespace {namespace}");
    let pod = required(pods.get(name).await, &format!("pod {namespace}/{name}"), &right)?;
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), namespace);
    let account = accounts.get(service_account_name(&pod)).await;
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let webhooks: Api<MutatingWebhookConfiguration> = Api::all(client.clone());
    let webhooks = webhooks.list(&ListParams::default()).await.map(|list| list.items);
    Ok(Pod {
        issuer: issuer(client).await?,
        workload: Workload {
            service_account: seen(account, "the pod's ServiceAccount")?,
            namespace: seen(namespaces.get(namespace).await, "the namespace")?,
            owner: owner::of(client, namespace, &pod.metadata).await?,
            webhooks: seen(webhooks, "the mutating webhooks")?,
            pod,
        },
    })
}
