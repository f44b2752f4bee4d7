//! Federation with a real Kubernetes API server: its tokens, its discovery, its keys.

use akv2k8s_testbed::controlplane::ControlPlane;
use akv2k8s_testbed::emulator::{FederatedCredential, Role, SecretOptions};

use crate::client::{Answer, Fixture};

const AUDIENCE: &str = "api://AzureADTokenExchange";

async fn exchange(f: &Fixture, assertion: &str) -> Answer {
    let scope = f.scope();
    let form = [
        ("grant_type", "client_credentials"),
        ("client_id", f.app.client_id()),
        (
            "client_assertion_type",
            "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        ),
        ("client_assertion", assertion),
        ("scope", scope.as_str()),
    ];
    f.entra(f.emulator.entra().tenant_id(), &form).await
}

#[tokio::test]
async fn a_service_account_token_of_a_real_api_server_opens_the_vault() {
    let cluster = ControlPlane::shared().await.unwrap();
    let namespace = cluster.namespace("federation").await.unwrap();
    let f = Fixture::start().await;
    let vault = f.emulator.vault("v");
    vault.grant(f.app.principal(), Role::SecretsUser);
    vault.set_secret("a", "1", SecretOptions::default()).unwrap();
    f.emulator.entra().trust_issuer_ca(cluster.ca_pem());
    let issuer = cluster.issuer().await.unwrap();
    f.app.add_federated_credential(FederatedCredential::service_account(
        &issuer,
        namespace.name(),
        "default",
    ));

    let token = |audience| cluster.service_account_token(namespace.name(), "default", audience);
    let answer = exchange(&f, &token(AUDIENCE).await.unwrap()).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let access = answer.json()["access_token"].as_str().unwrap().to_owned();
    assert_eq!(f.vault_as(&access, "GET /secrets/a", "").await.json()["value"], "1");

    let elsewhere = exchange(&f, &token("https://elsewhere.example").await.unwrap()).await;
    assert_eq!(elsewhere.json()["error_codes"][0], 700_212);
}
