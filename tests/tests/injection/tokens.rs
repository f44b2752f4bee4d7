//! Tokens that are not those of the pod that asks, for the broker, now.

use akv2k8s_testbed::container::bound_token;
use akv2k8s_testbed::stage::PATIENCE;
use akv2k8s_testbed::wait::until;
use serde_json::json;

use crate::bed::{Team, assert_refused, ended, in_world, pod};

const DB: (&str, &str) = ("DB", "db@azurekeyvault");
const SOON: (&str, &str) = ("ENV_INJECTOR_START_BUDGET", "3");

#[test]
fn tokens_of_another_audience_or_of_no_pod_are_refused() -> anyhow::Result<()> {
    in_world(async |world| {
        let team = world.team("audience", "s3cret").await?;
        let cluster = &world.stack.cluster;
        let pod = team.create(&pod("app", &["env"], &[DB, SOON])).await?;
        let app = team.container(&pod, "app").await?;
        let issuer = cluster.issuer().await?;
        let for_entra = bound_token(&cluster.client()?, &pod, "api://AzureADTokenExchange", None).await?;
        let for_the_api_server = bound_token(&cluster.client()?, &pod, &issuer, None).await?;
        let of_no_pod = cluster.service_account_token(team.namespace.name(), "default", "akv2k8s-envinjector");
        for token in [for_entra, for_the_api_server, of_no_pod.await?] {
            app.set_token(&token)?;
            assert_refused(&app.run().await?, "PodTokenRefused");
        }
        Ok(())
    })
}

#[test]
fn a_token_that_has_expired_is_refused() -> anyhow::Result<()> {
    in_world(async |world| {
        let team = world.team("expired", "s3cret").await?;
        let app = team.app(&[DB, SOON]).await?;
        let real = app.token()?;
        let ended_at = |seconds: i64| {
            world.stack.cluster.resigned(&real, move |claims| {
                let now = claims["iat"].as_i64().unwrap_or_default();
                claims["iat"] = json!(now - 7200);
                claims["nbf"] = json!(now - 7200);
                claims["exp"] = json!(now + seconds);
            })
        };
        // With the key of the API server, so that the time alone makes the difference.
        app.set_token(&ended_at(3600).await?)?;
        let (exit, _, err) = ended(&app.run().await?);
        assert_eq!(exit, Some(0), "{err}");
        app.set_token(&ended_at(-600).await?)?;
        assert_refused(&app.run().await?, "PodTokenRefused");
        Ok(())
    })
}

#[test]
fn the_token_of_a_deleted_pod_is_refused() -> anyhow::Result<()> {
    in_world(async |world| {
        let team = world.team("deleted", "s3cret").await?;
        let app = team.app(&[DB, SOON]).await?;
        assert_eq!(ended(&app.run().await?).0, Some(0));
        let delete = ["--namespace", team.namespace.name(), "delete", "pod", "app", "--force"];
        world.stack.cluster.kubectl(&delete).await?.success()?;
        // It is known for ten seconds.
        let refused = async || {
            let (exit, _, err) = ended(&app.run().await.ok()?);
            (exit == Some(1) && err.contains("PodTokenRefused")).then_some(())
        };
        until("the deleted pod to be refused", PATIENCE, refused).await?;
        Ok(())
    })
}

#[test]
fn a_pod_that_nobody_prepared_cannot_use_its_token() -> anyhow::Result<()> {
    in_world(async |world| {
        let team = world.team("unprepared", "s3cret").await?;
        let prepared = team.app(&[DB, SOON]).await?;
        let plain = team.create(&pod("plain", &["env"], &[])).await?;
        let client = world.stack.cluster.client()?;
        prepared.set_token(&bound_token(&client, &plain, "akv2k8s-envinjector", None).await?)?;
        assert_refused(&prepared.run().await?, "PodNotPrepared");
        Ok(())
    })
}

#[test]
fn a_token_of_a_pod_of_another_namespace_does_not_open_ours() -> anyhow::Result<()> {
    in_world(async |world| {
        let ours = world.team("victim", "s3cret").await?;
        let namespace = world.injector.namespace(&world.stack.cluster, "thief").await?;
        let thief = Team { world, namespace };
        let (app, stolen) = (ours.app(&[DB, SOON]).await?, thief.app(&[DB, SOON]).await?);
        app.set_token(&stolen.token()?)?;
        assert_refused(&app.run().await?, "AkvsNotFound");
        Ok(())
    })
}
