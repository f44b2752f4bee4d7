//! The daily pass, and what a controller that was down makes up for.

use akv2k8s_testbed::emulator::{Operation, SecretOptions};
use akv2k8s_testbed::stage::{PATIENCE, Stage};
use anyhow::Context;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::api::{Patch, PatchParams};
use serde_json::json;

const OBJECTS: u16 = 20;

/// Reads until so many were seen and three more looks have ended.
async fn reads(stage: &Stage, expected: u16) -> anyhow::Result<u64> {
    let journal = stage.emulator.journal();
    let seen = journal.wait_for(PATIENCE, |counts| {
        counts.with_status(Operation::SECRET_GET, 200) >= u64::from(expected)
    });
    let lists = seen.await.context("the reads")?.of(Operation::SECRET_LIST);
    let later = journal.wait_for(PATIENCE, |counts| counts.of(Operation::SECRET_LIST) >= lists + 3);
    Ok(later.await.context("three more looks")?.of(Operation::SECRET_GET))
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_long_absence_everything_is_read_once_and_after_a_short_one_nothing() -> anyhow::Result<()> {
    let stage = Stage::new("daily").await?;
    let vault = stage.vault("kv1");
    for number in 0..OBJECTS {
        vault.set_secret(&format!("s{number}"), "value", SecretOptions::default())?;
    }
    stage
        .apply_many("kv1", 0..OBJECTS.into(), |number| format!("s{number}"))
        .await?;
    // Marks settle once the last change lies more than 2 s back.
    stage.emulator.clock().set_offset(10);
    let controller = stage.controller(&[]).await?;
    stage.wait_for_synced(OBJECTS.into()).await?;
    controller.stop().await?;

    let journal = stage.emulator.journal();
    journal.reset();
    let controller = stage.controller(&[]).await?;
    let read = reads(&stage, 0).await?;
    assert!(
        read <= 2,
        "{read} reads: no more than those whose time of day it happens to be"
    );
    controller.stop().await?;

    let then = Timestamp::now() - SignedDuration::from_hours(36);
    let renewed = Patch::Merge(json!({"spec": {"renewTime": format!("{then:.6}")}}));
    stage
        .api::<Lease>()
        .patch("akv2k8s-controller", &PatchParams::default(), &renewed)
        .await?;
    journal.reset();
    let controller = stage.controller(&[]).await?;
    let read = reads(&stage, OBJECTS).await?;
    assert!(
        (u64::from(OBJECTS)..=u64::from(OBJECTS) + 2).contains(&read),
        "{read} reads"
    );
    let (_, metrics) = controller.get("/metrics").await?;
    assert!(metrics.contains("akv2k8s_status_writes_total 0"), "{metrics}");
    controller.stop().await
}
