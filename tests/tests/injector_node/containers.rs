//! What a pod may look like.

use akv2k8s_testbed::emulator::crypto::KeyType;
use akv2k8s_testbed::emulator::{CertificatePolicy, TEST_ISSUER};
use serde_json::json;

use crate::bed::{Team, container, in_world, pod, staying};

#[test]
fn init_containers_sidecars_and_several_containers_each_get_their_values() -> anyhow::Result<()> {
    in_world(async |world| {
        let team = Team::new(world, "several", "s3cret").await?;
        let mut sidecar = staying("sidecar");
        sidecar["restartPolicy"] = "Always".into();
        let mut plain = container("plain");
        plain["env"] = json!([{"name": "DB", "value": "none"}]);
        let mut several = pod("several", &json!([container("one"), container("two"), plain]));
        several["spec"]["initContainers"] = json!([container("migrate"), sidecar]);
        team.create(&several).await?;
        for name in ["migrate", "sidecar", "one", "two"] {
            let variables = team.printed("several", name).await?;
            assert_eq!(variables["DB"], "s3cret", "{name}");
        }
        assert_eq!(team.printed("several", "plain").await?["DB"], "none");
        assert_eq!(world.node.ended(team.namespace.name(), "several").await?, "Succeeded");
        Ok(())
    })
}

#[test]
fn a_pod_whose_init_container_alone_asks_gets_its_value_there() -> anyhow::Result<()> {
    in_world(async |world| {
        let team = Team::new(world, "init", "s3cret").await?;
        let mut app = container("app");
        app["env"] = json!([]);
        let mut only = pod("only", &json!([app]));
        only["spec"]["initContainers"] = json!([container("migrate")]);
        let variables = team.variables_of(&only).await?;
        assert!(!variables.contains_key("DB"), "{variables:?}");
        assert_eq!(team.printed("only", "migrate").await?["DB"], "s3cret");
        Ok(())
    })
}

#[test]
fn a_restricted_namespace_a_random_user_a_read_only_root_and_no_mounted_token_are_no_obstacle() -> anyhow::Result<()> {
    in_world(async |world| {
        let team = Team::new(world, "restricted", "s3cret").await?;
        let enforce = "pod-security.kubernetes.io/enforce=restricted";
        let label = ["label", "namespace", team.namespace.name(), enforce];
        world.node.cluster.kubectl(&label).await?.success()?;
        let account = json!({
            "apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "bare"}, "automountServiceAccountToken": false,
        });
        team.create(&account).await?;
        let mut app = container("app");
        app["securityContext"] = json!({
            "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}, "readOnlyRootFilesystem": true,
        });
        let mut careful = pod("careful", &json!([app]));
        careful["spec"]["serviceAccountName"] = "bare".into();
        careful["spec"]["securityContext"] =
            json!({"runAsNonRoot": true, "runAsUser": 1_234_567, "seccompProfile": {"type": "RuntimeDefault"}});
        assert_eq!(team.variables_of(&careful).await?["DB"], "s3cret");
        let created = team.get("pod/careful").await?.to_string();
        assert!(
            !created.contains("kube-api-access"),
            "no token of the API server is mounted: {created}"
        );
        Ok(())
    })
}

#[test]
fn references_of_a_config_map_are_resolved_in_a_pod_with_the_label() -> anyhow::Result<()> {
    in_world(async |world| {
        let team = Team::new(world, "envfrom", "s3cret").await?;
        let map = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"},
            "data": {"FROM_MAP": "db@azurekeyvault", "MODE": "fast"},
        });
        team.create(&map).await?;
        let mut app = container("app");
        app["env"] = json!([]);
        app["envFrom"] = json!([{"configMapRef": {"name": "settings"}}]);
        let mut labelled = pod("labelled", &json!([app]));
        let plain = {
            let mut plain = labelled.clone();
            plain["metadata"]["name"] = "plain".into();
            plain
        };
        labelled["metadata"]["labels"] = json!({"azure-key-vault-env-injection": "enabled"});
        let variables = team.variables_of(&labelled).await?;
        assert_eq!(
            (variables["FROM_MAP"].as_str(), variables["MODE"].as_str()),
            ("s3cret", "fast")
        );
        let variables = team.variables_of(&plain).await?;
        assert_eq!(variables["FROM_MAP"], "db@azurekeyvault", "it did not ask");
        Ok(())
    })
}

#[test]
fn certificates_keys_and_pairs_arrive_whole() -> anyhow::Result<()> {
    in_world(async |world| {
        let team = Team::new(world, "objects", "x").await?;
        let policy = CertificatePolicy::self_signed("CN=app.example.com").issued_by(TEST_ISSUER);
        team.vault().create_certificate(&team.own("web"), &policy)?;
        team.vault().create_key(&team.own("sign"), KeyType::Rsa(2048))?;
        team.secret("login", r#"{"user": "me", "nested": {"pin": 7}}"#).await?;
        team.akvs("web", &json!({"name": team.own("web"), "type": "certificate"}))
            .await?;
        team.akvs("sign", &json!({"name": team.own("sign"), "type": "key"}))
            .await?;
        let login =
            json!({"name": team.own("login"), "type": "multi-key-value-secret", "contentType": "application/x-json"});
        team.akvs("login", &login).await?;
        let variables = [
            ("CRT", "web@azurekeyvault?tls.crt"),
            ("KEY", "web@azurekeyvault?tls.key"),
            ("SIGN", "sign@azurekeyvault"),
            ("LOGIN", "login@azurekeyvault?user"),
            ("PIN", "login@azurekeyvault?nested.pin"),
        ];
        let variables: Vec<_> = variables
            .iter()
            .map(|(name, value)| json!({"name": name, "value": value}))
            .collect();
        let mut app = container("app");
        app["env"] = variables.into();
        let got = team.variables_of(&pod("objects", &json!([app]))).await?;
        assert_eq!((got["LOGIN"].as_str(), got["PIN"].as_str()), ("me", "7"));
        for (name, kind, least) in [
            ("CRT", "CERTIFICATE", 2),
            ("KEY", "RSA PRIVATE KEY", 1),
            ("SIGN", "PUBLIC KEY", 1),
        ] {
            let ends = got[name].matches(&format!("-----END {kind}-----")).count();
            assert!(ends >= least, "{name} has {ends} of {least}: {}", got[name].len());
        }
        Ok(())
    })
}
