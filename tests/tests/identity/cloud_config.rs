//! The node's `azure.json`: every kind of credential it may hold, and following it while it changes.

use akv2k8s_shared::diagnosis::Code;
use akv2k8s_shared::identity::{AuthType, Method};
use akv2k8s_testbed::emulator::Role;
use akv2k8s_testbed::stage::{PATIENCE, Stage};
use akv2k8s_testbed::wait::until;
use serde_json::{Value, json};

use crate::bed::Bed;
use crate::openssl::OpenSsl;

/// Replaces the file at once, as Kubernetes does.
fn write(path: &str, content: &Value) {
    let fresh = format!("{path}.new");
    std::fs::write(&fresh, content.to_string()).unwrap();
    std::fs::rename(&fresh, path).unwrap();
}

#[tokio::test]
async fn every_credential_that_the_file_may_hold_reads() {
    let bed = Bed::start().await;
    let app = bed.emulator.entra().register_app();
    let node = bed.emulator.imds().assign_user_identity();
    for principal in [app.principal(), &node] {
        bed.vault.grant(principal, Role::SecretsUser);
    }
    let openssl = OpenSsl::at(bed.directory.path());
    openssl.certificate("app", &["rsa:2048"]);
    app.add_certificate(&openssl.der("app"));
    openssl.pfx("app", "app.pfx", "secret", &[]);
    let entra = bed.emulator.entra();
    let (client, tenant) = (app.client_id(), entra.tenant_id());
    for (content, method, client_id) in [
        (
            json!({"cloud": "AzureStackCloud", "tenantId": tenant, "aadClientId": client, "aadClientSecret": app.add_secret()}),
            Method::ClientSecret,
            client,
        ),
        (
            json!({"tenantId": tenant, "aadClientId": client, "aadClientCertPath": bed.path("app.pfx"),
                   "aadClientCertPassword": "secret"}),
            Method::ClientCertificate,
            client,
        ),
        (
            json!({"tenantId": tenant, "aadClientId": "msi", "aadClientSecret": "msi", "useManagedIdentityExtension": true,
                   "userAssignedIdentityID": node.client_id}),
            Method::ManagedIdentity,
            &node.client_id,
        ),
    ] {
        write(&bed.path("azure.json"), &content);
        let identity = bed.chosen(AuthType::AzureCloudConfig, &[]).await.unwrap();
        assert_eq!(identity.info().method, method);
        assert_eq!(identity.info().client_id.as_deref(), Some(client_id));
        assert_eq!(bed.read(&identity).await.unwrap(), "v");
    }
}

#[tokio::test]
async fn what_is_wrong_with_the_file_is_told_and_heals_when_it_is_put_right() {
    let bed = Bed::start().await;
    let provider = bed.provider(AuthType::AzureCloudConfig, &[]);
    let path = bed.path("azure.json");
    for (content, code) in [
        (None, Code::CloudConfigUnreadable),
        (
            Some(json!({"aadClientId": "msi", "aadClientSecret": "msi"})),
            Code::CloudConfigMsiPlaceholder,
        ),
        (
            Some(json!({"aadClientId": "c", "tenantId": "t"})),
            Code::CloudConfigUnreadable,
        ),
        (
            Some(json!({"cloud": "AzureMoonCloud", "useManagedIdentityExtension": true})),
            Code::CloudUnknown,
        ),
    ] {
        if let Some(content) = &content {
            write(&path, content);
        }
        let fails = async || provider.identity().await.err().filter(|it| it.code == code);
        until(&format!("the code {code}"), PATIENCE, fails).await.unwrap();
    }
    write(&path, &json!({"useManagedIdentityExtension": true}));
    bed.becomes(&provider, Method::ManagedIdentity).await;
}

const DB: &str = "{vault: {name: kv1, object: {name: db, type: secret}}, output: {secret: {name: db, dataKey: v}}}";

/// The whole way: the controller starts without an identity, is ready, says what is missing, finds it, and follows it.
#[tokio::test(flavor = "multi_thread")]
async fn a_controller_without_an_identity_is_ready_explains_itself_and_heals_without_a_restart() -> anyhow::Result<()> {
    let mut stage = Stage::new("azure-json").await?;
    stage.set_variable("AUTH_TYPE", "");
    let path = stage.files().join("azure.json").display().to_string();
    let vault = stage.vault("kv1");
    vault.set_secret("db", "one", akv2k8s_testbed::emulator::SecretOptions::default())?;
    let controller = stage.controller(&[&format!("--cloudconfig={path}")]).await?;
    stage.apply("db", DB).await?;
    let akvs = stage.wait_for_reason("db", "CloudConfigUnreadable").await?;
    let message = akvs
        .status
        .as_ref()
        .map(|it| format!("{:?}", it.conditions))
        .unwrap_or_default();
    assert!(message.contains(&path) && message.contains("AUTH_TYPE"), "{message}");
    controller.wait_until_ready().await?;
    let (_, body) = controller.get("/readyz").await?;
    assert!(body.contains("identity: CloudConfigUnreadable: "), "{body}");
    let (_, metrics) = controller.get("/metrics").await?;
    let line = "akv2k8s_problem{subject=\"identity\",code=\"CloudConfigUnreadable\"} 1";
    assert!(metrics.contains(line), "{metrics}");

    let (client, tenant) = (
        stage.app.client_id().to_owned(),
        stage.emulator.entra().tenant_id().to_owned(),
    );
    let by_secret = json!({"cloud": "AzureStackCloud", "tenantId": tenant, "aadClientId": client, "aadClientSecret": stage.app.add_secret()});
    write(&path, &by_secret);
    stage.wait_for_key("db", "v", "one").await?;
    let akvs = stage.wait_for_reason("db", "Synced").await?;
    assert_eq!(method_of(&akvs).as_deref(), Some("clientSecret"));
    until("a healthy /readyz", PATIENCE, async || {
        let (_, body) = controller.get("/readyz").await.ok()?;
        (body == "ok\n").then_some(())
    })
    .await?;

    let node = stage.emulator.imds().assign_system_identity();
    write(
        &path,
        &json!({"cloud": "AzureStackCloud", "useManagedIdentityExtension": true}),
    );
    stage.wait_for_reason("db", "ForbiddenByRbac").await?;
    assert_eq!(
        stage.key("db", "v").await.as_deref(),
        Some("one"),
        "the Secret is left alone"
    );
    for role in [Role::SecretsUser, Role::Reader] {
        vault.grant(&node, role);
    }
    let akvs = stage.wait_for_reason("db", "Synced").await?;
    assert_eq!(method_of(&akvs).as_deref(), Some("managedIdentity"));
    controller.stop().await
}

fn method_of(akvs: &akv2k8s_shared::api::AzureKeyVaultSecret) -> Option<String> {
    Some(akvs.status.as_ref()?.identity.as_ref()?.method.clone())
}
