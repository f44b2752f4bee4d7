//! `doctor` without a subject: what was installed.

use akv2k8s_testbed::controlplane::ControlPlane;
use akv2k8s_testbed::crd;
use akv2k8s_testbed::stack::deployment;

use crate::bed::Bed;

/// A Deployment whose name is like ours.
const SOMEBODYS: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: akv2k8s}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: payments-controller, namespace: akv2k8s}
spec:
  replicas: 0
  selector: {matchLabels: {app: payments}}
  template:
    metadata: {labels: {app: payments}}
    spec: {containers: [{name: controller, image: example.org/payments}]}
";

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_without_the_resource_and_then_without_a_working_controller_is_told_so() -> anyhow::Result<()> {
    let cluster = ControlPlane::start().await?;
    let mut bed = Bed::new("doctor-installation").await?;
    bed.kubeconfig = cluster.kubeconfig().to_owned();
    let report = bed.json(&["doctor"]).await?;
    assert_eq!(report["next"]["code"], "CrdNotInstalled", "{report:#}");
    for command in [&["get", "db"][..], &["doctor", "akvs", "db"], &["top"]] {
        let said = bed.run(command).await?;
        assert!(
            said.error.contains("CrdNotInstalled: ") && said.error.contains("Fix: Apply the chart's file"),
            "{command:?}: {said:?}"
        );
    }

    crd::install(&cluster.client()?).await?;
    cluster.kubectl_apply(SOMEBODYS).await?;
    let said = bed.run(&["doctor"]).await?;
    assert_eq!(said.code, Some(1), "nothing is installed: {said:?}");
    assert!(
        said.has_line("✗ There is no controller in namespace akv2k8s. (ControllerNotRunning)"),
        "{said:?}"
    );

    cluster
        .kubectl_apply(&deployment("envinjector", "webhook", "[]"))
        .await?;
    let alone = bed.json(&["doctor"]).await?;
    assert_eq!(alone["next"]["code"], "InjectorNotRunning", "{alone:#}");
    assert!(alone.to_string().contains("the env injector alone is"), "{alone:#}");

    let controller = deployment("controller", "controller", "[--lease-name=own]");
    cluster.kubectl_apply(&controller).await?;
    let said = bed.run(&["doctor"]).await?;
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.text.contains("Next (ControllerNotRunning)"), "{said:?}");
    assert!(
        said.text
            .contains("kubectl scale deployment/akv2k8s-controller -n akv2k8s --replicas=1"),
        "{said:?}"
    );

    let lease = "
apiVersion: coordination.k8s.io/v1
kind: Lease
metadata: {name: own, namespace: akv2k8s}
spec: {holderIdentity: controller-0, leaseDurationSeconds: 15, renewTime: '2020-01-01T00:00:00.000000Z'}
";
    cluster.kubectl_apply(lease).await?;
    let said = bed.run(&["doctor"]).await?;
    assert!(
        said.has_line("✗ controller-0 has not renewed the Lease akv2k8s/own"),
        "{said:?}"
    );
    Ok(())
}
