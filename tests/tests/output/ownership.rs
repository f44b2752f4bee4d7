//! Whose a Secret is, and whose each key of it.

use akv2k8s_controller::output::{self, OutputState, Retry, manager_name};
use anyhow::Result;
use serde_json::json;

use super::bed::{Bed, map, secret, wants};

#[tokio::test]
async fn several_akvs_share_one_secret_with_keys_of_their_own() -> Result<()> {
    let bed = Bed::new("share").await?;
    let (mut a, mut b) = (bed.akvs("a", 1).await?, bed.akvs("b", 2).await?);
    bed.synced(&mut a, &[wants("db", &[("password", "p")])]).await?;
    bed.synced(&mut b, &[wants("db", &[("user", "u"), ("port", "1")])])
        .await?;
    assert_eq!(
        bed.data("db").await?,
        map(&[("password", "p"), ("user", "u"), ("port", "1")])
    );
    assert_eq!(
        bed.secrets()
            .get("db")
            .await?
            .metadata
            .owner_references
            .map(|r| r.len()),
        Some(2)
    );
    for akvs in [&a, &b] {
        assert_eq!(bed.state(akvs).await?, OutputState::Intact);
    }

    bed.synced(&mut b, &[wants("db", &[("user", "u")])]).await?;
    assert_eq!(bed.data("db").await?, map(&[("password", "p"), ("user", "u")]));
    let changes = bed.synced(&mut a, &[]).await?;
    assert_eq!(changes, ["Released Secret db"]);
    assert_eq!(bed.data("db").await?, map(&[("user", "u")]));
    assert_eq!(bed.state(&b).await?, OutputState::Intact);
    Ok(())
}

#[tokio::test]
async fn the_younger_claimant_of_a_key_gets_the_condition_even_if_the_values_are_equal() -> Result<()> {
    let bed = Bed::new("conflict").await?;
    let (mut old, mut young) = (bed.akvs("old", 1).await?, bed.akvs("young", 2).await?);
    bed.synced(&mut old, &[wants("db", &[("password", "p")])]).await?;
    let before = bed.secrets().get("db").await?.metadata.resource_version;
    for value in ["p", "other"] {
        let pass = bed
            .sync(
                &mut young,
                &[wants("db", &[("password", value), ("user", "u")])],
                &[&old],
            )
            .await?;
        assert!(pass.trouble().starts_with("OutputConflict"), "{}", pass.trouble());
        assert!(
            pass.trouble().contains("already written by AzureKeyVaultSecret old."),
            "{}",
            pass.trouble()
        );
    }
    assert_eq!(bed.secrets().get("db").await?.metadata.resource_version, before);

    // It goes through as soon as the other has gone.
    bed.synced(&mut old, &[wants("db2", &[("password", "p")])]).await?;
    bed.synced(&mut young, &[wants("db", &[("password", "p"), ("user", "u")])])
        .await?;
    Ok(())
}

#[tokio::test]
async fn the_older_claimant_takes_a_key_from_the_younger_and_they_do_not_fight() -> Result<()> {
    let bed = Bed::new("older").await?;
    let (mut old, mut young) = (bed.akvs("old", 1).await?, bed.akvs("young", 2).await?);
    for value in ["equal", "different"] {
        let name = format!("db-{value}");
        bed.synced(&mut young, &[wants(&name, &[("password", "equal"), ("user", "u")])])
            .await?;
        let pass = bed
            .sync(&mut old, &[wants(&name, &[("password", value)])], &[&young])
            .await?;
        assert_eq!(
            (pass.changes(), pass.trouble()),
            (vec![format!("Updated Secret {name}")], String::new())
        );
        let data = map(&[("password", value), ("user", "u")]);
        assert_eq!(bed.data(&name).await?, data);

        let meta = bed.meta(&secret(&name)).await?;
        let holders: Vec<_> = meta
            .managers
            .iter()
            .filter(|m| m.claims.data.iter().any(|k| **k == *"password"))
            .collect();
        assert_eq!(holders.len(), 1, "{holders:?}");
        assert_eq!(*holders[0].name, *old.id.manager());

        let pass = bed
            .sync(
                &mut young,
                &[wants(&name, &[("password", "equal"), ("user", "u")])],
                &[&old],
            )
            .await?;
        assert!(pass.trouble().starts_with("OutputConflict"), "{}", pass.trouble());
        assert_eq!(bed.data(&name).await?, data);
        old.recorded.clear();
        young.recorded.clear();
    }
    Ok(())
}

#[tokio::test]
async fn two_that_wrote_one_key_in_the_same_moment_are_told_apart_afterwards() -> Result<()> {
    let bed = Bed::new("moment").await?;
    let (mut old, mut young) = (bed.akvs("old", 1).await?, bed.akvs("young", 2).await?);
    let desired = [wants("db", &[("password", "p")])];
    // Both saw no Secret, both create it, with equal values.
    let (for_old, for_young) = (bed.observe(&old, &desired).await?, bed.observe(&young, &desired).await?);
    let first = output::apply(&bed.client, &bed.store, &young.plan(&desired, &for_young, &[&old])).await;
    let second = output::apply(&bed.client, &bed.store, &old.plan(&desired, &for_old, &[&young])).await;
    assert!(first.failed.is_empty(), "{first:?}");
    assert_eq!(
        second.failed.iter().map(|e| e.retry).collect::<Vec<_>>(),
        [Retry::Observe],
        "the later of the two looks again"
    );

    bed.sync(&mut old, &desired, &[&young]).await?;
    assert_eq!(bed.state(&old).await?, OutputState::Intact);
    let pass = bed.sync(&mut young, &desired, &[&old]).await?;
    assert!(pass.trouble().starts_with("OutputConflict"), "{}", pass.trouble());
    assert_eq!(bed.state(&old).await?, OutputState::Intact);
    Ok(())
}

