//! Coming from the Secrets Store CSI driver: the page, and the example's README.

use std::collections::{BTreeMap, BTreeSet};

use akv2k8s_testbed::helm::objects;
use akv2k8s_testbed::stage::PATIENCE;
use akv2k8s_testbed::wait::until;
use anyhow::{Context, ensure};
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use serde_json::{Value, json};

use super::migration::{Bed, Data, SHOP, data, example, list, object, text};
use super::reader::Reader;

const CLASS: &str = "csi/secret-provider-class.yaml";
/// Those with an output.
const AKVS: [&str; 3] = ["web-db-username", "web-db-password", "web-tls"];
const SECRETS: [&str; 2] = ["web-db", "web-tls"];

/// The application as it was, and the Secrets that the driver made for its pods: owned by what owns the pods.
async fn play_driver(bed: &Bed) -> anyhow::Result<Vec<Secret>> {
    for file in ["secret-provider-class.yaml", "app-before.yaml"] {
        bed.run(&format!(
            "kubectl apply --namespace {SHOP} -f examples/migration/csi/{file}"
        ))
        .await?;
    }
    let owner = bed.owner("replicaset --selector app=web").await?;
    let class = object(CLASS)?;
    let mut written = Vec::new();
    for asked in list(&class["spec"]["secretObjects"]) {
        let mut labels = asked["labels"].as_object().cloned().unwrap_or_default();
        labels.insert("secrets-store.csi.k8s.io/managed".to_owned(), json!("true"));
        let values: BTreeMap<_, _> = list(&asked["data"])
            .map(|it| (text(&it["key"]), format!("the driver's {}", text(&it["objectName"]))))
            .collect();
        let secret = json!({
            "metadata": {"name": asked["secretName"], "labels": labels, "ownerReferences": [owner]},
            "type": asked["type"], "stringData": values,
        });
        written.push(bed.write_as("secrets-store-csi-driver", secret).await?);
    }
    Ok(written)
}

/// Each Secret that the class asked the driver for is there under its name with `suffix`, with type, keys, values and labels.
async fn has_what_the_class_asked_for(bed: &Bed, suffix: &str) -> anyhow::Result<BTreeMap<String, Data>> {
    let class = object(CLASS)?;
    let mut written = BTreeMap::new();
    for asked in list(&class["spec"]["secretObjects"]) {
        let name = format!("{}{suffix}", text(&asked["secretName"]));
        let secret = bed.secret(&name).await?;
        ensure!(
            secret.type_.as_deref() == asked["type"].as_str(),
            "{name}: {:?}",
            secret.type_
        );
        for (label, value) in asked["labels"].as_object().into_iter().flatten() {
            let found = secret.labels().get(label);
            ensure!(found.is_some_and(|it| it == value), "{name}: {label}: {found:?}");
        }
        let found = data(&secret)?;
        let keys: BTreeSet<_> = list(&asked["data"]).map(|it| text(&it["key"])).collect();
        ensure!(found.keys().map(String::as_str).eq(keys), "{name}: {:?}", found.keys());
        for entry in list(&asked["data"]) {
            let (key, object) = (text(&entry["key"]), text(&entry["objectName"]));
            let is_right = match key {
                "tls.crt" => found[key].starts_with("-----BEGIN CERTIFICATE-----"),
                "tls.key" => found[key].contains("PRIVATE KEY-----"),
                key => found[key] == bed.value(object)?,
            };
            ensure!(is_right, "{name}: {key}");
        }
        written.insert(name, found);
    }
    ensure!(written.len() == SECRETS.len(), "{:?}", written.keys());
    Ok(written)
}

