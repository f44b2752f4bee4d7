//! Whatever a person does to an output with real kubectl is noticed from metadata alone, and put right by one pass.

use std::process::Stdio;

use akv2k8s_controller::output::{Copied, Kind, OutputState};
use akv2k8s_testbed::provision::{Locations, Program};
use anyhow::Result;
use serde_json::json;
use tokio::process::Command;

use super::bed::{Akvs, Bed, map, wants};

async fn written(bed: &Bed) -> Result<Akvs> {
    let mut a = bed.akvs("a", 1).await?;
    bed.synced(&mut a, &[wants("db", &[("password", "p"), ("user", "u")])])
        .await?;
    assert_eq!(bed.state(&a).await?, OutputState::Intact);
    Ok(a)
}

/// The drift is told in these words, one pass ends it, and the data is what the vault says.
async fn noticed_and_ended(bed: &Bed, a: &mut Akvs, words: &[&str]) -> Result<()> {
    let expected = OutputState::Drifted(words.iter().map(|&w| w.to_owned()).collect());
    assert_eq!(bed.state(a).await?, expected);
    let mut desired = wants("db", &[("password", "p"), ("user", "u")]);
    desired.labels.clone_from(&a.copied.labels);
    bed.synced(a, &[desired]).await?;
    assert_eq!(bed.state(a).await?, OutputState::Intact);
    let mut data = bed.data("db").await?;
    data.remove("theirs");
    assert_eq!(data, map(&[("password", "p"), ("user", "u")]));
    Ok(())
}

#[tokio::test]
async fn kubectl_edit() -> Result<()> {
    let bed = Bed::new("edit").await?;
    let mut a = written(&bed).await?;
    let edit = Command::new(Locations::from_env().find(Program::Kubectl)?)
        .args(["--namespace", bed.namespace.name(), "edit", "secret", "db"])
        .env("KUBECONFIG", bed.cluster.kubeconfig())
        .env("KUBE_EDITOR", "sed -i s/cA==/bmV3/")
        .stdin(Stdio::null())
        .output()
        .await?;
    assert!(edit.status.success(), "{}", String::from_utf8_lossy(&edit.stderr));
    assert_eq!(bed.data("db").await?["password"], "new");
    noticed_and_ended(&bed, &mut a, &["data key \"password\" was changed by kubectl-edit"]).await
}

#[tokio::test]
async fn kubectl_patch_of_data_and_of_string_data() -> Result<()> {
    let bed = Bed::new("patch").await?;
    let mut a = written(&bed).await?;
    for patch in [
        r#"{"data":{"password":"bmV3"}}"#,
        r#"{"stringData":{"password":"newer","theirs":"x"}}"#,
    ] {
        bed.kubectl(&["patch", "secret", "db", "-p", patch], "").await?;
        assert!(bed.data("db").await?["password"].starts_with("new"));
        noticed_and_ended(&bed, &mut a, &["data key \"password\" was changed by kubectl-patch"]).await?;
    }
    assert_eq!(bed.data("db").await?["theirs"], "x");
    Ok(())
}

#[tokio::test]
async fn a_key_that_is_removed() -> Result<()> {
    let bed = Bed::new("removed").await?;
    let mut a = written(&bed).await?;
    let patch = r#"[{"op":"remove","path":"/data/user"}]"#;
    bed.kubectl(&["patch", "secret", "db", "--type=json", "-p", patch], "")
        .await?;
    noticed_and_ended(&bed, &mut a, &["data key \"user\" was removed"]).await
}

#[tokio::test]
async fn kubectl_apply_server_side_of_data() -> Result<()> {
    let bed = Bed::new("ssa").await?;
    let mut a = written(&bed).await?;
    let manifest = "{apiVersion: v1, kind: Secret, metadata: {name: db}, data: {password: bmV3}}";
    let apply = ["apply", "--server-side", "-f", "-"];
    let refused = bed
        .kubectl(&apply, manifest)
        .await
        .err()
        .map(|e| e.to_string())
        .unwrap_or_default();
    assert!(
        refused.contains("conflict"),
        "without force the API server protects our keys: {refused}"
    );
    bed.kubectl(&[&apply[..], &["--force-conflicts"]].concat(), manifest)
        .await?;
    noticed_and_ended(&bed, &mut a, &["data key \"password\" was changed by kubectl"]).await
}

