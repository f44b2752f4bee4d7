//! From the vault into the cluster, and following it.

use akv2k8s_shared::api::{AzureKeyVaultSecret, condition};
use akv2k8s_testbed::emulator::SecretOptions;
use akv2k8s_testbed::stage::{PATIENCE, Stage};
use akv2k8s_testbed::wait::until;
use anyhow::Context;
use k8s_openapi::api::core::v1::{ConfigMap, Event, Secret};
use kube::api::{Api, DeleteParams, ListParams, PropagationPolicy};

const DB: &str =
    "{vault: {name: kv1, object: {name: db, type: secret}}, output: {secret: {name: db, dataKey: password}}}";

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_appears_follows_the_vault_and_says_so() -> anyhow::Result<()> {
    let stage = Stage::new("sync").await?;
    let vault = stage.vault("kv1");
    let first = vault.set_secret("db", "one", SecretOptions::default())?;
    let controller = stage.controller(&[]).await?;
    stage.apply("db", DB).await?;
    stage.wait_for_key("db", "password", "one").await?;
    let akvs = stage.wait_for_reason("db", "Synced").await?;
    let status = akvs.status.clone().context("status")?;
    assert_eq!(status.object_version.as_deref(), Some(first.as_str()));
    assert_eq!(status.secret_name.as_deref(), Some("db"));
    assert_eq!(status.observed_generation, akvs.metadata.generation);
    assert_eq!(status.identity.context("identity")?.method, "clientSecret");
    assert_eq!(status.outputs.len(), 1);
    assert_eq!(status.outputs[0].keys, ["password"]);
    assert!(condition::get(&status.conditions, condition::STALLED).is_none());
    let owner = stage
        .secret("db")
        .await?
        .context("Secret")?
        .metadata
        .owner_references
        .context("owners")?
        .remove(0);
    assert_eq!(
        (owner.kind.as_str(), owner.name.as_str(), owner.controller),
        ("AzureKeyVaultSecret", "db", Some(false))
    );

    let second = vault.set_secret("db", "two", SecretOptions::default())?;
    stage.wait_for_key("db", "password", "two").await?;
    until("status to name the new version", PATIENCE, async || {
        let status = stage.akvs("db").await.ok()?.status?;
        (status.object_version.as_deref() == Some(second.as_str())).then_some(())
    })
    .await?;
    controller.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_output_type_a_secret_can_become() -> anyhow::Result<()> {
    let stage = Stage::new("types").await?;
    let vault = stage.vault("kv1");
    let set = |name: &str, value: &str| vault.set_secret(name, value, SecretOptions::default());
    set("plain", "  c2VjcmV0  ")?;
    set("login", "user:pass:word")?;
    set("docker", r#"{"auths":{"r.example":{"auth":"dTpw"}}}"#)?;
    set("many", r#"{"a":"1","b":"2"}"#)?;
    let controller = stage.controller(&[]).await?;
    let spec = |object: &str, kind: &str, output: &str| {
        format!("{{vault: {{name: kv1, object: {{name: {object}, {kind}}}}}, output: {output}}}")
    };
    let apply = async |name, object, kind, output| stage.apply(name, &spec(object, kind, output)).await;
    apply(
        "raw",
        "plain",
        "type: secret",
        "{transform: [trim, base64decode], secret: {name: raw, dataKey: v}}",
    )
    .await?;
    apply(
        "login",
        "login",
        "type: secret",
        "{secret: {name: login, type: kubernetes.io/basic-auth}}",
    )
    .await?;
    apply(
        "pull",
        "docker",
        "type: secret",
        "{secret: {name: pull, type: kubernetes.io/dockerconfigjson}}",
    )
    .await?;
    apply(
        "ssh",
        "plain",
        "type: secret",
        "{secret: {name: ssh, type: kubernetes.io/ssh-auth}}",
    )
    .await?;
    let multi = "type: multi-key-value-secret, contentType: application/x-json";
    apply("multi", "many", multi, "{secret: {name: multi}}").await?;
    apply(
        "map",
        "plain",
        "type: secret",
        "{transform: [trim], configMap: {name: map, dataKey: v}}",
    )
    .await?;
    apply(
        "both",
        "login",
        "type: secret",
        "{secret: {name: both, dataKey: s}, configMap: {name: both, dataKey: c}}",
    )
    .await?;

    stage.wait_for_key("raw", "v", "secret").await?;
    stage.wait_for_key("login", "password", "pass:word").await?;
    stage
        .wait_for_key(
            "pull",
            ".dockerconfigjson",
            r#"{"auths":{"r.example":{"auth":"dTpw"}}}"#,
        )
        .await?;
    stage.wait_for_key("ssh", "ssh-privatekey", "  c2VjcmV0  ").await?;
    stage.wait_for_key("multi", "b", "2").await?;
    stage.wait_for_key("both", "s", "user:pass:word").await?;
    for name in ["raw", "login", "pull", "ssh", "multi", "map", "both"] {
        stage.wait_for_reason(name, "Synced").await?;
    }
    assert_eq!(stage.config_map_key("map", "v").await.as_deref(), Some("c2VjcmV0"));
    assert_eq!(
        stage.config_map_key("both", "c").await.as_deref(),
        Some("user:pass:word")
    );
    assert_eq!(
        stage.secret("pull").await?.context("Secret")?.type_.as_deref(),
        Some("kubernetes.io/dockerconfigjson")
    );
    controller.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_renames_the_output_and_drops_the_old_one() -> anyhow::Result<()> {
    let stage = Stage::new("edit").await?;
    stage.vault("kv1").set_secret("db", "one", SecretOptions::default())?;
    let controller = stage.controller(&[]).await?;
    stage.apply("db", DB).await?;
    stage.wait_for_key("db", "password", "one").await?;
    stage
        .apply(
            "db",
            &DB.replace("{name: db, dataKey: password}", "{name: other, dataKey: pw}"),
        )
        .await?;
    stage.wait_for_key("other", "pw", "one").await?;
    stage.wait_until_gone("db").await?;
    let akvs = stage.wait_for_reason("db", "Synced").await?;
    assert_eq!(akvs.status.context("status")?.secret_name.as_deref(), Some("other"));
    controller.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn without_output_any_more_the_secret_goes() -> anyhow::Result<()> {
    let stage = Stage::new("withdraw").await?;
    stage.vault("kv1").set_secret("db", "one", SecretOptions::default())?;
    let controller = stage.controller(&[]).await?;
    stage.apply("db", DB).await?;
    stage.wait_for_key("db", "password", "one").await?;
    stage.wait_for_reason("db", "Synced").await?;
    stage
        .apply("db", "{vault: {name: kv1, object: {name: db, type: secret}}}")
        .await?;
    stage.wait_until_gone("db").await?;
    let akvs = stage.wait_for_reason("db", "NoOutput").await?;
    assert!(akvs.status.context("status")?.outputs.is_empty());
    controller.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn deletion_needs_no_vault() -> anyhow::Result<()> {
    let stage = Stage::new("delete").await?;
    let vault = stage.vault("kv1");
    vault.set_secret("db", "one", SecretOptions::default())?;
    let shared = |key: &str| {
        DB.replace(
            "{name: db, dataKey: password}",
            &format!("{{name: shared, dataKey: {key}}}"),
        )
    };
    let controller = stage.controller(&[]).await?;
    stage.apply("alone", DB).await?;
    stage.apply("a", &shared("a")).await?;
    stage.apply("b", &shared("b")).await?;
    for name in ["alone", "a", "b"] {
        stage.wait_for_reason(name, "Synced").await?;
    }
    vault.revoke(stage.app.principal());
    let api = stage.api::<AzureKeyVaultSecret>();
    let background = DeleteParams {
        propagation_policy: Some(PropagationPolicy::Background),
        ..DeleteParams::default()
    };
    api.delete("alone", &background).await?;
    api.delete("a", &background).await?;
    stage.wait_until_gone("db").await?;
    until("key a to leave the shared Secret", PATIENCE, async || {
        let data = stage.secret("shared").await.ok()??.data?;
        (!data.contains_key("a") && data.contains_key("b")).then_some(())
    })
    .await?;
    controller.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_shared_outputs_only_the_keys_of_the_deleted_object_go() -> anyhow::Result<()> {
    let stage = Stage::new("delete-both").await?;
    stage.vault("kv1").set_secret("db", "one", SecretOptions::default())?;
    let both = |key: &str| {
        format!(
            "{{vault: {{name: kv1, object: {{name: db, type: secret}}}}, output: {{\
             secret: {{name: both, dataKey: {key}}}, configMap: {{name: both, dataKey: {key}}}}}}}"
        )
    };
    let controller = stage.controller(&[]).await?;
    for name in ["a", "b"] {
        stage.apply(name, &both(name)).await?;
        stage.wait_for_reason(name, "Synced").await?;
    }
    let api = stage.api::<AzureKeyVaultSecret>();
    api.delete("a", &DeleteParams::default()).await?;
    let maps = stage.api::<ConfigMap>();
    until("key a to leave both outputs", PATIENCE, async || {
        let secret = stage.secret("both").await.ok()??.data?;
        let map = maps.get("both").await.ok()?.data?;
        let is_left = |has: &dyn Fn(&str) -> bool| !has("a") && has("b");
        (is_left(&|key| secret.contains_key(key)) && is_left(&|key| map.contains_key(key))).then_some(())
    })
    .await?;
    controller.stop().await
}

/// Reasons and messages of the events on objects of a kind.
async fn events(stage: &Stage, kind: &str) -> anyhow::Result<Vec<(String, String)>> {
    let events: Api<Event> = stage.api();
    let list = events.list(&ListParams::default()).await?;
    let ours = list
        .items
        .into_iter()
        .filter(|it| it.involved_object.kind.as_deref() == Some(kind));
    Ok(ours.filter_map(|it| Some((it.reason?, it.message?))).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_upstreams_and_come_once() -> anyhow::Result<()> {
    let stage = Stage::new("events").await?;
    let vault = stage.vault("kv1");
    vault.set_secret("db", "one", SecretOptions::default())?;
    let controller = stage.controller(&[]).await?;
    stage.apply("db", DB).await?;
    stage.wait_for_reason("db", "Synced").await?;
    vault.set_secret("db", "two", SecretOptions::default())?;
    stage.wait_for_key("db", "password", "two").await?;
    let of = async |kind: &str| events(&stage, kind).await;
    let synced = "AzureKeyVaultSecret synced to Kubernetes Secret successfully";
    let changed = format!("{synced} with change from Azure Key Vault");
    until("the event of the change", PATIENCE, async || {
        (!of("AzureKeyVaultSecret").await.ok()?.is_empty()).then_some(())
    })
    .await?;
    assert_eq!(of("Secret").await?, [("Synced".to_owned(), synced.to_owned())]);
    assert_eq!(of("AzureKeyVaultSecret").await?, [("Synced".to_owned(), changed)]);
    controller.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repair_is_told_on_the_secret_and_is_no_change_in_the_vault() -> anyhow::Result<()> {
    let stage = Stage::new("repair").await?;
    stage.vault("kv1").set_secret("db", "one", SecretOptions::default())?;
    let controller = stage.controller(&[]).await?;
    stage.apply("db", DB).await?;
    until("the first event", PATIENCE, async || {
        (events(&stage, "Secret").await.ok()?.len() == 1).then_some(())
    })
    .await?;
    stage.api::<Secret>().delete("db", &DeleteParams::default()).await?;
    until("the event of the repair", PATIENCE, async || {
        (events(&stage, "Secret").await.ok()?.len() == 2).then_some(())
    })
    .await?;
    assert_eq!(events(&stage, "AzureKeyVaultSecret").await?, []);
    controller.stop().await
}
