//! `doctor akvs`: what the controller said, and whether there is a controller.

use akv2k8s_testbed::controlplane::ControlPlane;
use akv2k8s_testbed::emulator::SecretOptions;
use akv2k8s_testbed::stage::Stage;
use serde_json::Value;

use crate::bed::Bed;

const DB: &str = "{vault: {name: kv1, object: {name: db, type: secret}}, output: {secret: {name: db, dataKey: v}}}";

/// The program's arguments, in the stage's namespace.
fn arguments<'a>(bed: &'a Bed, object: &'a str) -> [&'a str; 7] {
    [
        "doctor",
        "akvs",
        object,
        "--controller-namespace",
        bed.ns(),
        "--context",
        "testbed",
    ]
}

async fn report(bed: &Bed, object: &str) -> anyhow::Result<Value> {
    bed.json(&arguments(bed, object)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_is_followed_from_no_controller_over_a_missing_secret_to_synced() -> anyhow::Result<()> {
    let stage = Stage::new("doctor-akvs").await?;
    let bed = Bed::in_namespace(ControlPlane::shared().await?, stage.namespace.name())?;
    let vault = stage.vault("kv1");
    stage.apply("db", DB).await?;
    let before = report(&bed, "db").await?;
    assert_eq!(before["next"]["code"], "ControllerNotRunning", "{before:#}");
    let for_the_injector = "{vault: {name: kv1, object: {name: db, type: secret}}}";
    stage.apply("bare", for_the_injector).await?;
    let bare = report(&bed, "bare").await?;
    assert_eq!(bare["healthy"], true, "nobody has to work on it: {bare:#}");

    let controller = stage.controller(&[]).await?;
    stage.wait_for_reason("db", "ObjectNotFound").await?;
    let missing = report(&bed, "db").await?;
    assert_eq!(missing["next"]["code"], "ObjectNotFound", "{missing:#}");
    assert!(
        missing["next"]["what"]
            .as_str()
            .is_some_and(|what| what.contains("'db'")),
        "{missing:#}"
    );

    vault.set_secret("db", "canary-value", SecretOptions::default())?;
    stage.wait_for_reason("db", "Synced").await?;
    let synced = report(&bed, "db").await?;
    assert_eq!(synced["healthy"], true, "{synced:#}");
    assert!(!synced.to_string().contains("canary"), "{synced:#}");
    controller.stop().await?;
    // It gave its Lease back.
    let stopped = report(&bed, "db").await?;
    assert_eq!(stopped["next"]["code"], "ControllerNotRunning", "{stopped:#}");
    let yaml = bed.run(&[&arguments(&bed, "db")[..], &["-o", "yaml"]].concat()).await?;
    assert!(!yaml.text.starts_with('{'), "it is no JSON: {yaml:?}");
    assert_eq!(serde_yaml::from_str::<Value>(&yaml.text)?, stopped);
    Ok(())
}
