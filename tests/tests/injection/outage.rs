//! The broker away, and back.

use std::time::Duration;

use akv2k8s_testbed::stage::PATIENCE;
use akv2k8s_testbed::wait::until;
use tokio::net::TcpListener;

use crate::bed::{World, assert_refused, ended, value};

#[tokio::test]
async fn a_program_waits_for_a_broker_that_is_away_and_starts_when_it_is_back() -> anyhow::Result<()> {
    let mut world = World::start().await?;
    let (app, impatient) = {
        let team = world.team("outage", "s3cret").await?;
        let app = team
            .app(&[("DB", "db@azurekeyvault"), ("ENV_INJECTOR_START_BUDGET", "600")])
            .await?;
        let mut impatient = team.container(&team.create(&impatient()).await?, "app").await?;
        impatient.set("ENV_INJECTOR_START_BUDGET", "1");
        (app, impatient)
    };
    world.injector.kill();
    assert_refused(&impatient.run().await?, "BrokerUnavailable");

    // Somebody in the broker's place counts who calls.
    let port = world.injector.broker_port();
    let callers = async || TcpListener::bind(("127.0.0.1", port)).await.ok();
    let listener = until("the port to be free", PATIENCE, callers).await?;
    let waiting = app.command().spawn()?;
    for _ in 0..2 {
        drop(tokio::time::timeout(Duration::from_mins(2), listener.accept()).await??);
    }
    drop(listener);
    world.injector.restart().await?;
    let (exit, out, err) = ended(&waiting.wait_with_output().await?);
    assert_eq!((exit, value(&out, "DB"), err.as_str()), (Some(0), Some("s3cret"), ""));
    Ok(())
}

fn impatient() -> serde_json::Value {
    crate::bed::pod("impatient", &["env"], &[("DB", "db@azurekeyvault")])
}

#[tokio::test]
async fn a_restarted_injector_serves_pods_that_were_prepared_before() -> anyhow::Result<()> {
    let mut world = World::start().await?;
    let app = {
        let team = world.team("restart", "s3cret").await?;
        team.app(&[("DB", "db@azurekeyvault")]).await?
    };
    world.injector.stop().await?;
    world.injector.restart().await?;
    let (exit, out, err) = ended(&app.run().await?);
    assert_eq!((exit, value(&out, "DB"), err.as_str()), (Some(0), Some("s3cret"), ""));
    Ok(())
}
