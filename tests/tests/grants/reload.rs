//! The rule file changes while the controller runs, and is broken at times.

use std::time::{Duration, Instant};

use akv2k8s_testbed::emulator::{Fault, FaultKind, Operation, SecretOptions};
use akv2k8s_testbed::stage::{PATIENCE, Stage};
use akv2k8s_testbed::wait::until;
use anyhow::Context;

use crate::bed::{RuleFile, looks, message, readyz, rule, rules, spec};

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_and_its_end_take_effect_within_seconds_and_the_output_stays() -> anyhow::Result<()> {
    let stage = Stage::new("reload").await?;
    let vault = stage.vault("kv1");
    vault.set_secret("db", "one", SecretOptions::default())?;
    stage.vault("kv2").set_secret("db", "clock", SecretOptions::default())?;
    let namespace = stage.namespace.name();
    let other = rule(namespace, "kv2");
    let file = RuleFile::new(&stage, &rules(std::slice::from_ref(&other)))?;
    let controller = stage.controller(&[&file.flag()]).await?;
    stage.apply("clock", &spec("kv2", "db", "clock")).await?;
    stage.apply("db", &spec("kv1", "db", "db")).await?;
    stage.wait_for_reason("db", "VaultNotGranted").await?;
    stage.wait_for_reason("clock", "Synced").await?;

    let start = Instant::now();
    file.write(&rules(&[other.clone(), rule(namespace, "kv1")]))?;
    stage.wait_for_key("db", "v", "one").await?;
    stage.wait_for_reason("db", "Synced").await?;
    let granted = start.elapsed();

    let start = Instant::now();
    file.write(&rules(&[other]))?;
    let akvs = stage.wait_for_reason("db", "VaultNotGranted").await?;
    let revoked = start.elapsed();
    println!(
        "grant to Synced {:.1} s, revocation to VaultNotGranted {:.1} s",
        granted.as_secs_f32(),
        revoked.as_secs_f32()
    );
    // Far from a restart's or a daily pass's time, also on a busy machine.
    assert!(granted < Duration::from_secs(30) && revoked < Duration::from_secs(30));
    assert_eq!(akvs.status.map(|it| it.outputs.len()), Some(1));

    // A look that had begun may still end; then there is silence, however often others are looked at, and whatever changes.
    looks(&stage, "kv2", 2).await?;
    stage.emulator.journal().reset();
    vault.set_secret("db", "two", SecretOptions::default())?;
    looks(&stage, "kv2", 4).await?;
    let counts = stage.emulator.journal().counts().vault("kv1");
    // Writing the new value was our own request to the emulator, and is not in its journal.
    assert_eq!(counts.total(), 0, "{counts}");
    assert_eq!(
        stage.key("db", "v").await.as_deref(),
        Some("one"),
        "the output is as it was"
    );
    controller.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_was_on_its_way_when_the_grant_ended_is_not_written() -> anyhow::Result<()> {
    let stage = Stage::new("onitsway").await?;
    stage.vault("kv1").set_secret("db", "one", SecretOptions::default())?;
    // Long enough for the end of the grant to be noticed meanwhile, and within the time a read may take.
    let slow = FaultKind::Latency { milliseconds: 10_000 };
    stage
        .emulator
        .faults()
        .add(Fault::vault("kv1", slow).on(&[Operation::SECRET_GET]));
    let file = RuleFile::new(&stage, &rules(&[rule(stage.namespace.name(), "kv1")]))?;
    let controller = stage.controller(&[&file.flag()]).await?;
    stage.apply("db", &spec("kv1", "db", "db")).await?;
    let journal = stage.emulator.journal();
    let token = journal.wait_for(PATIENCE, |counts| counts.of(Operation::Token) == 1);
    token.await.context("the read to begin")?;
    file.write(&rules(&[rule("somebody-else", "kv1")]))?;
    let akvs = stage.wait_for_reason("db", "VaultNotGranted").await?;
    assert_eq!(akvs.status.context("status")?.object_version, None);
    let answered = journal.wait_for(PATIENCE, |counts| counts.with_status(Operation::SECRET_GET, 200) == 1);
    answered.await.context("the read itself to go well")?;
    controller.stop().await?;
    assert!(stage.secret("db").await?.is_none());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_that_waits_for_a_token_when_the_grant_ends_is_not_sent() -> anyhow::Result<()> {
    let stage = Stage::new("notsent").await?;
    stage.vault("kv1").set_secret("db", "one", SecretOptions::default())?;
    // Long enough for the end of the grant to be noticed meanwhile, and within the time Entra has.
    let slow = FaultKind::Latency { milliseconds: 12_000 };
    let faults = stage.emulator.faults();
    faults.add(Fault::entra(slow).on(&[Operation::Token]).times(1));
    let file = RuleFile::new(&stage, &rules(&[rule(stage.namespace.name(), "kv1")]))?;
    let controller = stage.controller(&[&file.flag()]).await?;
    stage.apply("db", &spec("kv1", "db", "db")).await?;
    until("Entra to be asked", PATIENCE, async || {
        faults.active().is_empty().then_some(())
    })
    .await?;
    file.write(&rules(&[rule("somebody-else", "kv1")]))?;
    stage.wait_for_reason("db", "VaultNotGranted").await?;
    let journal = stage.emulator.journal();
    let answered = journal.wait_for(PATIENCE, |counts| counts.of(Operation::Token) == 1);
    answered.await.context("Entra to answer")?;
    controller.stop().await?;
    let counts = journal.counts().vault("kv1");
    assert_eq!(counts.status(200), 0, "nothing but the challenge: {counts}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_file_keeps_the_rules_before_it_and_is_told_until_it_is_mended() -> anyhow::Result<()> {
    let stage = Stage::new("broken").await?;
    stage.vault("kv1").set_secret("db", "one", SecretOptions::default())?;
    stage.vault("kv2").set_secret("db", "two", SecretOptions::default())?;
    let namespace = stage.namespace.name();
    let file = RuleFile::new(&stage, &rules(&[rule(namespace, "kv1")]))?;
    let controller = stage.controller(&[&file.flag()]).await?;
    controller.wait_until_ready().await?;
    file.write(&format!("grants:\n  - namespaces: [{namespace}]\n    vault: [kv2]\n"))?;
    let body = readyz(&controller, "VaultGrantsUnreadable", true).await?;
    for part in [
        "line 3",
        "`vault`",
        &file.path(),
        "The rules read before stay in force.",
    ] {
        assert!(body.contains(part), "{body}");
    }
    let (_, metrics) = controller.get("/metrics").await?;
    assert!(
        metrics.contains("akv2k8s_problem{subject=\"vault grants\",code=\"VaultGrantsUnreadable\"} 1"),
        "{metrics}"
    );
    stage.apply("old", &spec("kv1", "db", "old")).await?;
    stage.apply("new", &spec("kv2", "db", "new")).await?;
    stage.wait_for_reason("old", "Synced").await?;
    stage.wait_for_reason("new", "VaultNotGranted").await?;
    file.write(&rules(&[rule(namespace, "kv2")]))?;
    stage.wait_for_reason("new", "Synced").await?;
    stage.wait_for_reason("old", "VaultNotGranted").await?;
    readyz(&controller, "VaultGrantsUnreadable", false).await?;
    controller.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_broken_at_the_start_allows_nothing_until_it_is_mended() -> anyhow::Result<()> {
    let stage = Stage::new("brokenstart").await?;
    stage.vault("kv1").set_secret("db", "one", SecretOptions::default())?;
    let file = RuleFile::new(&stage, "")?;
    let controller = stage.controller(&[&file.flag()]).await?;
    stage.apply("db", &spec("kv1", "db", "db")).await?;
    stage.wait_for_reason("db", "VaultNotGranted").await?;
    let told = message(&stage, "db").await?;
    assert!(told.contains(&file.path()) && told.contains("grants"), "{told}");
    readyz(&controller, "Nothing is allowed until it can be.", true).await?;
    assert_eq!(stage.emulator.journal().counts().total(), 0);
    // Nobody restricts anything any more: the emptiest file there is.
    file.write("grants: []\n")?;
    stage.wait_for_reason("db", "Synced").await?;
    readyz(&controller, "vault grants", false).await?;
    controller.stop().await
}
