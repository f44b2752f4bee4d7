//! Pods that get nothing, or nothing but what is theirs.

use serde_json::json;

use crate::bed::{assert_refused, ended, in_world, pod, value};

/// Ends the wait for what could still come.
const SOON: (&str, &str) = ("ENV_INJECTOR_START_BUDGET", "3");
const DB: (&str, &str) = ("DB", "db@azurekeyvault");

#[test]
fn a_pod_does_not_get_what_another_namespace_has_under_the_same_name() -> anyhow::Result<()> {
    in_world(async |world| {
        let ours = world.team("ours", "theirs-alone").await?;
        let other = world.injector.namespace(&world.stack.cluster, "other").await?;
        let other = crate::bed::Team {
            world,
            namespace: other,
        };
        let app = other.app(&[DB, SOON]).await?;
        assert_refused(&app.run().await?, "AkvsNotFound");

        // With the token of a pod of ours it gets what that pod gets: the token is who asks. Nothing else it says counts.
        let ours = ours.app(&[DB]).await?;
        app.set_token(&ours.token()?)?;
        let (exit, out, _) = ended(&app.run().await?);
        assert_eq!((exit, value(&out, "DB")), (Some(0), Some("theirs-alone")));
        Ok(())
    })
}

#[test]
fn a_variable_that_names_another_namespace_changes_nothing() -> anyhow::Result<()> {
    in_world(async |world| {
        let ours = world.team("claimed", "theirs-alone").await?;
        let other = world.injector.namespace(&world.stack.cluster, "claims").await?;
        let other = crate::bed::Team {
            world,
            namespace: other,
        };
        let mut app = other.app(&[DB, SOON]).await?;
        app.set("ENV_INJECTOR_POD_NAMESPACE", ours.namespace.name());
        assert_refused(&app.run().await?, "AkvsNotFound");
        Ok(())
    })
}

#[test]
fn a_namespace_that_lost_its_label_gets_nothing_more() -> anyhow::Result<()> {
    in_world(async |world| {
        let team = world.team("unlabelled", "s3cret").await?;
        let app = team.app(&[DB, SOON]).await?;
        assert_eq!(ended(&app.run().await?).0, Some(0));
        let label = [
            "label",
            "namespace",
            team.namespace.name(),
            "azure-key-vault-env-injection-",
        ];
        world.stack.cluster.kubectl(&label).await?.success()?;
        let refused = async || {
            let (exit, _, err) = ended(&app.run().await.ok()?);
            (exit == Some(1) && err.contains("InjectionNotEnabled")).then_some(())
        };
        akv2k8s_testbed::wait::until("the label to be missed", akv2k8s_testbed::stage::PATIENCE, refused).await?;
        Ok(())
    })
}

#[test]
fn without_the_label_a_reference_stays_what_it_is() -> anyhow::Result<()> {
    in_world(async |world| {
        let namespace = world.stack.cluster.namespace("plain").await?;
        let team = crate::bed::Team { world, namespace };
        let pod = team.create(&pod("app", &["env"], &[DB])).await?;
        let container = &pod["spec"]["containers"][0];
        assert_eq!(container["command"], json!(["env"]));
        assert_eq!(container["env"], json!([{"name": "DB", "value": "db@azurekeyvault"}]));
        assert_eq!(pod["spec"]["initContainers"], json!(null));
        Ok(())
    })
}
