//! From a release of akv2k8s' chart to ours and back, on a real API server without nodes: what is exchanged in place, what goes, and that no
//! Secret is touched. The old release is a description of ours (`upstream`), and no program of it runs.

use std::path::Path;

use akv2k8s_testbed::helm::{Helm, RELEASE};
use akv2k8s_testbed::provision::Program;
use anyhow::{Context, ensure};
use serde_json::{Value, json};

use crate::installing::{Bed, authority};
use crate::values::OLD;

/// The chart of the old release, with the resource definition as it was.
fn old_chart(folder: &Path) -> anyhow::Result<Helm> {
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/chart/upstream");
    let copied = std::process::Command::new("cp")
        .args(["-r", source])
        .arg(folder)
        .status()?;
    ensure!(copied.success(), "copy {source}");
    let chart = folder.join("upstream");
    std::fs::create_dir(chart.join("crds"))?;
    std::fs::write(chart.join("crds/crd.yaml"), include_str!("../crd/upstream.yaml"))?;
    Ok(Helm::of(Program::Helm3)?.with_chart(&chart))
}

/// Objects that both releases have, and that must not be made anew: running pods, endpoints and federations hang on them.
const IN_PLACE: [&str; 7] = [
    "deployment/akv2k8s-controller",
    "deployment/akv2k8s-envinjector",
    "service/akv2k8s-controller",
    "service/akv2k8s-envinjector",
    "serviceaccount/akv2k8s-controller",
    "serviceaccount/akv2k8s-envinjector",
    "mutatingwebhookconfiguration/akv2k8s-envinjector",
];
/// Objects of the old release alone.
const OLD_ONLY: [&str; 4] = [
    "secret/akv2k8s-envinjector-tls",
    "secret/akv2k8s-envinjector-ca",
    "clusterrole/akv2k8s-envinjector-reader",
    "clusterrolebinding/akv2k8s-envinjector-reader",
];
/// What users have.
const USERS: [&str; 3] = ["azurekeyvaultsecret/db", "secret/db", "secret/akv2k8s-credentials"];

async fn versions(bed: &Bed, objects: &[&str], field: &str) -> anyhow::Result<Vec<Value>> {
    let mut found = Vec::new();
    for object in objects {
        found.push(bed.there(object).await?["metadata"][field].clone());
    }
    Ok(found)
}

async fn switch(program: Program) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let bed = Bed::new(program).await?;
    let old = old_chart(folder.path())?.with_cluster(bed.cluster.kubeconfig());
    let certificate = authority();
    let values = json!({"certificate": certificate, "key": certificate}).to_string();
    let line = [
        "install",
        RELEASE,
        "CHART",
        "--namespace",
        RELEASE,
        "--create-namespace",
    ];
    old.run(&line, &values).context("install the old release")?;
    bed.apply_what_is_the_users().await?;
    let (uids, users) = (
        versions(&bed, &IN_PLACE, "uid").await?,
        versions(&bed, &USERS, "resourceVersion").await?,
    );

    for (name, values) in OLD
        .iter()
        .filter(|(name, _)| ["defaults", "service principal in env"].contains(name))
    {
        bed.helm("upgrade", values)
            .with_context(|| format!("upgrade with {name}"))?;
        ensure!(versions(&bed, &IN_PLACE, "uid").await? == uids, "{name}: made anew");
        ensure!(
            versions(&bed, &USERS, "resourceVersion").await? == users,
            "{name}: what is the users' was written"
        );
        for gone in OLD_ONLY {
            ensure!(bed.get(gone).await?.is_none(), "{name}: {gone} is still there");
        }
        for (deployment, image) in [(IN_PLACE[0], "controller"), (IN_PLACE[1], "envinjector")] {
            let container = &bed.there(deployment).await?["spec"]["template"]["spec"]["containers"][0];
            ensure!(
                container["image"] == format!("ghcr.io/akv2k8s-rs/{image}:0.1.0"),
                "{container}"
            );
            ensure!(
                container["readinessProbe"]["httpGet"]["scheme"] == "HTTP",
                "{container}"
            );
            let env = container["env"].to_string();
            ensure!(!env.contains("CA_CERT_DIR"), "{env}");
        }
        let webhook = bed.there(IN_PLACE[6]).await?["webhooks"].clone();
        ensure!(
            webhook[0]["matchConditions"].is_array() && webhook[1].is_null(),
            "{webhook}"
        );
        let config = &webhook[0]["clientConfig"];
        ensure!(
            config["caBundle"].is_null() && config["service"]["path"].is_null(),
            "{config}"
        );
    }

    bed.helm
        .run(&["rollback", RELEASE, "1", "--namespace", RELEASE], "")
        .context("roll back")?;
    ensure!(
        versions(&bed, &IN_PLACE, "uid").await? == uids,
        "made anew by the way back"
    );
    ensure!(
        versions(&bed, &USERS, "resourceVersion").await? == users,
        "what is the users' was written by the way back"
    );
    let container = &bed.there(IN_PLACE[0]).await?["spec"]["template"]["spec"]["containers"][0];
    ensure!(
        container["image"] == "spvest/azure-keyvault-controller:1.8.4",
        "{container}"
    );
    let config = &bed.there(IN_PLACE[6]).await?["webhooks"][0]["clientConfig"];
    ensure!(
        config["caBundle"] == certificate && config["service"]["path"] == "/pods",
        "{config}"
    );
    for back in OLD_ONLY {
        bed.there(back).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn helm_3_takes_a_release_of_akv2k8s_over_in_place_and_gives_it_back() -> anyhow::Result<()> {
    switch(Program::Helm3).await
}

#[tokio::test(flavor = "multi_thread")]
async fn helm_4_takes_a_release_of_akv2k8s_over_in_place_and_gives_it_back() -> anyhow::Result<()> {
    switch(Program::Helm4).await
}
