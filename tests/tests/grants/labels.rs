//! Rules that select namespaces by label, with the real program and no more rights than it needs.

use akv2k8s_testbed::emulator::SecretOptions;
use akv2k8s_testbed::stack::{Controller, Stack};
use akv2k8s_testbed::stage::{PATIENCE, Stage};
use akv2k8s_testbed::wait::until;
use anyhow::Context;
use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use crate::bed::{RuleFile, message, rule, rules, spec};

async fn label(stage: &Stage, team: Option<&str>) -> anyhow::Result<()> {
    let patch = Patch::Merge(json!({"metadata": {"labels": {"team": team}}}));
    Api::<Namespace>::all(stage.cluster.client()?)
        .patch(stage.namespace.name(), &PatchParams::default(), &patch)
        .await?;
    Ok(())
}

const BY_LABEL: &str = "grants: [{namespaceSelector: {matchLabels: {team: pay}}, vaults: [kv1]}]\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_label_of_the_namespace_grants_and_its_loss_takes_away() -> anyhow::Result<()> {
    let stage = Stage::new("labelled").await?;
    stage.vault("kv1").set_secret("db", "one", SecretOptions::default())?;
    let file = RuleFile::new(&stage, BY_LABEL)?;
    let controller = stage.controller(&[&file.flag()]).await?;
    stage.apply("db", &spec("kv1", "db", "db")).await?;
    stage.wait_for_reason("db", "VaultNotGranted").await?;
    assert_eq!(stage.emulator.journal().counts().total(), 0);
    label(&stage, Some("pay")).await?;
    stage.wait_for_reason("db", "Synced").await?;
    label(&stage, Some("web")).await?;
    stage.wait_for_reason("db", "VaultNotGranted").await?;
    assert_eq!(stage.key("db", "v").await.as_deref(), Some("one"));
    controller.stop().await?;

    // A restart knows the labels before it judges: what is in order stays as it is.
    label(&stage, Some("pay")).await?;
    let controller = stage.controller(&[&file.flag()]).await?;
    let synced = stage.wait_for_reason("db", "Synced").await?;
    controller.stop().await?;
    let controller = stage.controller(&[&file.flag()]).await?;
    controller.wait_until_ready().await?;
    stage.apply("later", &spec("kv1", "db", "later")).await?;
    stage.wait_for_reason("later", "Synced").await?;
    let now = stage.akvs("db").await?;
    assert_eq!(
        now.metadata.resource_version, synced.metadata.resource_version,
        "no status was written"
    );
    controller.stop().await
}

async fn logs(controller: &Controller, text: &str) -> anyhow::Result<()> {
    let what = format!("the log to say {text:?}");
    until(&what, PATIENCE, async || controller.log().contains(text).then_some(())).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn namespaces_are_watched_only_for_a_selector_and_a_missing_right_is_told_and_heals() -> anyhow::Result<()> {
    let stack = Stack::start().await?;
    stack.vault("kv1").set_secret("db", "one", SecretOptions::default())?;
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("grants.yaml");
    let namespace = stack.cluster.namespace("labels").await?;
    std::fs::write(&path, rules(&[rule(namespace.name(), "kv1")]))?;
    let controller = stack
        .controller()
        .arg(&format!("--vault-grants={}", path.display()))
        .arg("--azure-resync-period=1")
        .start()
        .await?;
    let object = |name: &str| {
        format!(
            "{{apiVersion: spv.no/v2beta1, kind: AzureKeyVaultSecret, metadata: {{name: {name}, namespace: {}}}, spec: {}}}",
            namespace.name(),
            spec("kv1", "db", name)
        )
    };
    let wait = async |name: &str, ready: &str| {
        let condition = format!("--for=condition=Ready={ready}");
        let arguments = [
            "-n",
            namespace.name(),
            "wait",
            &condition,
            "--timeout=60s",
            "akvs",
            name,
        ];
        stack.cluster.kubectl(&arguments).await?.success()
    };
    stack.cluster.kubectl_apply(&object("named")).await?;
    wait("named", "True").await?;
    assert!(
        !controller.log().contains("watching namespaces"),
        "no rule asks for labels"
    );

    std::fs::write(&path, BY_LABEL)?;
    wait("named", "False").await?;
    logs(&controller, "namespaces cannot be watched").await?;
    let arguments = [
        "-n",
        namespace.name(),
        "get",
        "akvs",
        "named",
        "-o",
        "jsonpath={.status.conditions[?(@.type=='Ready')].message}",
    ];
    until("the condition to name the missing right", PATIENCE, async || {
        let told = stack.cluster.kubectl(&arguments).await.ok()?.success().ok()?;
        (told.contains("labels of namespace") && told.contains("forbidden")).then_some(())
    })
    .await?;

    let rights = include_str!("../../../examples/install/namespace-labels-rbac.yaml");
    stack.cluster.kubectl_apply(rights).await?;
    stack
        .cluster
        .kubectl(&["label", "namespace", namespace.name(), "team=pay"])
        .await?
        .success()?;
    wait("named", "True").await.context("after the right was given")?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn in_namespace_mode_one_namespaces_labels_are_enough() -> anyhow::Result<()> {
    let stage = Stage::new("onlyone").await?;
    stage.vault("kv1").set_secret("db", "one", SecretOptions::default())?;
    label(&stage, Some("pay")).await?;
    let file = RuleFile::new(&stage, BY_LABEL)?;
    let controller = stage
        .controller(&[&file.flag(), "--watch-all-namespaces=false"])
        .await?;
    stage.apply("db", &spec("kv1", "db", "db")).await?;
    stage.wait_for_reason("db", "Synced").await?;
    label(&stage, None).await?;
    stage.wait_for_reason("db", "VaultNotGranted").await?;
    assert!(message(&stage, "db").await?.contains("No rule"));
    controller.stop().await
}
