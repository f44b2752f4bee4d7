//! The controller's Deployment and pod as others see them, without a node: the API server's proxy to the pod connects to this machine.

use std::net::UdpSocket;

use anyhow::Context;
use serde_json::json;

use crate::controlplane::ControlPlane;
use crate::stage::PATIENCE;
use crate::wait::until;

/// The pod.
pub const CONTROLLER_POD: &str = "controller-0";

/// The Deployment, as far as anybody looks at it; its labels are the chart's.
const DEPLOYMENT: &str = "
apiVersion: apps/v1
kind: Deployment
metadata:
  name: akv2k8s-controller
  namespace: akv2k8s
  labels: {app.kubernetes.io/name: akv2k8s, app.kubernetes.io/component: akv2k8s-controller}
spec:
  replicas: 0
  selector: {matchLabels: {app: akv2k8s}}
  template:
    metadata: {labels: {app: akv2k8s}}
    spec: {containers: [{name: controller, image: example.org/controller}]}
";

/// `NODE` stands for the node.
const POD: &str = "
apiVersion: v1
kind: Pod
metadata: {name: controller-0, namespace: akv2k8s, labels: {app: akv2k8s}}
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

/// Makes both; the pod is on `node`, or on none, and its address is this machine's.
pub async fn install_controller_pod(cluster: &ControlPlane, node: Option<&str>) -> anyhow::Result<()> {
    cluster.kubectl_apply(DEPLOYMENT).await?;
    let node = node.map_or_else(String::new, |node| format!("nodeName: {node}"));
    let pod = POD.replace("NODE, ", &if node.is_empty() { node } else { node + ", " });
    let admitted = async || cluster.kubectl_apply(&pod).await.ok();
    until("the pod to be admitted", PATIENCE, admitted).await?;
    let address = own_address()?;
    let now = jiff::Timestamp::now().strftime("%FT%TZ").to_string();
    let status = json!({"status": {"podIP": address, "podIPs": [{"ip": address}], "startTime": now}}).to_string();
    let patch = [
        "patch",
        "pod/controller-0",
        "--namespace=akv2k8s",
        "--subresource=status",
        "--patch",
        &status,
    ];
    cluster.kubectl(&patch).await?.success()?;
    Ok(())
}
