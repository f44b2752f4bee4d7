//! Without the broker: containers that read the vault as themselves.

use akv2k8s_testbed::emulator::{AppHandle, FederatedCredential, Operation, Role};
use akv2k8s_testbed::installation::trusting;
use akv2k8s_testbed::wait::until;
use serde_json::{Value, json};

use crate::bed::{PATIENCE, Team, VAULT, World, container, in_world, pod};

/// A team whose pods can trust the emulator, and an application that may read the vault.
async fn team(world: &'static World, prefix: &str) -> anyhow::Result<(Team, AppHandle)> {
    let team = Team::new(world, prefix, "s3cret").await?;
    world.trust(team.namespace.name()).await?;
    let app = world.emulator.entra().register_app();
    team.vault().grant(app.principal(), Role::SecretsUser);
    Ok((team, app))
}

/// A pod that turns the broker off, with these variables besides.
fn direct(name: &str, team: &Team, variables: &[(&str, &str)]) -> anyhow::Result<Value> {
    let own = format!("azurekeyvault://{VAULT}/secrets/{}", team.own("db"));
    let fixed = [
        ("DB", "db@azurekeyvault"),
        ("OWN", own.as_str()),
        ("ENV_INJECTOR_DISABLE_AUTH_SERVICE", "true"),
    ];
    let all = fixed.iter().chain(variables);
    let env: Vec<_> = all.map(|(name, value)| json!({"name": name, "value": value})).collect();
    let mut app = container("app");
    app["env"] = env.into();
    let mut pod = pod(name, &json!([app]));
    trusting(&mut pod["spec"])?;
    pod["spec"]["automountServiceAccountToken"] = false.into();
    Ok(pod)
}

/// Runs it and expects the value. The webhook learns of an AKVS by its watch, and denies such a pod until then.
async fn assert_reads(team: &Team, pod: &Value) -> anyhow::Result<()> {
    let mut dry = pod.clone();
    dry["metadata"] = json!({"generateName": "dry-"});
    dry["spec"]["schedulerName"] = "nobody".into();
    until("the AKVS to be known", PATIENCE, async || team.create(&dry).await.ok()).await?;
    let variables = team.variables_of(pod).await?;
    assert_eq!(
        (variables["DB"].as_str(), variables["OWN"].as_str()),
        ("s3cret", "s3cret")
    );
    Ok(())
}

#[test]
fn a_client_secret_is_enough() -> anyhow::Result<()> {
    in_world(async |world| {
        let (team, app) = team(world, "secret").await?;
        let (secret, tenant) = (app.add_secret(), world.emulator.entra().tenant_id().to_owned());
        let variables = [
            ("AZURE_TENANT_ID", tenant.as_str()),
            ("AZURE_CLIENT_ID", app.client_id()),
            ("AZURE_CLIENT_SECRET", secret.as_str()),
        ];
        assert_reads(&team, &direct("secret", &team, &variables)?).await
    })
}

#[test]
fn a_token_of_the_pods_service_account_is_enough_once_entra_knows_it() -> anyhow::Result<()> {
    in_world(async |world| {
        let (team, app) = team(world, "workload").await?;
        let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "shop"}});
        team.create(&account).await?;
        let (issuer, tenant) = (
            world.node.cluster.issuer().await?,
            world.emulator.entra().tenant_id().to_owned(),
        );
        let credential = FederatedCredential::service_account(&issuer, team.namespace.name(), "shop");
        app.add_federated_credential(credential);
        let variables = [
            ("AZURE_TENANT_ID", tenant.as_str()),
            ("AZURE_CLIENT_ID", app.client_id()),
            ("AZURE_FEDERATED_TOKEN_FILE", "/entra/token"),
        ];
        let mut pod = direct("workload", &team, &variables)?;
        pod["spec"]["serviceAccountName"] = "shop".into();
        let token = json!({"serviceAccountToken": {"audience": "api://AzureADTokenExchange", "path": "token"}});
        let volumes = pod["spec"]["volumes"].as_array_mut().expect("there is one");
        volumes.push(json!({"name": "entra", "projected": {"sources": [token]}}));
        let mounts = pod["spec"]["containers"][0]["volumeMounts"]
            .as_array_mut()
            .expect("there is one");
        mounts.push(json!({"name": "entra", "mountPath": "/entra", "readOnly": true}));
        assert_reads(&team, &pod).await?;

        // Entra takes nobody else's token.
        let mut stranger = pod.clone();
        stranger["metadata"]["name"] = "stranger".into();
        stranger["spec"]["serviceAccountName"] = "default".into();
        team.create(&stranger).await?;
        assert_eq!(world.node.ended(team.namespace.name(), "stranger").await?, "Failed");
        let log = world.node.log_now(team.namespace.name(), "stranger").await?;
        assert!(log.contains("FederatedSubjectMismatch"), "{log}");
        Ok(())
    })
}

#[test]
fn the_nodes_managed_identity_is_enough() -> anyhow::Result<()> {
    in_world(async |world| {
        let (team, app) = team(world, "managed").await?;
        world.emulator.imds().set_system_identity(app.principal().clone());
        let before = world.emulator.journal().counts().of(Operation::Token);
        assert_reads(&team, &direct("managed", &team, &[])?).await?;
        assert!(world.emulator.journal().counts().of(Operation::Token) > before);
        Ok(())
    })
}
