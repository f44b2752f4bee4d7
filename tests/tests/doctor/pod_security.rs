//! The chart with its defaults in a namespace that enforces the *restricted* standard: who refuses its pods, and both ways out.

use akv2k8s_testbed::controlplane::ControlPlane;
use akv2k8s_testbed::crd;
use akv2k8s_testbed::helm::{Helm, RELEASE};
use akv2k8s_testbed::provision::Program;
use akv2k8s_testbed::stage::PATIENCE;
use akv2k8s_testbed::wait::until;
use anyhow::Context;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::ListParams;
use serde_json::{Value, json};

use crate::bed::Bed;

const DEPLOYMENTS: [&str; 2] = ["akv2k8s-controller", "akv2k8s-envinjector"];
const RESTRICTED: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: akv2k8s, labels: {pod-security.kubernetes.io/enforce: restricted}}
";
/// The chart's first way out.
const IDENTITY: &str = "workloadIdentity: {enabled: true, clientId: CLIENT_ID}";

/// Applies what the chart makes pods of.
async fn install(cluster: &ControlPlane, values: &str) -> anyhow::Result<()> {
    let mut objects = Helm::of(Program::Helm3)?.objects(values)?;
    objects.retain(|it| it["kind"] == "Deployment" || it["kind"] == "ServiceAccount");
    let list = json!({"apiVersion": "v1", "kind": "List", "items": objects});
    cluster.kubectl_apply(&list.to_string()).await?;
    Ok(())
}

/// A control plane whose namespace for akv2k8s is restricted, and doctor there.
async fn restricted() -> anyhow::Result<(ControlPlane, Bed)> {
    let cluster = ControlPlane::start().await?;
    crd::install(&cluster.client()?).await?;
    let mut bed = Bed::in_namespace(ControlPlane::shared().await?, RELEASE)?;
    bed.kubeconfig = cluster.kubeconfig().to_owned();
    cluster.kubectl_apply(RESTRICTED).await?;
    Ok((cluster, bed))
}

/// Waits until doctor's checks of this id and state are so many, and gives the report.
async fn report(bed: &Bed, state: &str, count: usize) -> anyhow::Result<Value> {
    let what = format!("doctor to say {count} times that pod-security {state}");
    let report = until(&what, PATIENCE, async || {
        let report = bed.json(&["doctor"]).await.ok()?;
        let checks = report["checks"].as_array()?.iter();
        let found = checks.filter(|it| it["id"] == "pod-security" && it["state"] == state);
        (found.count() == count).then_some(report)
    });
    Ok(report.await?)
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_that_pod_security_refuses_are_found_and_both_printed_ways_lead_out() -> anyhow::Result<()> {
    let (cluster, bed) = restricted().await?;

    // Nobody has made a pod yet that could be refused; then two Deployments cannot.
    install(&cluster, "").await?;
    let refused = report(&bed, "failed", 2).await?;
    let next = &refused["next"];
    assert_eq!(next["code"], "PodsRefusedByPodSecurity", "{refused:#}");
    for deployment in DEPLOYMENTS {
        let start =
            format!("Deployment akv2k8s/{deployment} gets no new pods: violates PodSecurity \\\"restricted:latest\\\"");
        assert!(refused["checks"].to_string().contains(&start), "{start}: {refused:#}");
    }
    let cause = next["cause"].as_str().unwrap_or_default();
    assert!(cause.contains("/etc/kubernetes/azure.json of their node"), "{cause}");

    // One way: the values that the text names.
    let fix = next["fix"].as_str().context("a fix")?.to_owned();
    for value in [
        "workloadIdentity.enabled=true",
        "workloadIdentity.clientId=CLIENT_ID",
        "global.keyVaultAuth=environment",
    ] {
        assert!(fix.contains(value), "{value}: {fix}");
    }
    for values in [
        "global: {keyVaultAuth: environment, envFromSecret: [{name: credentials}]}",
        IDENTITY,
    ] {
        install(&cluster, values).await?;
        let passed = report(&bed, "passed", 1).await?;
        let said = "Pod Security refuses no pod of akv2k8s-controller, akv2k8s-envinjector.";
        assert!(passed["checks"].to_string().contains(said), "{passed:#}");
        // Back again: that old pods are let in hides nothing.
        install(&cluster, "").await?;
        report(&bed, "failed", 2).await?;
    }

    // The other: its commands, for the Deployment that they are printed of.
    let commands: Vec<_> = fix.match_indices("kubectl ").map(|(at, _)| &fix[at..]).collect();
    let [label, restart] = commands[..] else {
        anyhow::bail!("two commands: {fix}")
    };
    let (label, _) = label.split_once("; then ").context("a command ends")?;
    for command in [label, restart] {
        let words: Vec<_> = command.split_whitespace().skip(1).collect();
        cluster.kubectl(&words).await?.success()?;
    }
    let pods: Api<Pod> = Api::namespaced(cluster.client()?, RELEASE);
    let reads_the_host = async || {
        let list = pods.list(&ListParams::default()).await.ok()?;
        let mut volumes = list
            .items
            .iter()
            .flat_map(|pod| pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten()));
        volumes.any(|it| it.host_path.is_some()).then_some(())
    };
    until("a pod that reads the host", PATIENCE, reads_the_host).await?;
    let let_in = async || {
        let report = bed.json(&["doctor"]).await.ok()?;
        let mut checks = report["checks"]
            .as_array()?
            .iter()
            .filter(|it| it["id"] == "pod-security" && it["state"] == "failed");
        checks
            .all(|it| !it["text"].to_string().contains("akv2k8s-controller"))
            .then_some(())
    };
    until("doctor to see it", PATIENCE, let_in).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_else_pod_security_refuses_is_told_in_its_own_words() -> anyhow::Result<()> {
    let (cluster, bed) = restricted().await?;
    install(
        &cluster,
        &format!("{{{IDENTITY}, controller: {{securityContext: {{allowPrivilegeEscalation: true}}}}}}"),
    )
    .await?;
    let refused = report(&bed, "failed", 1).await?;
    let next = &refused["next"];
    assert!(
        next["what"].to_string().contains("allowPrivilegeEscalation != false"),
        "{refused:#}"
    );
    let fix = next["fix"].as_str().unwrap_or_default();
    assert!(
        fix.contains("securityContext") && !fix.contains("workloadIdentity"),
        "{fix}"
    );

    let said = bed.run(&["doctor", "--controller-namespace", "default"]).await?;
    assert!(
        !said.text.contains("Pod Security"),
        "there is no installation: {said:?}"
    );
    Ok(())
}