#[tokio::test(flavor = "multi_thread")]
async fn new_secrets_beside_the_drivers_outlive_these_and_go_with_their_objects() -> anyhow::Result<()> {
    let bed = Bed::start().await?;
    std::fs::write(bed.shell.folder().join("secret-provider-class.yaml"), example(CLASS)?)?;
    let drivers = play_driver(&bed).await?;

    let mut page = Reader::of("docs/coming-from-csi.md", &bed.shell);
    // A file in the volume has no equivalent.
    page.ends_with("kubectl akv2k8s convert", 2).await?;
    page.runs("sed --in-place").await?;
    let plan = page.ends_with("kubectl akv2k8s plan", 2).await?;
    ensure!(
        SECRETS
            .iter()
            .all(|it| plan.contains(&format!("create Secret {it}-akvs"))),
        "{plan}"
    );
    page.runs("kubectl apply").await?;
    page.runs("kubectl wait").await?;
    has_what_the_class_asked_for(&bed, "-akvs").await?;
    for secret in &drivers {
        bed.is_untouched(secret).await?;
    }

    page.runs("kubectl delete secretproviderclass").await?;
    page.runs("kubectl delete secret ").await?;
    for name in SECRETS {
        bed.is_gone(name).await?;
    }
    has_what_the_class_asked_for(&bed, "-akvs").await?;
    page.runs("kubectl delete -f akvs.yaml").await?;
    for name in SECRETS {
        bed.is_gone(&format!("{name}-akvs")).await?;
    }
    page.ends()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_takes_the_drivers_secrets_over_and_they_outlive_their_replica_set() -> anyhow::Result<()> {
    let bed = Bed::start().await?;
    let drivers = play_driver(&bed).await?;

    let mut page = Reader::of("examples/migration/csi/README.md", &bed.shell);
    page.ends_with("kubectl akv2k8s convert", 2).await?;
    let plan = page.ends_with("kubectl akv2k8s plan", 1).await?;
    ensure!(plan.matches("OutputNotOwned").count() >= AKVS.len(), "{plan}");
    page.runs("kubectl apply").await?;
    bed.become_all(&AKVS, "OutputNotOwned").await?;
    for secret in &drivers {
        bed.is_untouched(secret).await?;
    }
    page.runs("kubectl apply").await?;
    page.runs("kubectl annotate").await?;
    page.ends()?;
    bed.become_all(&AKVS, "Synced").await?;
    let written = has_what_the_class_asked_for(&bed, "").await?;
    the_new_pods_find(&written)?;

    let [driver] = drivers[0].owner_references() else {
        anyhow::bail!("{:?}", drivers[0].metadata);
    };
    bed.run(&format!("kubectl delete replicaset {} --namespace {SHOP}", driver.name))
        .await?;
    for before in &drivers {
        let now = until("its owner to be forgotten", PATIENCE, async || {
            let secret = bed.secret(&before.name_any()).await.ok()?;
            let is_left = secret.owner_references().iter().any(|it| it.uid == driver.uid);
            (!is_left).then_some(secret)
        });
        ensure!(now.await?.uid() == before.uid(), "it is another one");
    }
    has_what_the_class_asked_for(&bed, "").await.map(drop)
}

/// The new pods name no Secret, key or AzureKeyVaultSecret that is not there, and no volume of the driver.
fn the_new_pods_find(secrets: &BTreeMap<String, Data>) -> anyhow::Result<()> {
    let akvs = objects(&example("csi/akvs.yaml")?)?;
    let app = object("csi/app.yaml")?;
    let pod = &app["spec"]["template"]["spec"];
    ensure!(
        list(&pod["volumes"]).all(|it| it["csi"].is_null() && secrets.contains_key(text(&it["secret"]["secretName"])))
    );
    let without_output = |name: &str| {
        akvs.iter()
            .any(|it| it["metadata"]["name"] == name && it["spec"]["output"].is_null())
    };
    let mut references = 0;
    for variable in list(&pod["containers"][0]["env"]) {
        if let Some(name) = text(&variable["value"]).strip_suffix("@azurekeyvault") {
            references += 1;
            ensure!(without_output(name), "{name}");
        } else {
            let from: &Value = &variable["valueFrom"]["secretKeyRef"];
            let secret = secrets.get(text(&from["name"])).with_context(|| variable.to_string())?;
            ensure!(secret.contains_key(text(&from["key"])), "{variable}");
        }
    }
    ensure!(references == 1);
    Ok(())
}
