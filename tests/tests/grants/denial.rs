//! What is not granted costs no request and says what to do; what was synced stays.

use akv2k8s_testbed::emulator::{Operation, SecretOptions};
use akv2k8s_testbed::stage::{PATIENCE, Stage};
use akv2k8s_testbed::wait::until;
use anyhow::Context;
use k8s_openapi::api::core::v1::{Event, Secret};
use kube::api::{DeleteParams, ListParams};

use crate::bed::{RuleFile, looks, message, rule, rules, spec};

#[tokio::test(flavor = "multi_thread")]
async fn what_no_rule_allows_asks_neither_vault_nor_entra_for_anything() -> anyhow::Result<()> {
    let stage = Stage::new("denied").await?;
    stage.vault("kv1").set_secret("db", "one", SecretOptions::default())?;
    let file = RuleFile::new(&stage, &rules(&[rule("somebody-else", "kv1")]))?;
    let controller = stage.controller(&[&file.flag()]).await?;
    for name in ["a", "b", "c"] {
        stage.apply(name, &spec("kv1", "db", name)).await?;
    }
    for name in ["a", "b", "c"] {
        stage.wait_for_reason(name, "VaultNotGranted").await?;
    }
    // An edit, and an output made by hand, are no way round.
    stage.apply("a", &spec("kv1", "db", "other")).await?;
    stage.wait_for_reason("a", "VaultNotGranted").await?;
    let told = message(&stage, "b").await?;
    for part in [
        stage.namespace.name(),
        &file.path(),
        "secret 'db' in vault 'kv1'",
        "Cause: ",
        "Fix: ",
    ] {
        assert!(told.contains(part), "{told}");
    }
    let event = until("the event", PATIENCE, async || {
        let events = stage.api::<Event>().list(&ListParams::default()).await.ok()?;
        events
            .items
            .into_iter()
            .find(|it| it.reason.as_deref() == Some("VaultNotGranted"))
    });
    assert!(event.await?.message.context("message")?.contains(&file.path()));
    let (_, metrics) = controller.get("/metrics").await?;
    assert!(
        metrics.contains("akv2k8s_sync_outcomes_total{outcome=\"VaultNotGranted\"}"),
        "{metrics}"
    );
    controller.stop().await?;
    let counts = stage.emulator.journal().counts();
    println!(
        "requests to vaults, Entra and IMDS while 3 objects were denied: {}",
        counts.total()
    );
    assert_eq!(counts.total(), 0, "{counts}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vault_is_listed_for_those_who_may_use_it_only() -> anyhow::Result<()> {
    let stage = Stage::new("members").await?;
    let (ours, others) = (stage.vault("kv-ours"), stage.vault("kv-others"));
    for vault in [&ours, &others] {
        vault.set_secret("db", "one", SecretOptions::default())?;
        vault.set_secret("hidden", "one", SecretOptions::default())?;
    }
    let namespace = stage.namespace.name();
    let file = RuleFile::new(
        &stage,
        &format!("grants: [{{namespaces: [{namespace}], vaults: [KV-Ours], objects: [d*]}}]"),
    )?;
    let controller = stage.controller(&[&file.flag()]).await?;
    stage.apply("ours", &spec("kv-ours", "db", "ours")).await?;
    stage.apply("hidden", &spec("kv-ours", "hidden", "hidden")).await?;
    stage.apply("others", &spec("kv-others", "db", "others")).await?;
    stage.wait_for_key("ours", "v", "one").await?;
    for name in ["hidden", "others"] {
        stage.wait_for_reason(name, "VaultNotGranted").await?;
    }
    // A change that the list shows is read for its members only.
    stage.emulator.clock().set_offset(10);
    ours.set_secret("hidden", "two", SecretOptions::default())?;
    ours.set_secret("db", "two", SecretOptions::default())?;
    stage.wait_for_key("ours", "v", "two").await?;
    looks(&stage, "kv-ours", 5).await?;
    let journal = stage.emulator.journal();
    let hidden = journal
        .entries()
        .into_iter()
        .filter(|it| it.request.contains("hidden"))
        .count();
    assert_eq!((hidden, journal.counts().vault("kv-others").total()), (0, 0));
    assert_eq!(journal.counts().of(Operation::Token), 1);
    assert!(stage.secret("hidden").await?.is_none() && stage.secret("others").await?.is_none());
    controller.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_misspelt_name_is_not_answered_with_names_of_others() -> anyhow::Result<()> {
    let stage = Stage::new("hints").await?;
    let vault = stage.vault("kv1");
    for name in ["team-b-db", "team-a-dbs-of-old"] {
        vault.set_secret(name, "one", SecretOptions::default())?;
    }
    let namespace = stage.namespace.name();
    let file = RuleFile::new(
        &stage,
        &format!("grants: [{{namespaces: [{namespace}], vaults: [kv1], objects: [team-a-*]}}]"),
    )?;
    let controller = stage.controller(&[&file.flag()]).await?;
    stage.apply("a", &spec("kv1", "team-a-db", "a")).await?;
    stage.wait_for_reason("a", "ObjectNotFound").await?;
    looks(&stage, "kv1", 4).await?;
    // Asked again, with the list of names known.
    stage.apply("a", &spec("kv1", "team-a-db", "a2")).await?;
    stage.wait_for_reason("a", "ObjectNotFound").await?;
    assert!(!message(&stage, "a").await?.contains("team-b-db"));
    vault.set_secret("team-a-dc", "one", SecretOptions::default())?;
    let hint = until("a hint that may be given", PATIENCE, async || {
        message(&stage, "a").await.ok().filter(|it| it.contains("team-a-dc"))
    });
    // The poller has to list the new name, and the object to be looked at again after that.
    stage.apply("a", &spec("kv1", "team-a-db", "a3")).await?;
    looks(&stage, "kv1", 10).await?;
    stage.apply("a", &spec("kv1", "team-a-db", "a4")).await?;
    hint.await?;
    controller.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_output_without_a_grant_is_still_given_back() -> anyhow::Result<()> {
    let stage = Stage::new("givenback").await?;
    stage.vault("kv1").set_secret("db", "one", SecretOptions::default())?;
    let file = RuleFile::new(&stage, &rules(&[rule(stage.namespace.name(), "kv1")]))?;
    let controller = stage.controller(&[&file.flag()]).await?;
    stage.apply("db", &spec("kv1", "db", "db")).await?;
    stage.wait_for_reason("db", "Synced").await?;
    file.write(&rules(&[rule("somebody-else", "kv1")]))?;
    stage.wait_for_reason("db", "VaultNotGranted").await?;
    // Deleted by hand while it is denied: it is not read again to put that right.
    stage.emulator.journal().reset();
    stage.api::<Secret>().delete("db", &DeleteParams::default()).await?;
    stage.wait_until_gone("db").await?;
    stage
        .apply("db", "{vault: {name: kv1, object: {name: db, type: secret}}}")
        .await?;
    stage.wait_for_reason("db", "NoOutput").await?;
    controller.stop().await?;
    assert_eq!(stage.emulator.journal().counts().of(Operation::SECRET_GET), 0);
    assert!(stage.secret("db").await?.is_none());
    Ok(())
}
