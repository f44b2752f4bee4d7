//! The examples of migration: what `convert` makes of other projects' manifests, and what the controller makes of that.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use akv2k8s_testbed::demo::seed;
use akv2k8s_testbed::emulator::VaultHandle;
use akv2k8s_testbed::helm::objects;
use akv2k8s_testbed::stage::Stage;
use anyhow::{Context, ensure};
use serde_json::{Value, json};

use crate::bed::{Said, program};

/// The vault that the examples name.
const VAULT: &str = "akv2k8s-demo";

fn example(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../examples/migration")
        .join(file)
}

fn read(file: &str) -> anyhow::Result<String> {
    std::fs::read_to_string(example(file)).with_context(|| file.to_owned())
}

fn document(file: &str) -> anyhow::Result<Value> {
    objects(&read(file)?)?.pop().context("a document")
}

async fn convert(file: &str) -> anyhow::Result<Said> {
    let file = example(file).display().to_string();
    program(&["convert", "-f", &file], Path::new("/does/not/exist")).await
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// A namespace with a full vault, and the AKVS of this file.
async fn applied(prefix: &str, file: &str) -> anyhow::Result<(Stage, VaultHandle)> {
    let stage = Stage::new(prefix).await?;
    let vault = stage.vault(VAULT);
    seed::fill(&vault)?;
    apply(&stage, &read(file)?).await?;
    Ok((stage, vault))
}

async fn apply(stage: &Stage, manifests: &str) -> anyhow::Result<()> {
    let line = ["--namespace", stage.namespace.name(), "apply", "-f", "-"];
    stage.cluster.kubectl_with_input(&line, manifests).await?.success()?;
    Ok(())
}

/// The data of a Secret as text.
async fn data(stage: &Stage, name: &str) -> anyhow::Result<BTreeMap<String, String>> {
    let secret = stage
        .secret(name)
        .await?
        .with_context(|| format!("there is no Secret {name}"))?;
    let data = secret.data.unwrap_or_default().into_iter();
    data.map(|(key, value)| Ok((key, String::from_utf8(value.0)?)))
        .collect()
}

#[tokio::test]
async fn the_examples_are_what_convert_prints_to_the_byte_and_what_is_lost_is_said() -> anyhow::Result<()> {
    let csi = convert("csi/secret-provider-class.yaml").await?;
    ensure!(csi.out == read("csi/akvs.yaml")?, "{}", csi.out);
    let lost = "✗ SecretProviderClass web: my-setting: a file in a volume has no equivalent; its AKVS serves the env injector: \
                web-my-setting@azurekeyvault";
    ensure!(
        csi.code == Some(2) && csi.err.lines().any(|line| line == lost),
        "{csi:?}"
    );

    let external = convert("external-secrets/external-secret.yaml").await?;
    ensure!(external.out == read("external-secrets/akvs.yaml")?, "{}", external.out);
    ensure!(external.code == Some(0) && !external.err.contains('✗'), "{external:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_controller_writes_the_secrets_that_the_class_asked_the_driver_for_and_the_pod_finds_them()
-> anyhow::Result<()> {
    let (stage, vault) = applied("from-csi", "csi/akvs.yaml").await?;
    let controller = stage.controller(&[]).await?;
    let akvs = objects(&read("csi/akvs.yaml")?)?;
    stage
        .wait_for_synced(akvs.iter().filter(|it| it["spec"]["output"].is_object()).count())
        .await?;
    let class = document("csi/secret-provider-class.yaml")?;
    let mut written = BTreeMap::new();
    for asked in list(&class["spec"]["secretObjects"]) {
        let name = text(&asked["secretName"]);
        let secret = stage.secret(name).await?.context("it was written")?;
        ensure!(
            secret.type_.as_deref() == asked["type"].as_str(),
            "{name}: {:?}",
            secret.type_
        );
        let found = data(&stage, name).await?;
        let keys: BTreeSet<_> = list(&asked["data"]).map(|it| text(&it["key"])).collect();
        ensure!(found.keys().map(String::as_str).eq(keys), "{name}: {:?}", found.keys());
        for entry in list(&asked["data"]) {
            let (key, object) = (text(&entry["key"]), text(&entry["objectName"]));
            match key {
                "tls.crt" => ensure!(found[key].starts_with("-----BEGIN CERTIFICATE-----"), "{key}"),
                "tls.key" => ensure!(found[key].contains("PRIVATE KEY-----"), "{key}"),
                key => ensure!(
                    Some(&found[key]) == vault.secret_value(object).as_ref(),
                    "{name}: {key}"
                ),
            }
        }
        written.insert(name.to_owned(), found);
    }
    ensure!(written.len() == 2);
    let labels = stage
        .secret("web-db")
        .await?
        .and_then(|it| it.metadata.labels)
        .unwrap_or_default();
    ensure!(labels.get("app").is_some_and(|app| app == "web"), "{labels:?}");

    // The new pod names no Secret, key or AKVS that is not there, and no volume of the driver.
    apply(&stage, &read("csi/app.yaml")?).await?;
    let app = document("csi/app.yaml")?;
    let pod = &app["spec"]["template"]["spec"];
    ensure!(
        list(&pod["volumes"]).all(|it| it["csi"].is_null() && written.contains_key(text(&it["secret"]["secretName"])))
    );
    let mut references = 0;
    for variable in list(&pod["containers"][0]["env"]) {
        let from = &variable["valueFrom"]["secretKeyRef"];
        match variable["value"]
            .as_str()
            .and_then(|it| it.strip_suffix("@azurekeyvault"))
        {
            Some(name) => {
                references += 1;
                ensure!(
                    akvs.iter()
                        .any(|it| it["metadata"]["name"] == name && it["spec"]["output"].is_null()),
                    "{name}"
                );
            }
            None => ensure!(
                written[text(&from["name"])].contains_key(text(&from["key"])),
                "{variable}"
            ),
        }
    }
    ensure!(references == 1);
    controller.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_controller_writes_the_secret_that_the_external_secret_asked_for_also_in_the_place_of_the_old_one()
-> anyhow::Result<()> {
    let (stage, vault) = applied("from-external-secrets", "external-secrets/akvs.yaml").await?;
    let value = |object: &str| vault.secret_value(object).context("it is in the vault");
    // What External Secrets leaves behind when its object goes and the Secret stays. A JWK is JSON, whose fields have no order.
    let left = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "shop-settings", "labels": {"reconcile.external-secrets.io/managed": "true"}},
        "stringData": {"DB_USER": value("my-database-user")?, "DB_PASSWORD": value("my-database-password")?, "user": "demo", "password": "demo-password"},
    });
    apply(&stage, &left.to_string()).await?;
    let before = stage.secret("shop-settings").await?.context("it is there")?;
    let controller = stage.controller(&[]).await?;
    let akvs = objects(&read("external-secrets/akvs.yaml")?)?;
    for it in &akvs {
        stage
            .wait_for_reason(text(&it["metadata"]["name"]), "OutputNotOwned")
            .await?;
    }
    let file = example("external-secrets/akvs.yaml").display().to_string();
    let annotate = [
        "--namespace",
        stage.namespace.name(),
        "annotate",
        "-f",
        &file,
        "akv2k8s.spv.no/adopt=true",
    ];
    stage.cluster.kubectl(&annotate).await?.success()?;
    stage.wait_for_synced(akvs.len()).await?;

    let external = document("external-secrets/external-secret.yaml")?;
    let found = data(&stage, "shop-settings").await?;
    for entry in list(&external["spec"]["data"]) {
        let (key, remote) = (text(&entry["secretKey"]), text(&entry["remoteRef"]["key"]));
        match remote.strip_prefix("key/") {
            Some(_) => {
                let jwk: Value = serde_json::from_str(&found[key])?;
                ensure!(
                    jwk["kty"] == "RSA" && jwk["n"].is_string() && jwk["d"].is_null(),
                    "{key}: {jwk}"
                );
            }
            None => ensure!(found[key] == value(remote.trim_start_matches("secret/"))?, "{key}"),
        }
    }
    let extracted: Value = serde_json::from_str(&value("my-multi-key-json")?)?;
    let pairs = extracted.as_object().context("an object")?;
    for (key, value) in pairs {
        ensure!(found[key] == text(value), "{key}");
    }
    ensure!(
        found.len() == list(&external["spec"]["data"]).count() + pairs.len(),
        "{:?}",
        found.keys()
    );
    let after = stage.secret("shop-settings").await?.context("it is there")?;
    ensure!(
        after.metadata.uid == before.metadata.uid,
        "it is the same Secret, so nobody who uses it lost it"
    );
    controller.stop().await
}
