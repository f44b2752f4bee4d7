//! Secrets as upstream's Go controller left them: full updates, one manager for all, owner references, copied metadata.

use akv2k8s_controller::output::OutputState;
use anyhow::Result;
use kube::api::PostParams;
use serde_json::{Value, json};

use super::bed::{Akvs, Bed, map, secret, wants};

const UPSTREAM: &str = "azure-keyvault-controller";

fn reference(akvs: &Akvs, version: &str) -> Value {
    json!({"apiVersion": format!("spv.no/{version}"), "kind": "AzureKeyVaultSecret", "name": akvs.id.name,
        "uid": akvs.id.uid, "controller": false, "blockOwnerDeletion": true})
}

/// What upstream creates.
fn upstream(owners: &[Value], data: &[(&str, &str)]) -> Value {
    json!({
        "metadata": {
            "name": "db",
            "ownerReferences": owners,
            "labels": {"app": "shop"},
            "annotations": {"note": "x", "kubectl.kubernetes.io/last-applied-configuration": "{}"},
        },
        "type": "Opaque",
        "stringData": map(data),
    })
}

fn labelled(data: &[(&str, &str)]) -> akv2k8s_controller::output::Desired {
    let mut desired = wants("db", data);
    desired.labels = map(&[("app", "shop")]);
    desired.annotations = map(&[("note", "x")]);
    desired
}

#[tokio::test]
async fn taking_over_changes_no_data_and_pruning_works_from_then_on() -> Result<()> {
    for version in ["v2beta1", "v1"] {
        let bed = Bed::new("takeover").await?;
        let mut a = bed.akvs("a", 1).await?;
        let data = [("password", "p"), ("user", "u"), ("stale", "left by upstream")];
        let before = bed
            .create_secret(UPSTREAM, upstream(&[reference(&a, version)], &data))
            .await?;
        assert_eq!(bed.state(&a).await?, OutputState::TakeOver);

        bed.synced(&mut a, &[labelled(&[("password", "p"), ("user", "u")])])
            .await?;
        let after = bed.secrets().get("db").await?;
        assert_eq!((&after.data, &after.type_), (&before.data, &before.type_));
        assert_eq!(after.metadata.uid, before.metadata.uid);
        assert_eq!(after.metadata.labels, before.metadata.labels);
        assert_eq!(after.metadata.annotations, before.metadata.annotations);
        a.copied.labels = map(&[("app", "shop")]);
        a.copied.annotations = map(&[("note", "x")]);
        assert_eq!(bed.state(&a).await?, OutputState::Intact);

        bed.synced(&mut a, &[wants("db", &[("password", "p")])]).await?;
        assert_eq!(
            bed.data("db").await?,
            map(&[("password", "p"), ("stale", "left by upstream")])
        );
        let now = bed.secrets().get("db").await?.metadata;
        assert_eq!(now.labels, None);
        assert_eq!(
            now.annotations.map(|a| a.into_keys().collect::<Vec<_>>()),
            Some(vec!["kubectl.kubernetes.io/last-applied-configuration".to_owned()])
        );
    }
    Ok(())
}

#[tokio::test]
async fn each_akvs_takes_its_own_part_of_a_shared_secret() -> Result<()> {
    let bed = Bed::new("parts").await?;
    let (mut a, mut b) = (bed.akvs("a", 1).await?, bed.akvs("b", 2).await?);
    // As upstream does it: the first creates, the second sends the whole again with its own key and reference added.
    bed.create_secret(UPSTREAM, upstream(&[reference(&a, "v2beta1")], &[("password", "p")]))
        .await?;
    let both = [reference(&a, "v2beta1"), reference(&b, "v2beta1")];
    let mut whole = upstream(&both, &[("password", "p"), ("user", "u")]);
    whole["apiVersion"] = json!("v1");
    whole["kind"] = json!("Secret");
    let params = PostParams {
        field_manager: Some(UPSTREAM.into()),
        ..PostParams::default()
    };
    bed.secrets()
        .replace("db", &params, &serde_json::from_value(whole)?)
        .await?;

    bed.synced(&mut a, &[labelled(&[("password", "p")])]).await?;
    assert_eq!(bed.state(&b).await?, OutputState::TakeOver);
    bed.synced(&mut b, &[labelled(&[("user", "u")])]).await?;
    a.copied.labels = map(&[("app", "shop")]);
    a.copied.annotations = map(&[("note", "x")]);
    b.copied = a.copied.clone();
    for akvs in [&a, &b] {
        assert_eq!(bed.state(akvs).await?, OutputState::Intact);
    }
    bed.synced(&mut b, &[]).await?;
    assert_eq!(bed.data("db").await?, map(&[("password", "p")]));
    bed.synced(&mut a, &[labelled(&[("renamed", "p")])]).await?;
    assert_eq!(bed.data("db").await?, map(&[("renamed", "p")]));
    Ok(())
}

#[tokio::test]
async fn a_takeover_interrupted_between_its_two_writes_is_finished_later() -> Result<()> {
    let bed = Bed::new("halfway").await?;
    let mut a = bed.akvs("a", 1).await?;
    bed.create_secret(UPSTREAM, upstream(&[reference(&a, "v2beta1")], &[("password", "p")]))
        .await?;
    // The first write as it goes out, and then the controller is killed.
    let params = kube::api::PatchParams::apply(&a.id.manager()).force();
    let body = json!({"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "data": {"password": "cA=="},
        "metadata": {"name": "db", "ownerReferences": [reference(&a, "v2beta1")]}});
    bed.secrets()
        .patch("db", &params, &kube::api::Patch::Apply(body))
        .await?;
    assert!(matches!(bed.state(&a).await?, OutputState::Drifted(_)));
    bed.synced(&mut a, &[wants("db", &[("password", "p")])]).await?;
    assert_eq!(bed.state(&a).await?, OutputState::Intact);
    let meta = bed.meta(&secret("db")).await?;
    let holders = meta.managers.iter().filter(|m| !m.claims.data.is_empty()).count();
    assert_eq!(holders, 1, "{meta:?}");
    Ok(())
}

#[tokio::test]
async fn a_type_that_upstream_could_not_change_is_changed() -> Result<()> {
    let bed = Bed::new("retype").await?;
    let mut a = bed.akvs("a", 1).await?;
    bed.create_secret(
        UPSTREAM,
        upstream(&[reference(&a, "v2beta1")], &[("username", "u"), ("password", "p")]),
    )
    .await?;
    let mut typed = wants("db", &[("username", "u"), ("password", "p")]);
    typed.secret_type = Some("kubernetes.io/basic-auth".into());
    assert_eq!(bed.synced(&mut a, &[typed]).await?, ["Recreated Secret db"]);
    Ok(())
}

#[tokio::test]
async fn outputs_that_upstream_left_behind_are_not_pruned() -> Result<()> {
    let bed = Bed::new("left").await?;
    let mut a = bed.akvs("a", 1).await?;
    bed.create_secret(UPSTREAM, upstream(&[reference(&a, "v2beta1")], &[("password", "p")]))
        .await?;
    assert_eq!(
        bed.synced(&mut a, &[wants("renamed", &[("password", "p")])]).await?,
        ["Created Secret renamed"]
    );
    assert_eq!(bed.data("db").await?, map(&[("password", "p")]));
    Ok(())
}
