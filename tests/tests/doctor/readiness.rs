//! `doctor` reads what the controller complains of on `/readyz`, through the API server's proxy to the pod.

use std::net::UdpSocket;

use akv2k8s_testbed::stack::Stack;
use akv2k8s_testbed::stage::PATIENCE;
use akv2k8s_testbed::wait::until;
use anyhow::Context;
use serde_json::Value;

use crate::bed::Bed;

/// The controller's Deployment, as far as doctor looks at it.
const DEPLOYMENT: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: akv2k8s-controller, namespace: akv2k8s}
spec:
  replicas: 0
  selector: {matchLabels: {app: akv2k8s}}
  template:
    metadata: {labels: {app: akv2k8s}}
    spec: {containers: [{name: controller, image: example.org/controller}]}
";

const POD: &str = "
apiVersion: v1
kind: Pod
metadata: {name: controller-0, namespace: akv2k8s, labels: {app: akv2k8s}}
spec: {containers: [{name: controller, image: example.org/controller}]}
";

/// An address of this machine that the API server connects to: it refuses loopback and link-local ones for pods.
fn own_address() -> anyhow::Result<String> {
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    // Nothing is sent: this only chooses a route.
    let route = socket.connect("192.0.2.1:9");
    route
        .context("this test needs a network interface besides loopback, with a default route: ip route show default")?;
    Ok(socket.local_addr()?.ip().to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_real_controller_says_on_its_probes_port_is_told_with_its_code() -> anyhow::Result<()> {
    let stack = Stack::start().await?;
    let mut bed = Bed::new("doctor-readyz").await?;
    bed.kubeconfig = stack.cluster.kubeconfig().to_owned();
    stack.vault("kv1");
    stack.cluster.kubectl_apply(DEPLOYMENT).await?;
    let admitted = async || stack.cluster.kubectl_apply(POD).await.ok();
    until("the pod to be admitted", PATIENCE, admitted).await?;
    let address = own_address()?;
    let status = format!("{{\"status\": {{\"podIP\": \"{address}\", \"podIPs\": [{{\"ip\": \"{address}\"}}]}}}}");
    let patch = [
        "patch",
        "pod/controller-0",
        "--namespace=akv2k8s",
        "--subresource=status",
        "--patch",
        &status,
    ];
    stack.cluster.kubectl(&patch).await?.success()?;

    let well = readiness(&stack, &bed, "passed").await?;
    assert!(well["text"].to_string().contains("controller-0 says: "), "{well:#}");
    stack.app.remove_federated_credentials();
    let broken = readiness(&stack, &bed, "NoFederatedCredential").await?;
    assert_eq!(broken["state"], "failed", "{broken:#}");

    let nobody = bed.run(&["doctor", "--health-port", "1"]).await?;
    assert!(
        nobody.has_line("– Problems of controller-0: it does not answer on port 1 (--health-port names another)."),
        "{nobody:?}"
    );
    Ok(())
}

/// Starts the controller, and waits until doctor's check of its probes says so: `passed`, or a code.
async fn readiness(stack: &Stack, bed: &Bed, expected: &str) -> anyhow::Result<Value> {
    // One that was never tried: what failed before is left alone for a while.
    let asking = format!(
        "apiVersion: spv.no/v2beta1\nkind: AzureKeyVaultSecret\nmetadata: {{name: {}, namespace: default}}\n\
         spec: {{vault: {{name: kv1, object: {{name: db, type: secret}}}}, output: {{secret: {{name: db, dataKey: v}}}}}}\n",
        expected.to_ascii_lowercase()
    );
    stack.cluster.kubectl_apply(&asking).await?;
    let controller = stack.controller().start().await?;
    let (_, port) = controller.http().rsplit_once(':').context("an address has a port")?;
    let what = format!("doctor to say {expected}");
    let check = until(&what, PATIENCE, async || {
        let report = bed.json(&["doctor", "--health-port", port]).await.ok()?;
        let checks = report["checks"].as_array()?;
        let check = checks.iter().find(|check| check["id"] == "readiness")?;
        let found = check["code"].as_str().or(check["state"].as_str());
        (found == Some(expected)).then(|| check.clone())
    });
    let check = check.await?;
    controller.stop().await?;
    Ok(check)
}
