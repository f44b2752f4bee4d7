//! `doctor` without a subject: what was installed.

use akv2k8s_testbed::controlplane::ControlPlane;
use akv2k8s_testbed::crd;

use crate::bed::Bed;

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_without_the_resource_and_then_without_a_working_controller_is_told_so() -> anyhow::Result<()> {
    let cluster = ControlPlane::start().await?;
    let mut bed = Bed::new("doctor-installation").await?;
    bed.kubeconfig = cluster.kubeconfig().to_owned();
    let report = bed.json(&["doctor"]).await?;
    assert_eq!(report["next"]["code"], "CrdNotInstalled", "{report:#}");

    crd::install(&cluster.client()?).await?;
    let report = bed.json(&["doctor"]).await?;
    assert_eq!(report["healthy"], true, "{report:#}");
    assert!(
        report["checks"].to_string().contains("there is none in akv2k8s"),
        "{report:#}"
    );

    let deployment = "
apiVersion: v1
kind: Namespace
metadata: {name: akv2k8s}
---
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
    cluster.kubectl_apply(deployment).await?;
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
metadata: {name: akv2k8s-controller, namespace: akv2k8s}
spec: {holderIdentity: controller-0, leaseDurationSeconds: 15, renewTime: '2020-01-01T00:00:00.000000Z'}
";
    cluster.kubectl_apply(lease).await?;
    let said = bed.run(&["doctor"]).await?;
    assert!(
        said.has_line("✗ controller-0 has not renewed the Lease akv2k8s/akv2k8s-controller"),
        "{said:?}"
    );
    Ok(())
}
