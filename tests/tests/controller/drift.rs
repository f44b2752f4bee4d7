//! What people do to outputs is put right, for at most one vault request, and what is theirs is left alone.

use akv2k8s_shared::api::AzureKeyVaultSecret;
use akv2k8s_testbed::emulator::{Operation, SecretOptions};
use akv2k8s_testbed::stage::{PATIENCE, Stage};
use akv2k8s_testbed::wait::until;
use anyhow::Context;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::json;

const DB: &str =
    "{vault: {name: kv1, object: {name: db, type: secret}}, output: {secret: {name: db, dataKey: password}}}";

async fn synced(prefix: &str) -> anyhow::Result<Stage> {
    let stage = Stage::new(prefix).await?;
    stage.vault("kv1").set_secret("db", "right", SecretOptions::default())?;
    stage.apply("db", DB).await?;
    Ok(stage)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_secret_comes_back_for_at_most_one_request() -> anyhow::Result<()> {
    let stage = synced("deleted").await?;
    let controller = stage.controller(&["--azure-resync-period=3600"]).await?;
    stage.wait_for_reason("db", "Synced").await?;
    stage.emulator.journal().reset();
    stage.api::<Secret>().delete("db", &DeleteParams::default()).await?;
    stage.wait_for_key("db", "password", "right").await?;
    assert!(stage.emulator.journal().counts().of(Operation::SECRET_GET) <= 1);
    controller.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edited_key_is_put_right_and_foreign_keys_stay() -> anyhow::Result<()> {
    let stage = synced("edited").await?;
    let controller = stage.controller(&["--azure-resync-period=3600"]).await?;
    stage.wait_for_reason("db", "Synced").await?;
    let merge = Patch::Merge(json!({
        "metadata": {"labels": {"mine": "yes"}},
        "stringData": {"password": "wrong", "extra": "kept"},
    }));
    stage
        .api::<Secret>()
        .patch("db", &PatchParams::default(), &merge)
        .await?;
    stage.wait_for_key("db", "password", "right").await?;
    assert_eq!(stage.key("db", "extra").await.as_deref(), Some("kept"));
    let labels = stage
        .secret("db")
        .await?
        .context("Secret")?
        .metadata
        .labels
        .context("labels")?;
    assert_eq!(labels.get("mine").map(String::as_str), Some("yes"));
    controller.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn labels_of_the_akvs_reach_its_output() -> anyhow::Result<()> {
    let stage = synced("labels").await?;
    let controller = stage.controller(&[]).await?;
    stage.wait_for_reason("db", "Synced").await?;
    let akvs = stage.api::<AzureKeyVaultSecret>();
    let note = json!({"cost.example.com/note": "q4"});
    for (left_out, labels, annotations) in [
        (None, json!({"team": "blue", "cost.example.com/center": "4711"}), &note),
        (Some("cost.example.com/*"), json!({"team": "blue"}), &json!(null)),
        (Some("team"), json!({"cost.example.com/center": "4711"}), &note),
    ] {
        let patch = Patch::Merge(json!({"metadata": {
            "labels": {"team": "blue", "cost.example.com/center": "4711"},
            "annotations": {"cost.example.com/note": "q4", "akv2k8s.spv.no/do-not-copy": left_out},
        }}));
        akvs.patch("db", &PatchParams::default(), &patch).await?;
        until("the label", PATIENCE, async || {
            let secret = stage.secret("db").await.ok()??;
            let meta = secret.metadata;
            (json!(meta.labels) == labels && json!(meta.annotations) == *annotations).then_some(())
        })
        .await?;
    }
    controller.stop().await
}
