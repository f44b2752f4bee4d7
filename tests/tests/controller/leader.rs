//! Several replicas.

use akv2k8s_testbed::emulator::SecretOptions;
use akv2k8s_testbed::stage::{PATIENCE, Stage};
use akv2k8s_testbed::wait::until;
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::PostParams;

const DB: &str = "{vault: {name: kv1, object: {name: db, type: secret}}, output: {secret: {name: db, dataKey: v}}}";

#[tokio::test(flavor = "multi_thread")]
async fn one_of_two_replicas_works_and_the_other_takes_over() -> anyhow::Result<()> {
    let stage = Stage::new("leader").await?;
    let vault = stage.vault("kv1");
    vault.set_secret("db", "one", SecretOptions::default())?;
    let first = stage.controller(&[]).await?;
    first.wait_until_ready().await?;
    let second = stage.controller(&[]).await?;
    until("the second replica to stand by", PATIENCE, async || {
        let (status, body) = second.get("/readyz").await.ok()?;
        (status == 200 && body.contains("standby")).then_some(())
    })
    .await?;
    stage.apply("db", DB).await?;
    stage.wait_for_key("db", "v", "one").await?;
    for (replica, line) in [(&second, "akv2k8s_leader 0"), (&first, "akv2k8s_leader 1")] {
        let (_, metrics) = replica.get("/metrics").await?;
        assert!(metrics.lines().any(|it| it == line), "{metrics}");
    }

    first.stop().await?;
    second.wait_until_ready().await?;
    vault.set_secret("db", "two", SecretOptions::default())?;
    stage.wait_for_key("db", "v", "two").await?;
    second.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_loses_its_lease_ends() -> anyhow::Result<()> {
    let stage = Stage::new("lost").await?;
    let controller = stage.controller(&[]).await?;
    controller.wait_until_ready().await?;
    let api = stage.api::<Lease>();
    let mut lease = api.get("akv2k8s-controller").await?;
    if let Some(spec) = &mut lease.spec {
        spec.holder_identity = Some("somebody else".to_owned());
    }
    api.replace("akv2k8s-controller", &PostParams::default(), &lease)
        .await?;
    until("the controller to end", PATIENCE, async || {
        controller.is_finished().then_some(())
    })
    .await?;
    let error = controller.stop().await.expect_err("a lost lease is no success");
    assert!(error.to_string().contains("lease"), "{error}");
    Ok(())
}
