//! A leader that is no more.

use std::time::{Duration, Instant};

use akv2k8s_testbed::emulator::SecretOptions;
use akv2k8s_testbed::stage::{PATIENCE, Running};
use akv2k8s_testbed::wait::until;
use anyhow::ensure;
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::PostParams;

use super::bed::{plain, snapshot, stage};
use super::proxy::{Answer, Proxy};

const LEASE: &str = "akv2k8s-controller";
/// How long a silent leader keeps the lease.
const LEASE_DURATION: Duration = Duration::from_secs(15);

async fn has_ended(controller: &Running) -> anyhow::Result<()> {
    until("the leader to end", PATIENCE, async || {
        controller.is_finished().then_some(())
    })
    .await?;
    Ok(())
}

/// What the result of a controller that ended by itself says.
async fn last_words(controller: Running) -> anyhow::Result<String> {
    match controller.stop().await {
        Ok(()) => anyhow::bail!("a lost lease is no success"),
        Err(error) => Ok(error.to_string()),
    }
}

async fn leads(controller: &Running) -> bool {
    let metrics = controller.get("/metrics").await;
    metrics.is_ok_and(|(_, text)| text.lines().any(|line| line == "akv2k8s_leader 1"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_whose_lease_was_taken_ends_and_its_next_start_stands_by_until_the_taker_is_silent()
-> anyhow::Result<()> {
    let stage = stage("taken").await?;
    let vault = stage.vault("kv1");
    vault.set_secret("db", "one", SecretOptions::default())?;
    let first = stage.controller(&[]).await?;
    stage.apply("db", &plain("kv1", "db", "db")).await?;
    stage.wait_for_reason("db", "Synced").await?;
    let before = snapshot(&stage, "db").await?;

    let leases = stage.api::<Lease>();
    // The leader renews meanwhile: the last to write wins.
    until("the lease to be taken", PATIENCE, async || {
        let mut lease = leases.get(LEASE).await.ok()?;
        lease.spec.as_mut()?.holder_identity = Some("somebody else".to_owned());
        leases.replace(LEASE, &PostParams::default(), &lease).await.ok()
    })
    .await?;
    let taken = Instant::now();
    has_ended(&first).await?;
    let words = last_words(first).await?;
    ensure!(words.contains("lost to another replica"), "{words}");

    vault.set_secret("db", "two", SecretOptions::default())?;
    let second = stage.controller(&[]).await?;
    until("the second start to stand by", PATIENCE, async || {
        let (status, body) = second.get("/readyz").await.ok()?;
        (status == 200 && body.contains("standby")).then_some(())
    })
    .await?;
    until("the second start to lead", PATIENCE, async || {
        leads(&second).await.then_some(())
    })
    .await?;
    ensure!(taken.elapsed() >= LEASE_DURATION, "it led after {:?}", taken.elapsed());
    stage.wait_for_key("db", "v", "two").await?;
    ensure!(snapshot(&stage, "db").await? != before);
    second.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_cannot_renew_ends_before_another_may_lead() -> anyhow::Result<()> {
    let stage = stage("cut-off").await?;
    let vault = stage.vault("kv1");
    vault.set_secret("db", "one", SecretOptions::default())?;
    let proxy = Proxy::start(&stage.cluster).await?;
    let first = stage.controller(&[&proxy.flag()]).await?;
    stage.apply("db", &plain("kv1", "db", "db")).await?;
    stage.wait_for_reason("db", "Synced").await?;
    let second = stage.controller(&[]).await?;
    proxy.strike(None, "/leases/akv2k8s-controller", Answer::Nothing);
    let both = async || {
        let (ended, next) = (first.is_finished(), leads(&second).await);
        (ended || next).then_some((ended, next))
    };
    let (ended, next) = until("the leader to end", PATIENCE, both).await?;
    ensure!(ended && !next, "ended: {ended}, the other leads: {next}");
    let words = last_words(first).await?;
    ensure!(words.contains("could not be renewed"), "{words}");
    vault.set_secret("db", "two", SecretOptions::default())?;
    stage.wait_for_key("db", "v", "two").await?;
    ensure!(leads(&second).await, "somebody else wrote");
    second.stop().await
}
