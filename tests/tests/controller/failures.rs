//! What goes wrong is explained in conditions and events, and leaves the Secret as it was.

use akv2k8s_shared::api::{AzureKeyVaultSecret, condition};
use akv2k8s_testbed::controlplane::ControlPlane;
use akv2k8s_testbed::crd;
use akv2k8s_testbed::emulator::{Fault, FaultKind, Kind, Operation, SecretOptions};
use akv2k8s_testbed::stage::{Cluster, PATIENCE, Stage};
use akv2k8s_testbed::wait::until;
use anyhow::Context;
use k8s_openapi::api::core::v1::Event;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Api;
use kube::api::{ApiResource, DynamicObject, ListParams, PostParams};
use serde_json::json;

const DB: &str = "{vault: {name: kv1, object: {name: db, type: secret}}, output: {secret: {name: db, dataKey: v}}}";

fn condition_of<'a>(akvs: &'a AzureKeyVaultSecret, type_: &str) -> Option<&'a akv2k8s_shared::api::Condition> {
    condition::get(&akvs.status.as_ref()?.conditions, type_)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_is_missing_is_told_and_synced_once_it_is_there() -> anyhow::Result<()> {
    let stage = Stage::new("missing").await?;
    let vault = stage.vault("kv1");
    vault.set_secret("other", "x", SecretOptions::default())?;
    let controller = stage.controller(&[]).await?;
    stage.apply("db", DB).await?;
    let akvs = stage.wait_for_reason("db", "ObjectNotFound").await?;
    assert_eq!(
        condition_of(&akvs, condition::STALLED).context("Stalled")?.status,
        "True"
    );
    assert!(
        condition_of(&akvs, condition::READY)
            .context("Ready")?
            .message
            .contains("Fix:")
    );
    vault.set_secret("db", "one", SecretOptions::default())?;
    stage.wait_for_key("db", "v", "one").await?;
    stage.wait_for_reason("db", "Synced").await?;
    controller.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disabled_object_leaves_the_secret_as_it_was() -> anyhow::Result<()> {
    let stage = Stage::new("disabled").await?;
    let vault = stage.vault("kv1");
    vault.set_secret("db", "one", SecretOptions::default())?;
    let controller = stage.controller(&[]).await?;
    stage.apply("db", DB).await?;
    stage.wait_for_reason("db", "Synced").await?;
    vault.disable(Kind::Secret, "db")?;
    stage.wait_for_reason("db", "ObjectDisabled").await?;
    assert_eq!(stage.key("db", "v").await.as_deref(), Some("one"));
    controller.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vault_that_refuses_is_told_with_the_command_that_helps() -> anyhow::Result<()> {
    let stage = Stage::new("forbidden").await?;
    stage
        .emulator
        .vault("kv1")
        .set_secret("db", "one", SecretOptions::default())?;
    let controller = stage.controller(&[]).await?;
    stage.apply("db", DB).await?;
    let akvs = stage.wait_for_reason("db", "ForbiddenByRbac").await?;
    let message = &condition_of(&akvs, condition::READY).context("Ready")?.message;
    assert!(message.contains("az role assignment create"), "{message}");
    controller.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_vault_recovers_by_itself_and_is_told_once() -> anyhow::Result<()> {
    let stage = Stage::new("flaky").await?;
    stage.vault("kv1").set_secret("db", "one", SecretOptions::default())?;
    let fault = FaultKind::status(503, "ServiceUnavailable", "later");
    let id = stage
        .emulator
        .faults()
        .add(Fault::vault("kv1", fault).on(&[Operation::SECRET_GET]));
    let controller = stage.controller(&["--azure-resync-period=3600"]).await?;
    stage.apply("db", DB).await?;
    let failed = stage.wait_for_reason("db", "VaultUnavailable").await?;
    assert_eq!(
        condition_of(&failed, condition::RECONCILING)
            .context("Reconciling")?
            .status,
        "True"
    );
    let seen = stage.emulator.journal().counts().of(Operation::SECRET_GET);
    stage
        .emulator
        .journal()
        .wait_for(PATIENCE, |counts| counts.of(Operation::SECRET_GET) > seen + 3)
        .await
        .context("retries")?;
    assert_eq!(
        stage.akvs("db").await?.metadata.resource_version,
        failed.metadata.resource_version
    );
    stage.emulator.faults().lift(id);
    stage.wait_for_reason("db", "Synced").await?;
    controller.stop().await
}

/// The CRD as it never was: everything may be stored.
fn without_schema() -> anyhow::Result<CustomResourceDefinition> {
    let anything = json!({"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}});
    let mut crd = akv2k8s_shared::api::crd();
    for version in &mut crd.spec.versions {
        version.schema = Some(serde_json::from_value(anything.clone())?);
    }
    Ok(crd)
}

/// Plays with an object that is not what its type says. With the schema `back` in force, its status cannot be written.
async fn malformed(prefix: &str, back: bool) -> anyhow::Result<()> {
    let cluster = ControlPlane::start().await?;
    crd::install_definition(&cluster.client()?, &without_schema()?).await?;
    let stage = Stage::on(Cluster::Own(Box::new(cluster)), prefix).await?;
    stage.vault("kv1").set_secret("db", "one", SecretOptions::default())?;
    let object = json!({
        "apiVersion": "spv.no/v2beta1", "kind": "AzureKeyVaultSecret", "metadata": {"name": "bad"},
        "spec": {"vault": {"name": "kv1", "object": {"name": 7, "type": ["secret"]}}},
    });
    let bad = serde_json::from_value::<DynamicObject>(object)?;
    let resource = ApiResource::erase::<AzureKeyVaultSecret>(&());
    let api = Api::<DynamicObject>::namespaced_with(stage.cluster.client()?, stage.namespace.name(), &resource);
    api.create(&PostParams::default(), &bad).await?;
    if back {
        crd::install(&stage.cluster.client()?).await?;
    }
    stage.apply("good", DB).await?;

    let controller = stage.controller(&[]).await?;
    stage.wait_for_reason("good", "Synced").await?;
    let told = event_about(&stage, "bad").await?;
    assert_eq!(told.reason.as_deref(), Some("InvalidSpec"));
    assert!(told.message.context("message")?.contains("Fix:"));
    if !back {
        until("its status to say so", PATIENCE, async || {
            let object = api.get("bad").await.ok()?;
            (object.data["status"]["conditions"][0]["reason"] == "InvalidSpec").then_some(())
        })
        .await?;
    }
    let stored = api.get("bad").await?.metadata.resource_version;
    controller.stop().await?;

    // After a restart it is known. Events are written in order: none about it comes after that of a later object.
    let controller = stage.controller(&[]).await?;
    controller.wait_until_ready().await?;
    let later = DB.replace("{name: db, dataKey: v}", "{name: later, dataKey: v}");
    stage.apply("later", &later).await?;
    event_about(&stage, "later").await?;
    assert_eq!(api.get("bad").await?.metadata.resource_version, stored);
    let events = stage.api::<Event>().list(&ListParams::default()).await?.items;
    let about_it = |it: &&Event| it.involved_object.name.as_deref() == Some("bad");
    assert_eq!(events.iter().filter(about_it).count(), 1);
    controller.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_malformed_object_is_told_once_and_does_not_stop_the_others() -> anyhow::Result<()> {
    malformed("malformed", false).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_malformed_object_whose_status_cannot_be_written_is_told_once_by_an_event() -> anyhow::Result<()> {
    malformed("unwritable", true).await
}

/// The first event about an object of this name.
async fn event_about(stage: &Stage, name: &str) -> anyhow::Result<Event> {
    let what = format!("an event about {name}");
    let found = async || {
        let events = stage.api::<Event>().list(&ListParams::default()).await.ok()?;
        let about_it = |it: &Event| it.involved_object.name.as_deref() == Some(name);
        events.items.into_iter().find(about_it)
    };
    Ok(until(&what, PATIENCE, found).await?)
}
