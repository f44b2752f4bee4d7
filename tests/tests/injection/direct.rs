//! Without the broker: the pod has an identity of its own, and the specs that the webhook wrote into it.

use serde_json::json;

use crate::bed::{VAULT, ended, in_world, pod, value};

#[test]
fn a_container_that_turns_the_broker_off_reads_the_vault_as_itself_with_the_specs_in_the_pod() -> anyhow::Result<()> {
    in_world(async |world| {
        let team = world.team("direct", "s3cret").await?;
        let (stack, own) = (
            &world.stack,
            format!("azurekeyvault://{VAULT}/secrets/{}", team.own("db")),
        );
        let app = stack.emulator.entra().register_app();
        let (secret, tenant) = (app.add_secret(), stack.emulator.entra().tenant_id().to_owned());
        let variables = [
            ("DB", "db@azurekeyvault"),
            ("SAME", own.as_str()),
            ("ENV_INJECTOR_DISABLE_AUTH_SERVICE", "true"),
            ("ENV_INJECTOR_RETRIES", "0"),
            ("AZURE_TENANT_ID", tenant.as_str()),
            ("AZURE_CLIENT_ID", app.client_id()),
            ("AZURE_CLIENT_SECRET", secret.as_str()),
        ];
        // The webhook learns of the AKVS by its watch.
        let create = async || team.create(&pod("app", &["env"], &variables)).await.ok();
        let pod =
            akv2k8s_testbed::wait::until("the AKVS to be known", akv2k8s_testbed::stage::PATIENCE, create).await?;
        assert!(
            pod["spec"]["volumes"]
                .as_array()
                .is_some_and(|all| all.iter().all(|it| it["name"] != "azure-keyvault-token")),
            "it gets no token for the broker"
        );
        let mut container = team.container(&pod, "app").await?;
        for (name, file) in [
            ("SSL_CERT_FILE", "ca.pem"),
            ("AZURE_ENVIRONMENT_FILEPATH", "cloud.json"),
        ] {
            container.set(name, &stack.file(file).display().to_string());
        }

        let (exit, _, err) = ended(&container.run().await?);
        assert!(
            exit == Some(1) && err.contains("ForbiddenByRbac"),
            "it is somebody else: {err}"
        );
        team.vault()
            .grant(app.principal(), akv2k8s_testbed::emulator::Role::SecretsUser);
        // What the pod was created with counts, whatever becomes of the AKVS.
        team.akvs("db", "elsewhere", "secret", &json!({})).await?;
        let (exit, out, err) = ended(&container.run().await?);
        assert_eq!(
            (exit, value(&out, "DB"), value(&out, "SAME")),
            (Some(0), Some("s3cret"), Some("s3cret")),
            "{err}"
        );
        Ok(())
    })
}
