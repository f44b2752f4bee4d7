//! What the API server can do to us: refuse, answer nonsense, go away.

use std::time::Duration;

use akv2k8s_shared::diagnosis::Code;
use akv2k8s_testbed::controlplane::ControlPlane;
use akv2k8s_testbed::crd;
use akv2k8s_testbed::emulator::SecretOptions;
use akv2k8s_testbed::stage::{Cluster, PATIENCE, Stage};
use akv2k8s_testbed::wait::until;
use anyhow::ensure;
use hyper::Method;

use super::bed::{plain, snapshot, stage, tellings, told};
use super::proxy::{Answer, Proxy};

/// Name of object, AKVS and Secret; the end of the path that is struck; how; and what is told.
type Row = (&'static str, &'static str, Answer, Code);

const ROWS: [Row; 8] = [
    (
        "busy",
        "/secrets/busy",
        Answer::Refusal(429, "TooManyRequests"),
        Code::ApiServerUnavailable,
    ),
    (
        "broken",
        "/secrets/broken",
        Answer::Refusal(500, "InternalError"),
        Code::ApiServerUnavailable,
    ),
    (
        "away",
        "/secrets/away",
        Answer::Refusal(503, "ServiceUnavailable"),
        Code::ApiServerUnavailable,
    ),
    (
        "slow",
        "/secrets/slow",
        Answer::Refusal(504, "Timeout"),
        Code::ApiServerUnavailable,
    ),
    (
        "conflict",
        "/secrets/conflict",
        Answer::Refusal(409, "Conflict"),
        Code::OutputConflict,
    ),
    (
        "invalid",
        "/secrets/invalid",
        Answer::Refusal(422, "Invalid"),
        Code::OutputRejected,
    ),
    ("closed", "/secrets/closed", Answer::Nothing, Code::ApiServerUnavailable),
    (
        "garbage",
        "/secrets/garbage",
        Answer::Garbage,
        Code::ApiServerUnavailable,
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn writes_that_the_api_server_refuses_are_told_once_and_made_up_for() -> anyhow::Result<()> {
    let stage = stage("refused").await?;
    let vault = stage.vault("kv1");
    let proxy = Proxy::start(&stage.cluster).await?;
    let controller = stage.controller(&[&proxy.flag()]).await?;
    let mut before = Vec::new();
    for (name, ..) in ROWS {
        vault.set_secret(name, "before", SecretOptions::default())?;
        stage.apply(name, &plain("kv1", name, name)).await?;
    }
    for (name, path, answer, _) in ROWS {
        stage.wait_for_reason(name, "Synced").await?;
        before.push(snapshot(&stage, name).await?);
        proxy.strike(Some(Method::PATCH), path, answer);
        vault.set_secret(name, "during", SecretOptions::default())?;
    }
    for ((name, path, _, code), before) in ROWS.iter().zip(&before) {
        let message = told(&stage, name, *code).await?;
        ensure!(message.contains(&format!("Secret {name}")), "{name}: {message}");
        if *code != Code::OutputRejected {
            let again = async || (proxy.struck(path) >= 3).then_some(());
            until(&format!("{name} to be tried again"), PATIENCE, again).await?;
        }
        let events = tellings(&stage, name, *code).await?;
        ensure!(events == 1, "{name}: {events} events");
        ensure!(
            snapshot(&stage, name).await? == *before,
            "{name}: its Secret was written to"
        );
    }
    proxy.lift();
    // What backs off, or was refused for good, has another chance at once when the vault changes.
    for (name, ..) in ROWS {
        vault.set_secret(name, "after", SecretOptions::default())?;
    }
    for (name, ..) in ROWS {
        stage.wait_for_key(name, "v", "after").await?;
        stage.wait_for_reason(name, "Synced").await?;
    }
    controller.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_status_that_cannot_be_written_keeps_no_value_back_and_is_made_up_for() -> anyhow::Result<()> {
    let stage = stage("status").await?;
    let vault = stage.vault("kv1");
    let proxy = Proxy::start(&stage.cluster).await?;
    // Nothing but the write itself brings it back: no poll helps.
    let controller = stage.controller(&["--azure-resync-period=3600", &proxy.flag()]).await?;
    let rows = [
        ("busy", "/busy/status", Answer::Refusal(429, "TooManyRequests")),
        ("conflict", "/conflict/status", Answer::Refusal(409, "Conflict")),
        ("closed", "/closed/status", Answer::Nothing),
        ("garbage", "/garbage/status", Answer::Garbage),
    ];
    for (name, path, answer) in rows {
        vault.set_secret(name, "value", SecretOptions::default())?;
        proxy.strike(None, path, answer);
        stage.apply(name, &plain("kv1", name, name)).await?;
    }
    for (name, path, _) in rows {
        stage.wait_for_key(name, "v", "value").await?;
        let again = async || (proxy.struck(path) >= 3).then_some(());
        until(&format!("{name} to be tried again"), PATIENCE, again).await?;
        ensure!(stage.akvs(name).await?.status.is_none(), "{name} has a status");
    }
    let before: Vec<_> = {
        let mut all = Vec::new();
        for (name, ..) in rows {
            all.push(snapshot(&stage, name).await?);
        }
        all
    };
    proxy.lift();
    for ((name, ..), before) in rows.iter().zip(&before) {
        stage.wait_for_reason(name, "Synced").await?;
        ensure!(
            snapshot(&stage, name).await? == *before,
            "{name}: its Secret was written again"
        );
    }
    controller.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_server_that_restarts_in_mid_flight_loses_nothing() -> anyhow::Result<()> {
    const OBJECTS: usize = 40;
    let cluster = ControlPlane::start().await?;
    crd::install(&cluster.client()?).await?;
    let stage = Stage::on(Cluster::Own(Box::new(cluster)), "restart").await?;
    let vault = stage.vault("kv1");
    for number in 0..OBJECTS {
        vault.set_secret(&format!("s{number}"), "one", SecretOptions::default())?;
    }
    let controller = stage.controller(&["--leader-elect=false"]).await?;
    stage
        .apply_many("kv1", 0..OBJECTS, |number| format!("s{number}"))
        .await?;
    // In the middle of the first syncs.
    stage.cluster.restart_api_server(Duration::from_millis(200)).await?;
    stage.wait_for_synced(OBJECTS).await?;

    // In the middle of a rotation, and the rotation goes on while nobody answers.
    let rotate = async |numbers: std::ops::Range<usize>| {
        for number in numbers {
            vault.set_secret(&format!("s{number}"), "two", SecretOptions::default())?;
        }
        anyhow::Ok(())
    };
    rotate(0..OBJECTS / 2).await?;
    stage.wait_for_key("s0", "v", "two").await?;
    stage.cluster.stop_api_server().await?;
    rotate(OBJECTS / 2..OBJECTS).await?;
    stage.cluster.start_api_server().await?;
    for number in 0..OBJECTS {
        stage.wait_for_key(&format!("s{number}"), "v", "two").await?;
    }
    stage.wait_for_synced(OBJECTS).await?;
    ensure!(!controller.is_finished(), "the controller ended");
    controller.stop().await
}
