//! Which AKVS a controller cares for.

use akv2k8s_shared::api::AzureKeyVaultSecret;
use akv2k8s_testbed::emulator::SecretOptions;
use akv2k8s_testbed::stage::Stage;
use kube::api::{Patch, PatchParams};
use serde_json::json;

fn spec(name: &str) -> String {
    format!(
        "{{vault: {{name: kv1, object: {{name: db, type: secret}}}}, output: {{secret: {{name: {name}, dataKey: v}}}}}}"
    )
}

async fn label(stage: &Stage, name: &str, value: Option<&str>) -> anyhow::Result<()> {
    let patch = Patch::Merge(json!({"metadata": {"labels": {"sync": value}}}));
    stage
        .api::<AzureKeyVaultSecret>()
        .patch(name, &PatchParams::default(), &patch)
        .await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn object_labels_select_and_losing_the_label_releases_nothing() -> anyhow::Result<()> {
    let mut stage = Stage::new("selector").await?;
    stage.vault("kv1").set_secret("db", "one", SecretOptions::default())?;
    stage.set_variable("OBJECT_LABELS", "sync=yes");
    let controller = stage.controller(&[]).await?;
    stage.apply("unlabelled", &spec("unlabelled")).await?;
    stage.apply("leaving", &spec("leaving")).await?;
    label(&stage, "leaving", Some("yes")).await?;
    stage.wait_for_reason("leaving", "Synced").await?;
    label(&stage, "leaving", None).await?;
    // A later object that is synced proves that the loss of the label was dealt with.
    stage.apply("later", &spec("later")).await?;
    label(&stage, "later", Some("yes")).await?;
    stage.wait_for_reason("later", "Synced").await?;
    assert_eq!(stage.key("leaving", "v").await.as_deref(), Some("one"));
    assert!(stage.secret("unlabelled").await?.is_none());
    assert!(stage.akvs("unlabelled").await?.status.is_none());
    controller.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn in_namespace_mode_other_namespaces_are_left_alone() -> anyhow::Result<()> {
    let stage = Stage::new("here").await?;
    let elsewhere = Stage::new("elsewhere").await?;
    stage.vault("kv1").set_secret("db", "one", SecretOptions::default())?;
    elsewhere.apply("db", &spec("db")).await?;
    let controller = stage.controller(&["--watch-all-namespaces=false"]).await?;
    stage.apply("db", &spec("db")).await?;
    stage.wait_for_reason("db", "Synced").await?;
    assert!(elsewhere.akvs("db").await?.status.is_none());
    controller.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn without_watching_outputs_everything_still_syncs() -> anyhow::Result<()> {
    let stage = Stage::new("blind").await?;
    let vault = stage.vault("kv1");
    vault.set_secret("db", "one", SecretOptions::default())?;
    let controller = stage.controller(&["--watch-outputs=false"]).await?;
    stage.apply("db", &spec("db")).await?;
    stage.wait_for_reason("db", "Synced").await?;
    vault.set_secret("db", "two", SecretOptions::default())?;
    stage.wait_for_key("db", "v", "two").await?;
    controller.stop().await
}
