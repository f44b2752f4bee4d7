//! Managed identity endpoints.

use akv2k8s_testbed::emulator::{Role, SecretOptions};

use crate::client::{Answer, Fixture};

async fn imds(f: &Fixture, query: &str) -> Answer {
    let url = format!(
        "GET {}/metadata/identity/oauth2/token?api-version=2018-02-01&{query}",
        f.emulator.imds().endpoint()
    );
    f.client.send(&url, &[("metadata", "true")], "").await
}

const RESOURCE: &str = "resource=https%3A%2F%2Fvault.azure.net";

#[tokio::test]
async fn a_managed_identity_gets_a_token_the_vault_accepts() {
    let f = Fixture::start().await;
    let vault = f.emulator.vault("v");
    vault.set_secret("a", "1", SecretOptions::default()).unwrap();
    vault.grant(&f.emulator.imds().assign_system_identity(), Role::SecretsUser);
    let resource = format!("resource={}", f.emulator.vault_audience());
    let answer = imds(&f, &resource).await.json();
    let token = answer["access_token"].as_str().unwrap();
    assert!(answer["expires_on"].is_string());
    assert_eq!(f.vault_as(token, "GET /secrets/a", "").await.json()["value"], "1");
}

#[tokio::test]
async fn which_identity_is_meant_must_be_clear() {
    let f = Fixture::start().await;
    assert_eq!(
        imds(&f, RESOURCE).await.json()["error_description"],
        "Identity not found"
    );
    let one = f.emulator.imds().assign_user_identity();
    assert_eq!(imds(&f, RESOURCE).await.json()["client_id"], one.client_id);
    let two = f.emulator.imds().assign_user_identity();
    let ambiguous = imds(&f, RESOURCE).await;
    assert_eq!(ambiguous.status, 400);
    assert!(ambiguous.text.contains("Multiple user assigned identities exist"));
    for (query, expected) in [
        (format!("client_id={}", two.client_id), &two),
        (format!("object_id={}", one.object_id), &one),
    ] {
        assert_eq!(
            imds(&f, &format!("{RESOURCE}&{query}")).await.json()["client_id"],
            expected.client_id
        );
    }
    let unknown = imds(
        &f,
        &format!("{RESOURCE}&client_id=33333333-3333-3333-3333-333333333333"),
    )
    .await;
    assert_eq!(
        (unknown.status, unknown.json()["error_description"].as_str()),
        (400, Some("Identity not found"))
    );
}

#[tokio::test]
async fn the_header_that_proves_a_local_caller_is_required() {
    let f = Fixture::start().await;
    f.emulator.imds().assign_system_identity();
    let url = format!(
        "GET {}/metadata/identity/oauth2/token?api-version=2018-02-01&{RESOURCE}",
        f.emulator.imds().endpoint()
    );
    assert_eq!(f.client.send(&url, &[], "").await.status, 400);
    assert_eq!(
        f.client
            .send(&url, &[("metadata", "true"), ("x-forwarded-for", "10.0.0.1")], "")
            .await
            .status,
        400
    );
}

#[tokio::test]
async fn app_service_has_its_own_form() {
    let f = Fixture::start().await;
    let identity = f.emulator.imds().assign_system_identity();
    let (endpoint, header) = f.emulator.imds().app_service();
    let url = format!("GET {endpoint}?api-version=2019-08-01&{RESOURCE}");
    let answer = f.client.send(&url, &[("x-identity-header", &header)], "").await;
    assert_eq!(answer.json()["client_id"], identity.client_id);
    assert_eq!(
        f.client.send(&url, &[("x-identity-header", "guess")], "").await.status,
        403
    );
}
