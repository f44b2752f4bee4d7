//! Coming from External Secrets: the example's README, then the page, in one cluster.

use anyhow::{Context, ensure};
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use serde_json::{Value, json};

use super::migration::{Bed, Data, SHOP, data, example, list, object, text};
use super::reader::Reader;

/// The Secret of the example.
const SECRET: &str = "shop-settings";
const AKVS: [&str; 4] = [
    "shop-db-user",
    "shop-db-password",
    "shop-signing-key-json",
    "shop-my-multi-key-json",
];
/// A key of somebody else in it.
const FURTHER: (&str, &str) = ("of-the-team", "by hand");

/// What the ExternalSecret asks for, but for keys: a JWK is JSON, whose fields have no order.
fn wanted(bed: &Bed) -> anyhow::Result<Data> {
    let spec = object("external-secrets/external-secret.yaml")?["spec"].take();
    let mut wanted = Data::new();
    for entry in list(&spec["data"]) {
        let remote = text(&entry["remoteRef"]["key"]);
        if !remote.starts_with("key/") {
            let value = bed.value(remote.trim_start_matches("secret/"))?;
            wanted.insert(text(&entry["secretKey"]).to_owned(), value);
        }
    }
    for entry in list(&spec["dataFrom"]) {
        let pairs = bed.value(text(&entry["extract"]["key"]))?;
        wanted.extend(serde_json::from_str::<Data>(&pairs)?);
    }
    ensure!(wanted.len() == 4, "{:?}", wanted.keys());
    Ok(wanted)
}

/// Writes the Secret as External Secrets does: owned by its object, with its marks.
async fn play_external_secrets(bed: &Bed) -> anyhow::Result<Secret> {
    let mut owner = bed.owner("externalsecret/shop").await?;
    owner.controller = Some(true);
    owner.block_owner_deletion = Some(true);
    let mut values = wanted(bed)?;
    values.insert("signing-key.json".to_owned(), "{}".to_owned());
    values.insert(FURTHER.0.to_owned(), FURTHER.1.to_owned());
    let secret = json!({
        "metadata": {
            "name": SECRET, "ownerReferences": [owner],
            "labels": {
                "app": "shop", "reconcile.external-secrets.io/managed": "true",
                "reconcile.external-secrets.io/created-by": "0123456789abcdef0123456789abcdef",
            },
            "annotations": {"reconcile.external-secrets.io/data-hash": "fedcba9876543210fedcba9876543210"},
        },
        "type": "Opaque", "stringData": values,
    });
    bed.write_as("externalsecrets.external-secrets.io/shop", secret).await
}

fn holds_what_was_asked_for(secret: &Secret, bed: &Bed) -> anyhow::Result<()> {
    let mut found = data(secret)?;
    let key = found.remove("signing-key.json").context("a key")?;
    let key: Value = serde_json::from_str(&key)?;
    ensure!(
        key["kty"] == "RSA" && key["n"].is_string() && key["d"].is_null(),
        "{key}"
    );
    let mut expected = wanted(bed)?;
    expected.insert(FURTHER.0.to_owned(), FURTHER.1.to_owned());
    ensure!(found == expected, "{:?}", found.keys());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_external_secrets_wrote_is_left_alone_then_taken_over_as_the_same_object() -> anyhow::Result<()> {
    let bed = Bed::start().await?;
    let folder = bed.shell.folder().join("external-secrets");
    std::fs::create_dir(&folder)?;
    std::fs::write(
        folder.join("shop.yaml"),
        example("external-secrets/external-secret.yaml")?,
    )?;
    bed.run(&format!("kubectl apply --namespace {SHOP} -f external-secrets/"))
        .await?;
    let before = play_external_secrets(&bed).await?;

    let mut readme = Reader::of("examples/migration/external-secrets/README.md", &bed.shell);
    readme.runs("kubectl akv2k8s convert").await?;
    let plan = readme.ends_with("kubectl akv2k8s plan", 1).await?;
    ensure!(plan.matches("OutputNotOwned").count() >= AKVS.len(), "{plan}");
    readme.runs("kubectl apply").await?;
    readme.ends()?;
    bed.become_all(&AKVS, "OutputNotOwned").await?;
    bed.is_untouched(&before).await?;

    let mut page = Reader::of("docs/coming-from-external-secrets.md", &bed.shell);
    page.runs("kubectl akv2k8s convert").await?;
    let plan = page.ends_with("kubectl akv2k8s plan", 1).await?;
    ensure!(plan.contains("OutputNotOwned"), "{plan}");
    page.runs("kubectl apply").await?;
    bed.become_all(&AKVS, "OutputNotOwned").await?;

    page.runs("kubectl delete externalsecret").await?;
    let orphan = bed.secret(SECRET).await?;
    ensure!(orphan.owner_references().is_empty(), "{:?}", orphan.metadata);
    page.runs("kubectl annotate").await?;
    page.runs("kubectl wait").await?;
    bed.become_all(&AKVS, "Synced").await?;
    let taken = bed.secret(SECRET).await?;
    holds_what_was_asked_for(&taken, &bed)?;
    ensure!(
        taken.uid() == before.uid(),
        "it is the same Secret, so nobody who uses it lost it"
    );

    converts_back(&bed).await?;
    page.runs("kubectl delete -f akvs.yaml").await?;
    bed.is_gone(SECRET).await?;
    page.ends()
}

/// What `convert` makes of the AzureKeyVaultSecrets, and of those in `examples/sync`, has no field that the definition does not know.
async fn converts_back(bed: &Bed) -> anyhow::Result<()> {
    // 2: not everything of the examples has an equivalent.
    let convert = "kubectl akv2k8s convert -f akvs.yaml -f examples/sync --to external-secret --store azure";
    let converted = bed.shell.run(convert, |code| code == 2).await?;
    std::fs::write(bed.shell.folder().join("back.yaml"), &converted)?;
    let apply = format!("kubectl apply --namespace {SHOP} -f back.yaml");
    let applied = bed.run(&apply).await?;
    ensure!(applied.lines().count() >= 5 && applied.contains(SECRET), "{applied}");
    std::fs::write(
        bed.shell.folder().join("back.yaml"),
        converted.replacen("remoteRef:", "remoteReference:", 1),
    )?;
    let refused = bed.shell.run(&apply, |code| code == 1).await;
    refused.context("a field that is none of theirs").map(drop)
}
