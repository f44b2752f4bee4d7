//! Programs that start with their values.

use akv2k8s_testbed::emulator::crypto::KeyType;
use akv2k8s_testbed::emulator::{CertificatePolicy, TEST_ISSUER};
use serde_json::json;

use crate::bed::{ended, in_world, pod, value};

#[test]
fn a_pod_is_prepared_and_its_program_starts_with_the_value_that_the_broker_gave() -> anyhow::Result<()> {
    in_world(async |world| {
        let team = world.team("value", "canary-of-a-value").await?;
        let variables = [("DB", "db@azurekeyvault"), ("PLAIN", "$(DB) stays"), ("EMPTY", "")];
        let pod = team
            .create(&pod("app", &["sh", "-c", "env; exit 7"], &variables))
            .await?;
        let (exit, out, err) = ended(&team.container(&pod, "app").await?.run().await?);
        assert_eq!(
            (exit, err.as_str()),
            (Some(7), ""),
            "the program's own exit code, and nothing said"
        );
        assert_eq!(value(&out, "DB"), Some("canary-of-a-value"));
        assert_eq!(
            value(&out, "PLAIN"),
            Some("db@azurekeyvault stays"),
            "the kubelet is first"
        );
        assert_eq!(value(&out, "EMPTY"), Some(""));
        assert!(!out.contains("ENV_INJECTOR_"), "{out}");

        assert!(!pod.to_string().contains("canary"), "the pod does not hold it");
        let log = world.injector.log();
        let audit = log
            .lines()
            .find(|line| line.contains("value released") && line.contains(team.namespace.name()));
        assert!(
            audit.is_some_and(|line| line.contains("app") && line.contains("db")),
            "{log}"
        );
        assert!(!log.contains("canary"), "the log does not hold it");
        Ok(())
    })
}

#[test]
fn certificates_keys_and_pairs_arrive_as_well() -> anyhow::Result<()> {
    in_world(async |world| {
        let team = world.team("kinds", "x").await?;
        let policy = CertificatePolicy::self_signed("CN=app.example.com").issued_by(TEST_ISSUER);
        team.vault().create_certificate(&team.own("web"), &policy)?;
        team.vault().create_key(&team.own("sign"), KeyType::Rsa(2048))?;
        team.secret("login", r#"{"user": "me", "nested": {"pin": 7}}"#).await?;
        team.akvs("web", &team.own("web"), "certificate", &json!({})).await?;
        team.akvs("sign", &team.own("sign"), "key", &json!({})).await?;
        let json = json!({"contentType": "application/x-json"});
        team.akvs("login", &team.own("login"), "multi-key-value-secret", &json)
            .await?;
        let app = team
            .app(&[
                ("CRT", "web@azurekeyvault?tls.crt"),
                ("KEY", "web@azurekeyvault?tls.key"),
                ("SIGN", "sign@azurekeyvault"),
                ("LOGIN_USER", "login@azurekeyvault?user"),
                ("PIN", "login@azurekeyvault?nested.pin"),
            ])
            .await?;
        let (exit, out, err) = ended(&app.run().await?);
        assert_eq!((exit, err.as_str()), (Some(0), ""));
        assert_eq!((value(&out, "LOGIN_USER"), value(&out, "PIN")), (Some("me"), Some("7")));
        for (name, begin) in [
            ("CRT", "-----BEGIN CERTIFICATE-----"),
            ("KEY", "-----BEGIN RSA PRIVATE KEY-----"),
            ("SIGN", "-----BEGIN PUBLIC KEY-----"),
        ] {
            assert_eq!(value(&out, name), Some(begin), "{name}");
        }
        Ok(())
    })
}

#[test]
fn references_of_a_config_map_are_resolved_in_a_pod_that_says_so() -> anyhow::Result<()> {
    in_world(async |world| {
        let team = world.team("envfrom", "s3cret").await?;
        let map = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"},
            "data": {"DB": "db@azurekeyvault", "MODE": "fast"},
        });
        team.create(&map).await?;
        let mut pod = pod("app", &["env"], &[]);
        pod["metadata"]["labels"] = json!({"azure-key-vault-env-injection": "enabled"});
        pod["spec"]["containers"][0]["envFrom"] = json!([{"configMapRef": {"name": "settings"}}]);
        let pod = team.create(&pod).await?;
        let (exit, out, err) = ended(&team.container(&pod, "app").await?.run().await?);
        assert_eq!((exit, err.as_str()), (Some(0), ""));
        assert_eq!((value(&out, "DB"), value(&out, "MODE")), (Some("s3cret"), Some("fast")));
        Ok(())
    })
}

#[test]
fn init_containers_and_sidecars_get_values_with_the_same_token() -> anyhow::Result<()> {
    in_world(async |world| {
        let team = world.team("several", "s3cret").await?;
        let container = |name: &str| json!({"name": name, "image": "app:1", "command": ["env"], "env": [{"name": "DB", "value": "db@azurekeyvault"}]});
        let mut sidecar = container("sidecar");
        sidecar["restartPolicy"] = "Always".into();
        let mut several = pod("app", &["sleep"], &[]);
        several["spec"]["initContainers"] = json!([container("migrate"), sidecar]);
        several["spec"]["containers"] =
            json!([container("one"), container("two"), {"name": "three", "image": "app:1"}]);
        let pod = team.create(&several).await?;
        assert_eq!(
            pod["spec"]["containers"][2]["command"],
            json!(null),
            "it asked for nothing"
        );
        for name in ["migrate", "sidecar", "one", "two"] {
            let (exit, out, err) = ended(&team.container(&pod, name).await?.run().await?);
            assert_eq!((exit, value(&out, "DB")), (Some(0), Some("s3cret")), "{name}: {err}");
        }
        Ok(())
    })
}

#[test]
fn an_akvs_that_is_edited_between_admission_and_start_counts_as_it_is_at_the_start() -> anyhow::Result<()> {
    in_world(async |world| {
        let team = world.team("edited", "old").await?;
        team.secret("other", "new").await?;
        let app = team.app(&[("DB", "db@azurekeyvault")]).await?;
        let started = async || anyhow::Ok(ended(&app.run().await?).1);
        assert_eq!(value(&started().await?, "DB"), Some("old"));
        team.akvs("db", &team.own("other"), "secret", &json!({})).await?;
        // The broker learns of it by its watch.
        let changed = async || (value(&started().await.ok()?, "DB") == Some("new")).then_some(());
        akv2k8s_testbed::wait::until("the edit to count", akv2k8s_testbed::stage::PATIENCE, changed).await?;
        Ok(())
    })
}