#[tokio::test]
async fn kubectl_apply_server_side_of_string_data_which_moves_no_ownership() -> Result<()> {
    let bed = Bed::new("hole").await?;
    let mut a = written(&bed).await?;
    let manifest = "{apiVersion: v1, kind: Secret, metadata: {name: db}, stringData: {password: new, theirs: x}}";
    for _ in 0..2 {
        bed.kubectl(&["apply", "--server-side", "-f", "-"], manifest).await?;
        assert_eq!(bed.data("db").await?["password"], "new");
        noticed_and_ended(
            &bed,
            &mut a,
            &["data key \"password\" was written through stringData by kubectl"],
        )
        .await?;
        assert_eq!(bed.data("db").await?["theirs"], "x");
    }
    Ok(())
}

#[tokio::test]
async fn a_label_changed_by_hand_and_one_changed_on_the_akvs() -> Result<()> {
    let bed = Bed::new("label").await?;
    let mut a = written(&bed).await?;
    a.copied = Copied {
        labels: map(&[("app", "shop")]),
        ..Copied::default()
    };
    noticed_and_ended(&bed, &mut a, &["label app differs"]).await?;
    bed.kubectl(&["label", "secret", "db", "--overwrite", "app=other", "mine=yes"], "")
        .await?;
    noticed_and_ended(&bed, &mut a, &["label app differs"]).await?;
    assert_eq!(
        bed.secrets().get("db").await?.metadata.labels,
        Some(map(&[("app", "shop"), ("mine", "yes")]))
    );
    a.copied = Copied::default();
    noticed_and_ended(&bed, &mut a, &["label app is no longer wanted"]).await?;
    assert_eq!(
        bed.secrets().get("db").await?.metadata.labels,
        Some(map(&[("mine", "yes")]))
    );
    Ok(())
}

#[tokio::test]
async fn an_owner_reference_that_is_taken_away() -> Result<()> {
    let bed = Bed::new("owner").await?;
    let mut a = written(&bed).await?;
    bed.patch_secret("kubectl-edit", json!({"metadata": {"ownerReferences": null}}))
        .await?;
    noticed_and_ended(&bed, &mut a, &["the owner reference is missing"]).await
}

#[tokio::test]
async fn kubectl_replace_of_everything() -> Result<()> {
    let bed = Bed::new("replace").await?;
    let mut a = written(&bed).await?;
    // That it applied the type, which cannot be changed, goes on telling whose it is.
    let manifest = "{apiVersion: v1, kind: Secret, metadata: {name: db}, stringData: {password: new}}";
    bed.kubectl(&["replace", "-f", "-"], manifest).await?;
    let words = [
        "data key \"password\" was changed by kubectl-replace",
        "data key \"user\" was removed",
        "the owner reference is missing",
    ];
    noticed_and_ended(&bed, &mut a, &words).await
}

#[tokio::test]
async fn a_config_map_that_was_replaced_whole_is_refused_until_it_is_handed_over() -> Result<()> {
    let bed = Bed::new("replacemap").await?;
    let mut a = bed.akvs("a", 1).await?;
    let mut desired = wants("db", &[("key", "p")]);
    desired.target.kind = Kind::ConfigMap;
    let desired = [desired];
    bed.synced(&mut a, &desired).await?;
    let manifest = "{apiVersion: v1, kind: ConfigMap, metadata: {name: db}, data: {key: new}}";
    bed.kubectl(&["replace", "-f", "-"], manifest).await?;
    // Nothing of it tells whose it was. The status does, and proves nothing.
    let value = async || anyhow::Ok(bed.config_maps().get("db").await?.data.unwrap_or_default());
    let pass = bed.sync(&mut a, &desired, &[]).await?;
    assert!(pass.trouble().starts_with("OutputNotOwned"), "{pass:?}");
    assert_eq!(value().await?, map(&[("key", "new")]));
    a.adopt = true;
    bed.synced(&mut a, &desired).await?;
    assert_eq!(value().await?, map(&[("key", "p")]));
    Ok(())
}

#[tokio::test]
async fn what_others_add_is_no_drift() -> Result<()> {
    let bed = Bed::new("nodrift").await?;
    let a = written(&bed).await?;
    bed.kubectl(&["patch", "secret", "db", "-p", r#"{"stringData":{"theirs":"x"}}"#], "")
        .await?;
    bed.kubectl(&["label", "secret", "db", "theirs=x"], "").await?;
    bed.kubectl(&["annotate", "secret", "db", "theirs=x"], "").await?;
    assert_eq!(bed.state(&a).await?, OutputState::Intact);
    Ok(())
}
