//! Several AKVS, and people, who want the same object.

use akv2k8s_shared::api::AzureKeyVaultSecret;
use akv2k8s_testbed::emulator::SecretOptions;
use akv2k8s_testbed::stage::Stage;
use anyhow::Context;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use serde_json::json;

fn spec(object: &str, key: &str) -> String {
    format!(
        "{{vault: {{name: kv1, object: {{name: {object}, type: secret}}}}, output: {{secret: {{name: shared, dataKey: {key}}}}}}}"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn the_younger_of_two_claimants_waits_for_its_turn() -> anyhow::Result<()> {
    let stage = Stage::new("claims").await?;
    let vault = stage.vault("kv1");
    vault.set_secret("a", "from a", SecretOptions::default())?;
    vault.set_secret("b", "from b", SecretOptions::default())?;
    let controller = stage.controller(&[]).await?;
    stage.apply("a-older", &spec("a", "k")).await?;
    stage.wait_for_reason("a-older", "Synced").await?;
    stage.apply("b-younger", &spec("b", "k")).await?;
    stage.wait_for_reason("b-younger", "OutputConflict").await?;
    assert_eq!(stage.key("shared", "k").await.as_deref(), Some("from a"));
    stage
        .api::<AzureKeyVaultSecret>()
        .delete("a-older", &DeleteParams::default())
        .await?;
    stage.wait_for_reason("b-younger", "Synced").await?;
    stage.wait_for_key("shared", "k", "from b").await?;
    controller.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_secret_is_adopted_only_on_request() -> anyhow::Result<()> {
    let stage = Stage::new("adopt").await?;
    stage.vault("kv1").set_secret("a", "from a", SecretOptions::default())?;
    let foreign = serde_json::from_value(json!({"metadata": {"name": "shared"}, "stringData": {"theirs": "x"}}))?;
    stage.api::<Secret>().create(&PostParams::default(), &foreign).await?;
    let controller = stage.controller(&[]).await?;
    stage.apply("a", &spec("a", "k")).await?;
    let akvs = stage.wait_for_reason("a", "OutputNotOwned").await?;
    let message = &akvs
        .status
        .as_ref()
        .map(|status| status.conditions[0].message.clone())
        .unwrap_or_default();
    assert!(message.contains("akv2k8s.spv.no/adopt"), "{message}");
    assert_eq!(stage.key("shared", "k").await, None);
    let patch = Patch::Merge(json!({"metadata": {"annotations": {"akv2k8s.spv.no/adopt": "true"}}}));
    stage
        .api::<AzureKeyVaultSecret>()
        .patch("a", &PatchParams::default(), &patch)
        .await?;
    stage.wait_for_key("shared", "k", "from a").await?;
    assert_eq!(stage.key("shared", "theirs").await.as_deref(), Some("x"));
    controller.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forged_status_takes_no_foreign_secret_over() -> anyhow::Result<()> {
    let stage = Stage::new("forged").await?;
    stage.vault("kv1").set_secret("a", "from a", SecretOptions::default())?;
    let foreign = serde_json::from_value(json!({"metadata": {"name": "shared"}, "stringData": {"k": "theirs"}}))?;
    let foreign = stage.api::<Secret>().create(&PostParams::default(), &foreign).await?;
    let controller = stage.controller(&[]).await?;
    stage.apply("a", &spec("a", "k")).await?;
    stage.wait_for_reason("a", "OutputNotOwned").await?;
    let output = json!({"kind": "Secret", "name": "shared", "keys": ["k"], "uid": foreign.metadata.uid});
    let forged = Patch::Merge(json!({"status": {"outputs": [output]}}));
    stage
        .api::<AzureKeyVaultSecret>()
        .patch_status("a", &PatchParams::default(), &forged)
        .await?;
    // Another key makes a generation of its own, whose outcome is waited for.
    stage.apply("a", &spec("a", "another")).await?;
    stage.wait_for_reason("a", "OutputNotOwned").await?;
    controller.stop().await?;
    // Nor does one that finds it there when it starts.
    let controller = stage.controller(&[]).await?;
    stage.apply("a", &spec("a", "k")).await?;
    stage.wait_for_reason("a", "OutputNotOwned").await?;
    controller.stop().await?;
    let now = stage.secret("shared").await?.context("it is there")?;
    assert_eq!((now.data, now.metadata.uid), (foreign.data, foreign.metadata.uid));
    Ok(())
}
