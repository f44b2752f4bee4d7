//! Pods that an env injector prepared, and that have to be created anew.

use std::sync::Arc;

use akv2k8s_envinjector::pki::{Options, Pki};
use akv2k8s_testbed::controlplane::ControlPlane;
use akv2k8s_testbed::crd;
use akv2k8s_testbed::stage::PATIENCE;
use akv2k8s_testbed::wait::until;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::ListParams;
use serde_json::{Value, json};

use crate::bed::Bed;

const WEBHOOK: &str = include_str!("../../../examples/injector/webhook.yaml");

/// A pod as akv2k8s 1.x left it.
fn of_1x(auth_service: bool) -> Value {
    let mut variables = vec![json!({"name": "ENV_INJECTOR_ARGS_SIGNATURE", "value": "c2ln"})];
    let mut volumes = vec![json!({"name": "azure-keyvault-env", "emptyDir": {"medium": "Memory"}})];
    if auth_service {
        variables.push(json!({"name": "ENV_INJECTOR_CLIENT_CERT_DIR", "value": "/var/client-cert/"}));
        volumes.push(json!({"name": "akv2k8s-client-cert", "secret": {"secretName": "akv2k8s-web"}}));
    }
    spec(&variables, &volumes)
}

/// A pod that knows the broker by this bundle.
fn of_today(bundle: &str) -> Value {
    let variables = [json!({"name": "ENV_INJECTOR_AUTH_SERVICE_CA", "value": bundle})];
    spec(&variables, &[])
}

fn spec(variables: &[Value], volumes: &[Value]) -> Value {
    let container =
        json!({"name": "app", "image": "app:1", "command": ["/azure-keyvault/azure-keyvault-env"], "env": variables});
    json!({"containers": [container], "volumes": volumes, "restartPolicy": "Always"})
}

/// A workload `name` of this kind with pods of this specification.
fn workload(kind: &str, name: &str, replicas: u32, spec: &Value) -> String {
    let mut object = json!({
        "apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name, "namespace": "NS"},
        "spec": {
            "replicas": replicas, "serviceName": name, "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": spec},
        },
    });
    if kind != "StatefulSet" {
        object["spec"].as_object_mut().map(|spec| spec.remove("serviceName"));
    }
    object.to_string()
}

fn pod(name: &str, spec: &Value) -> String {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "NS"}, "spec": spec}).to_string()
}

/// The authorities of an installation; published in the configuration `published` if there is one.
async fn authorities(cluster: &ControlPlane, namespace: &str, published: Option<&str>) -> anyhow::Result<Arc<Pki>> {
    let options = Options {
        namespace: namespace.to_owned(),
        secret: "akv2k8s-envinjector-pki".to_owned(),
        names: vec!["127.0.0.1".to_owned()],
        webhook_configuration: published.map(str::to_owned),
        publishes_ca: true,
        clock: Arc::new(Timestamp::now),
    };
    Ok(Arc::new(Pki::open(cluster.client()?, options).await?))
}

/// Code, text of the failed checks with this id.
fn failed(report: &Value, id: &str) -> Vec<(String, String)> {
    let text = |it: &Value| it.as_str().unwrap_or_default().to_owned();
    let checks = report["checks"].as_array().into_iter().flatten();
    let failed = checks.filter(|it| it["id"] == id && it["state"] == "failed");
    failed.map(|it| (text(&it["code"]), text(&it["text"]))).collect()
}