#[tokio::test]
async fn a_foreign_secret_is_adopted_only_with_the_annotation() -> Result<()> {
    let bed = Bed::new("adopt").await?;
    let mut a = bed.akvs("a", 1).await?;
    let theirs =
        json!({"metadata": {"name": "db", "labels": {"theirs": "l"}}, "stringData": {"password": "old", "other": "x"}});
    let before = bed.create_secret("kubectl-create", theirs).await?;
    let desired = || [wants("db", &[("password", "p")])];
    let trouble = bed.sync(&mut a, &desired(), &[]).await?.trouble();
    let line = format!(
        "kubectl annotate azurekeyvaultsecret --namespace {} a akv2k8s.spv.no/adopt=true",
        bed.namespace
    );
    assert!(
        trouble.starts_with("OutputNotOwned") && trouble.contains(&line),
        "{trouble}"
    );
    assert_eq!(
        bed.secrets().get("db").await?.metadata.resource_version,
        before.metadata.resource_version
    );

    a.adopt = true;
    assert_eq!(bed.synced(&mut a, &desired()).await?, ["Updated Secret db"]);
    assert_eq!(bed.data("db").await?, map(&[("password", "p"), ("other", "x")]));
    let now = bed.secrets().get("db").await?.metadata;
    assert_eq!(
        (now.uid, now.labels),
        (before.metadata.uid, Some(map(&[("theirs", "l")])))
    );
    a.adopt = false;
    assert_eq!(bed.state(&a).await?, OutputState::Intact);
    assert_eq!(bed.synced(&mut a, &desired()).await?, ["Unchanged Secret db"]);
    Ok(())
}

#[tokio::test]
async fn labels_of_the_first_akvs_stay_its_own() -> Result<()> {
    let bed = Bed::new("labels").await?;
    let (mut a, mut b) = (bed.akvs("a", 1).await?, bed.akvs("b", 2).await?);
    let labelled = |key: &str, value: &str| {
        let mut desired = wants("db", &[(key, "x")]);
        desired.labels = map(&[("app", value), (key, "yes")]);
        [desired]
    };
    bed.synced(&mut a, &labelled("of-a", "first")).await?;
    bed.synced(&mut b, &labelled("of-b", "second")).await?;
    bed.synced(&mut a, &labelled("of-a", "third")).await?;
    let labels = bed.secrets().get("db").await?.metadata.labels;
    assert_eq!(labels, Some(map(&[("app", "third"), ("of-a", "yes"), ("of-b", "yes")])));
    Ok(())
}

#[tokio::test]
async fn an_akvs_created_again_under_its_name_goes_on_with_its_secret() -> Result<()> {
    let bed = Bed::new("again").await?;
    let mut a = bed.akvs("a", 1).await?;
    bed.synced(&mut a, &[wants("db", &[("password", "p")])]).await?;
    let before = bed.secrets().get("db").await?.metadata.uid;
    bed.kubectl(&["delete", "akvs", "a", "--cascade=orphan"], "").await?;
    let mut again = bed.akvs("a", 2).await?;
    assert_ne!(again.id.uid, a.id.uid);
    assert_eq!(again.id.manager(), manager_name(bed.namespace.name(), "a"));
    assert_eq!(
        bed.synced(&mut again, &[wants("db", &[("password", "new")])]).await?,
        ["Updated Secret db"]
    );
    let now = bed.secrets().get("db").await?.metadata;
    assert_eq!(now.uid, before);
    let owners: Vec<_> = now
        .owner_references
        .unwrap_or_default()
        .into_iter()
        .map(|r| r.uid)
        .collect();
    assert_eq!(owners, [again.id.uid]);
    Ok(())
}

#[tokio::test]
async fn an_akvs_that_wants_another_type_of_a_shared_secret_is_told_so() -> Result<()> {
    let bed = Bed::new("othertype").await?;
    let (mut a, mut b) = (bed.akvs("a", 1).await?, bed.akvs("b", 2).await?);
    bed.synced(&mut a, &[wants("db", &[("password", "p")])]).await?;
    let before = bed.secrets().get("db").await?.metadata.resource_version;
    let mut typed = wants("db", &[("ca.crt", "ca")]);
    typed.secret_type = Some("example.com/other".into());
    let trouble = bed.sync(&mut b, &[typed], &[&a]).await?.trouble();
    assert!(trouble.starts_with("OutputTypeImmutable"), "{trouble}");
    assert_eq!(bed.secrets().get("db").await?.metadata.resource_version, before);
    Ok(())
}
