//! Deployments and pods of ours as others see them, without a node: the API server's proxy to a pod connects to this machine.

use std::net::UdpSocket;

use anyhow::Context;
use serde_json::json;

use crate::controlplane::ControlPlane;
use crate::stage::PATIENCE;
use crate::wait::until;

/// The pod.
pub const CONTROLLER_POD: &str = "controller-0";

/// The registration of Azure's webhook for workload identity, as its chart writes it, but that nobody answers and nobody is held up by that.
pub const WORKLOAD_IDENTITY_WEBHOOK: &str = "
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingWebhookConfiguration
metadata: {name: azure-wi-webhook-mutating-webhook-configuration}
webhooks:
- name: mutation.azure-workload-identity.io
  admissionReviewVersions: [v1]
  clientConfig: {url: 'https://127.0.0.1:1/mutate-v1-pod'}
  failurePolicy: Ignore
  timeoutSeconds: 1
  sideEffects: None
  objectSelector: {matchLabels: {azure.workload.identity/use: 'true'}}
  rules: [{apiGroups: [''], apiVersions: [v1], operations: [CREATE], resources: [pods]}]
";

/// `NODE` stands for the node.
const POD: &str = "
apiVersion: v1
kind: Pod
metadata: {name: controller-0, namespace: akv2k8s, labels: {app: controller}}
spec: {NODE, containers: [{name: controller, image: example.org/controller}]}
";

/// An address of this machine that the API server connects to: it refuses loopback and link-local ones for pods and nodes.
pub fn own_address() -> anyhow::Result<String> {
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    // Nothing is sent: this only chooses a route.
    let route = socket.connect("192.0.2.1:9");
    route
        .context("this test needs a network interface besides loopback, with a default route: ip route show default")?;
    Ok(socket.local_addr()?.ip().to_string())
}

/// A Deployment that nobody runs, as far as anybody looks at it. `name` and `component` are what follows `akv2k8s-` in the chart's name and
/// label; its pods have the label `app`, which is the component; `arguments` are of its container, as a list of YAML.
pub fn deployment(name: &str, component: &str, arguments: &str) -> String {
    format!(
        "
apiVersion: apps/v1
kind: Deployment
metadata:
  name: akv2k8s-{name}
  namespace: akv2k8s
  labels: {{app.kubernetes.io/name: akv2k8s, app.kubernetes.io/component: akv2k8s-{component}}}
spec:
  replicas: 0
  selector: {{matchLabels: {{app: {component}}}}}
  template:
    metadata: {{labels: {{app: {component}}}}}
    spec: {{containers: [{{name: {component}, image: example.org/{name}, args: {arguments}}}]}}
"
    )
}

/// Makes both; the pod is on `node`, or on none, and its address is this machine's.
pub async fn install_controller_pod(cluster: &ControlPlane, node: Option<&str>) -> anyhow::Result<()> {
    cluster
        .kubectl_apply(&deployment("controller", "controller", "[]"))
        .await?;
    let node = node.map_or_else(String::new, |node| format!("nodeName: {node}"));
    let pod = POD.replace("NODE, ", &if node.is_empty() { node } else { node + ", " });
    let admitted = async || cluster.kubectl_apply(&pod).await.ok();
    until("the pod to be admitted", PATIENCE, admitted).await?;
    answer_for(cluster, CONTROLLER_POD).await
}

/// What listens on this machine answers for the pod `name` of the release's namespace.
pub async fn answer_for(cluster: &ControlPlane, name: &str) -> anyhow::Result<()> {
    let address = own_address()?;
    let now = jiff::Timestamp::now().strftime("%FT%TZ").to_string();
    let status = json!({"status": {"podIP": address, "podIPs": [{"ip": address}], "startTime": now}}).to_string();
    let patch = [
        "patch",
        "pod",
        name,
        "--namespace=akv2k8s",
        "--subresource=status",
        "--patch",
        &status,
    ];
    cluster.kubectl(&patch).await?.success()?;
    Ok(())
}
