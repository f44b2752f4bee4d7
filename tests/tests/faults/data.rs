//! Values and objects that cannot become data.

use akv2k8s_shared::diagnosis::Code;
use akv2k8s_testbed::emulator::{AttributeChange, CertificatePolicy, Kind, Operation, SecretOptions};
use akv2k8s_testbed::stage::{PATIENCE, Stage};
use anyhow::{Context, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::bed::{Snapshot, config_map, plain, shown, snapshot, stage, tellings, told};
use super::canary;
use super::values::{Row, rows};

/// Told, once, with nothing of the value in it, and without touching the Secret.
async fn is_told(stage: &Stage, row: &Row, before: &Snapshot) -> anyhow::Result<()> {
    let Row { name, code, says, .. } = row;
    let message = told(stage, name, *code).await?;
    ensure!(message.contains(says), "{name}: {message:?} does not say {says:?}");
    let events = tellings(stage, name, *code).await?;
    ensure!(events == 1, "{name}: {events} events");
    ensure!(
        snapshot(stage, name).await? == *before,
        "{name}: its Secret was written to"
    );
    if let Some(leak) = canary::leak(&shown(&stage.api(), &stage.api(), name).await?) {
        anyhow::bail!("{name}: {leak}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_cannot_become_data_is_told_once_and_without_a_byte_of_it() -> anyhow::Result<()> {
    let stage = stage("values").await?;
    let vault = stage.vault("kv1");
    let rows = rows();
    let controller = stage.controller(&[]).await?;
    for row in &rows {
        row.put_good(&vault)?;
        stage.apply(row.name, &row.spec()).await?;
    }
    let mut before = Vec::new();
    for row in &rows {
        stage.wait_for_reason(row.name, "Synced").await?;
        before.push(snapshot(&stage, row.name).await?);
        row.put_bad(&vault)?;
    }
    for (row, before) in rows.iter().zip(&before) {
        is_told(&stage, row, before).await?;
    }

    // A value that stays wrong is not read again in every period. The first two looks may still come from before.
    let journal = stage.emulator.journal();
    let polled = |polls: u64| journal.wait_for(PATIENCE, move |counts| counts.of(Operation::SECRET_LIST) >= polls);
    journal.reset();
    polled(2).await.context("two polls")?;
    journal.reset();
    let counts = polled(3).await.context("three polls")?;
    ensure!(counts.of(Operation::SECRET_GET) == 0, "idle polls read:\n{counts}");
    for (row, before) in rows.iter().zip(&before) {
        is_told(&stage, row, before).await?;
    }

    for row in &rows {
        row.put_good(&vault)?;
    }
    for row in &rows {
        stage.wait_for_reason(row.name, "Synced").await?;
    }
    controller.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_private_key_that_stays_in_the_vault_is_told_and_the_old_pair_kept() -> anyhow::Result<()> {
    let stage = stage("exportable").await?;
    let vault = stage.vault("kv1");
    let mut policy = CertificatePolicy::self_signed("CN=db.example.com");
    "EC".clone_into(&mut policy.key_props.kty);
    policy.key_props.key_size = None;
    policy.key_props.crv = Some("P-256".to_owned());
    vault.create_certificate("site", &policy)?;
    let controller = stage.controller(&[]).await?;
    let spec = "{vault: {name: kv1, object: {name: site, type: certificate}}, \
                output: {secret: {name: site, type: kubernetes.io/tls}}}";
    stage.apply("site", spec).await?;
    stage.wait_for_reason("site", "Synced").await?;
    let before = snapshot(&stage, "site").await?;
    policy.key_props.exportable = false;
    vault.create_certificate("site", &policy)?;
    let message = told(&stage, "site", Code::NotExportable).await?;
    ensure!(message.contains("key_props.exportable"), "{message}");
    ensure!(snapshot(&stage, "site").await? == before, "the Secret was written to");
    ensure!(tellings(&stage, "site", Code::NotExportable).await? == 1);
    policy.key_props.exportable = true;
    vault.create_certificate("site", &policy)?;
    stage.wait_for_reason("site", "Synced").await?;
    ensure!(snapshot(&stage, "site").await? != before, "the new pair did not arrive");
    controller.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn nul_bytes_arrive_whole_in_secrets_and_in_config_maps() -> anyhow::Result<()> {
    let stage = stage("nul").await?;
    stage
        .vault("kv1")
        .set_secret("nul", &STANDARD.encode(b"a\0b\xff"), SecretOptions::default())?;
    let controller = stage.controller(&[]).await?;
    let spec = "{vault: {name: kv1, object: {name: nul, type: secret}}, output: {transform: [base64decode], \
                secret: {name: nul, dataKey: v}, configMap: {name: nul, dataKey: v}}}";
    stage.apply("nul", spec).await?;
    stage.wait_for_reason("nul", "Synced").await?;
    let secret = stage.secret("nul").await?.context("Secret")?;
    ensure!(secret.data.context("data")?["v"].0 == b"a\0b\xff");
    let map = config_map(&stage, "nul").await?;
    ensure!(map.binary_data.context("binaryData")?["v"].0 == b"a\0b\xff");
    ensure!(map.data.is_none(), "{:?}", map.data);
    controller.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_outside_its_validity_is_synced_and_said_to_be() -> anyhow::Result<()> {
    let stage = stage("validity").await?;
    let vault = stage.vault("kv1");
    let year = 365 * 24 * 3600;
    let now = stage.emulator.clock().now();
    let rows = [
        (
            "expired",
            Code::ObjectExpired,
            AttributeChange {
                expires: Some(now - year),
                ..AttributeChange::default()
            },
        ),
        (
            "early",
            Code::ObjectNotYetValid,
            AttributeChange {
                not_before: Some(now + year),
                ..AttributeChange::default()
            },
        ),
    ];
    let controller = stage.controller(&[]).await?;
    for (name, code, attributes) in rows {
        vault.set_secret(
            name,
            "value",
            SecretOptions {
                attributes: attributes.clone(),
                ..SecretOptions::default()
            },
        )?;
        stage.apply(name, &plain("kv1", name, name)).await?;
        let akvs = stage.wait_for_reason(name, "Synced").await?;
        stage.wait_for_key(name, "v", "value").await?;
        let status = akvs.status.context("status")?;
        let message = &status.conditions[0].message;
        ensure!(
            message.contains("synced all the same") && message.contains("Fix: "),
            "{name}: {message}"
        );
        ensure!(status.expires.is_some() == attributes.expires.is_some(), "{name}");
        ensure!(status.not_before.is_some() == attributes.not_before.is_some(), "{name}");
        akv2k8s_testbed::wait::until("an event", PATIENCE, async || {
            (tellings(&stage, name, code).await.ok()? == 1).then_some(())
        })
        .await
        .with_context(|| name)?;
    }
    let valid = AttributeChange {
        expires: Some(now + year),
        ..AttributeChange::default()
    };
    vault.change(Kind::Secret, "expired", None, &valid)?;
    akv2k8s_testbed::wait::until("the advice to go", PATIENCE, async || {
        let status = stage.akvs("expired").await.ok()?.status?;
        (!status.conditions[0].message.contains("synced all the same")).then_some(())
    })
    .await?;
    controller.stop().await
}
