//! `doctor` reads what the controller complains of on `/readyz`, through the API server's proxy to the pod.

use akv2k8s_testbed::stack::{Stack, install_controller_pod};
use akv2k8s_testbed::stage::PATIENCE;
use akv2k8s_testbed::wait::until;
use anyhow::Context;
use serde_json::Value;

use crate::bed::Bed;

#[tokio::test(flavor = "multi_thread")]
async fn what_the_real_controller_says_on_its_probes_port_is_told_with_its_code() -> anyhow::Result<()> {
    let stack = Stack::start().await?;
    let mut bed = Bed::new("doctor-readyz").await?;
    bed.kubeconfig = stack.cluster.kubeconfig().to_owned();
    stack.vault("kv1");
    install_controller_pod(&stack.cluster, None).await?;

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