async fn wait_for_pods(bed: &Bed, cluster: &ControlPlane, count: usize) -> anyhow::Result<()> {
    let pods: Api<Pod> = Api::namespaced(cluster.client()?, bed.ns());
    until("all pods to be there", PATIENCE, async || {
        (pods.list(&ListParams::default()).await.ok()?.items.len() == count).then_some(())
    })
    .await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn exactly_the_pods_of_akv2k8s_1_are_listed_with_the_command_for_each_workload() -> anyhow::Result<()> {
    let cluster = ControlPlane::start().await?;
    crd::install(&cluster.client()?).await?;
    let own = cluster.namespace("doctor-prepared").await?;
    let mut bed = Bed::in_namespace(ControlPlane::shared().await?, own.name())?;
    bed.kubeconfig = cluster.kubeconfig().to_owned();
    let apply = async |manifest: &str| {
        cluster
            .kubectl_apply(&manifest.replace("\"NS\"", &format!("\"{}\"", own.name())))
            .await
    };
    let mine = spec(&[json!({"name": "PLAIN", "value": "1"})], &[]);
    for manifest in [
        workload("Deployment", "web", 2, &of_1x(true)),
        workload("Deployment", "direct", 1, &of_1x(false)),
        workload("StatefulSet", "db", 1, &of_1x(true)),
        workload("Deployment", "other", 1, &mine),
        workload("Deployment", "today", 1, &of_today("")),
        pod("alone", &of_1x(true)),
        pod("done", &of_1x(true)),
    ] {
        apply(&manifest).await?;
    }
    wait_for_pods(&bed, &cluster, 8).await?;
    let done = json!({"status": {"phase": "Succeeded"}}).to_string();
    let line = [
        "patch",
        "pod",
        "done",
        "--subresource",
        "status",
        "--type",
        "merge",
        "--patch",
        &done,
        "-n",
        own.name(),
    ];
    cluster.kubectl(&line).await?.success()?;

    let report = bed.json(&["doctor"]).await?;
    let listed = failed(&report, "wrapper");
    assert!(listed.iter().all(|(code, _)| code == "WrapperOutdated"), "{listed:?}");
    let ns = own.name();
    let expected = [
        (1, format!("kubectl delete pod alone -n {ns}, and create it again")),
        (1, format!("kubectl rollout restart deployment/direct -n {ns}")),
        (2, format!("kubectl rollout restart deployment/web -n {ns}")),
        (1, format!("kubectl rollout restart statefulset/db -n {ns}")),
    ];
    assert_eq!(listed.len(), expected.len(), "{listed:?}");
    for ((count, command), (_, text)) in expected.iter().zip(&listed) {
        let pods = text.split(": ").next().unwrap_or_default();
        assert!(text.ends_with(command), "{command}: {text}");
        assert_eq!(pods.split(", ").count(), *count, "{text}");
    }
    assert_eq!(report["healthy"], false);

    // Without them nothing is left to do.
    for line in [
        &["delete", "deployment", "direct", "web", "-n", ns][..],
        &["delete", "statefulset", "db", "-n", ns],
        &["delete", "pod", "alone", "-n", ns, "--grace-period=0", "--force"],
    ] {
        cluster.kubectl(line).await?.success()?;
    }
    let cleared = async || {
        let report = bed.json(&["doctor"]).await.ok()?;
        failed(&report, "wrapper").is_empty().then_some(report)
    };
    let report = until("the old pods to be gone", PATIENCE, cleared).await?;
    assert!(
        report["checks"]
            .to_string()
            .contains("No pod was prepared by akv2k8s 1.x"),
        "{report:#}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_that_know_no_present_authority_of_the_broker_are_named() -> anyhow::Result<()> {
    let cluster = ControlPlane::start().await?;
    crd::install(&cluster.client()?).await?;
    let own = cluster.namespace("doctor-trust").await?;
    let old = cluster.namespace("doctor-trust-old").await?;
    let mut bed = Bed::in_namespace(ControlPlane::shared().await?, own.name())?;
    bed.kubeconfig = cluster.kubeconfig().to_owned();
    let apply = async |manifest: &str| {
        cluster
            .kubectl_apply(&manifest.replace("\"NS\"", &format!("\"{}\"", own.name())))
            .await
    };
    let (present, former) = (
        authorities(&cluster, own.name(), Some("akv2k8s-envinjector")).await?,
        authorities(&cluster, old.name(), None).await?,
    );
    apply(&workload("Deployment", "present", 1, &of_today(&present.bundle()))).await?;
    apply(&workload("Deployment", "former", 1, &of_today(&former.bundle()))).await?;
    apply(&pod("broken", &of_today("no certificate"))).await?;
    wait_for_pods(&bed, &cluster, 3).await?;

    // Without the webhook nobody knows.
    let report = bed.json(&["doctor"]).await?;
    assert!(failed(&report, "broker-trust").is_empty(), "{report:#}");
    assert!(
        report["checks"].to_string().contains("not in the caBundle"),
        "{report:#}"
    );

    // The real program's part publishes them. The API server calls nobody here.
    let mut webhook: Value = serde_yaml::from_str(WEBHOOK)?;
    webhook["webhooks"][0]["namespaceSelector"] = json!({"matchLabels": {"nobody": "has-this"}});
    cluster.kubectl_apply(&webhook.to_string()).await?;
    let keeper = Arc::clone(&present);
    let keeper = tokio::spawn(async move { keeper.follow().await });
    let ns = own.name();
    let told = async || {
        let report = bed.json(&["doctor"]).await.ok()?;
        (failed(&report, "broker-trust").len() == 2).then_some(report)
    };
    let report = until("the authorities to be published", PATIENCE, told).await?;
    let listed = failed(&report, "broker-trust");
    assert!(listed.iter().all(|(code, _)| code == "BrokerNotTrusted"), "{listed:?}");
    assert!(
        listed[0].1.contains("known to broken: kubectl delete pod broken"),
        "{listed:?}"
    );
    assert!(
        listed[1]
            .1
            .ends_with(&format!("kubectl rollout restart deployment/former -n {ns}")),
        "{listed:?}"
    );
    let one = bed.json(&["doctor", "pod", "broken"]).await?;
    assert_eq!(failed(&one, "broker-trust").len(), 1, "{one:#}");

    cluster
        .kubectl(&["delete", "deployment", "former", "-n", ns])
        .await?
        .success()?;
    cluster
        .kubectl(&["delete", "pod", "broken", "-n", ns, "--grace-period=0", "--force"])
        .await?
        .success()?;
    let trusted = async || {
        let report = bed.json(&["doctor"]).await.ok()?;
        report["checks"]
            .to_string()
            .contains("Prepared pods trust the broker (1)")
            .then_some(report)
    };
    let report = until("the others to be gone", PATIENCE, trusted).await?;
    assert!(failed(&report, "broker-trust").is_empty(), "{report:#}");
    assert!(failed(&report, "wrapper").is_empty(), "{report:#}");
    keeper.abort();
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn without_rights_nothing_is_called_healthy_and_what_is_missing_is_said() -> anyhow::Result<()> {
    let mut bed = Bed::new("doctor-unlisted").await?;
    bed.become_reader().await?;
    let said = bed.run(&["doctor"]).await?;
    assert_eq!(said.code, Some(2), "{said:?}");
    for line in [
        "– Pods that akv2k8s 1.x prepared",
        "? The Deployments: no right to list deployments.apps in namespace akv2k8s.",
        "? The AzureKeyVaultSecrets: no right to list azurekeyvaultsecrets.spv.no in all namespaces.",
        "Whether anything is wrong could not be determined",
    ] {
        assert!(said.has_line(line), "{line}: {said:?}");
    }
    Ok(())
}
