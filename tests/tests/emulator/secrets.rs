//! Secrets: challenge, tokens, permissions, versions, pages, soft delete.

use akv2k8s_testbed::emulator::{AttributeChange, Firewall, Kind, Operation, Policy, Role, SecretOptions};
use serde_json::json;

use crate::client::Fixture;

async fn with_role(role: Role) -> Fixture {
    let fixture = Fixture::start().await;
    fixture.emulator.vault("v").grant(fixture.app.principal(), role);
    fixture
}

#[tokio::test]
async fn a_request_without_a_token_is_told_where_to_get_one() {
    let f = Fixture::start().await;
    let url = format!("GET {}/secrets/a?api-version=7.5", f.emulator.vault("v").url());
    let answer = f.client.send(&url, &[], "").await;
    assert_eq!(answer.status, 401);
    let tenant = f.emulator.entra().tenant_id().to_owned();
    let port = f.emulator.port();
    assert_eq!(
        answer.header("www-authenticate"),
        format!(
            "Bearer authorization=\"https://login.localhost:{port}/{tenant}\", resource=\"https://vault.localhost:{port}\""
        )
    );
    assert_eq!(f.emulator.journal().counts().with_status(Operation::SECRET_GET, 401), 1);
}

#[tokio::test]
async fn tokens_are_checked_for_signature_issuer_audience_and_expiry() {
    let f = with_role(Role::SecretsUser).await;
    f.emulator
        .vault("v")
        .set_secret("a", "1", SecretOptions::default())
        .unwrap();
    let good = f.token();
    assert_eq!(f.vault_as(&good, "GET /secrets/a", "").await.status, 200);

    let forged = format!("{}x{}", &good[..good.len() - 20], &good[good.len() - 19..]);
    let foreign_audience = f.token_for("https://management.azure.com");
    let foreign_tenant = {
        let mut principal = f.app.principal().clone();
        principal.tenant_id = "11111111-1111-1111-1111-111111111111".into();
        f.emulator
            .entra()
            .token(&principal, &f.emulator.vault_audience())
            .unwrap()
    };
    for (token, text) in [
        (forged.as_str(), "AKV10046"),
        (
            &foreign_audience,
            "AKV10022: Invalid audience. Expected https://vault.localhost:",
        ),
        (&foreign_tenant, "AKV10032: Invalid issuer"),
        ("not-a-token", "AKV10022"),
    ] {
        let answer = f.vault_as(token, "GET /secrets/a", "").await;
        assert_eq!(answer.status, 401, "{text}");
        assert!(answer.text.contains(text), "{}", answer.text);
        assert!(answer.header("www-authenticate").contains("error=\"invalid_token\""));
    }

    f.emulator.clock().set_offset(3600);
    let answer = f.vault_as(&good, "GET /secrets/a", "").await;
    assert_eq!(answer.status, 401);
    assert!(answer.text.contains("TokenExpired"));
}

#[tokio::test]
async fn rights_to_get_and_to_list_are_separate() {
    let f = Fixture::start().await;
    let vault = f.emulator.vault("v");
    vault.set_secret("a", "1", SecretOptions::default()).unwrap();
    let refused = f.vault("GET /secrets/a", "").await;
    assert_eq!(
        (refused.status, refused.inner_code().as_str()),
        (403, "ForbiddenByRbac")
    );
    assert!(refused.text.contains(f.app.client_id()));

    vault.grant(f.app.principal(), Role::Custom(vec!["secrets/getSecret/action".into()]));
    assert_eq!(f.vault("GET /secrets/a", "").await.status, 200);
    assert_eq!(f.vault("GET /secrets", "").await.inner_code(), "ForbiddenByRbac");

    vault.set_policy(
        f.app.principal(),
        Policy {
            secrets: vec!["list".into()],
            ..Policy::default()
        },
    );
    assert_eq!(f.vault("GET /secrets", "").await.status, 200);
    assert_eq!(f.vault("GET /secrets/a", "").await.inner_code(), "ForbiddenByPolicy");

    vault.set_firewall(Some(Firewall::SelectedNetworks));
    assert_eq!(f.vault("GET /secrets", "").await.inner_code(), "ForbiddenByFirewall");
    vault.set_firewall(Some(Firewall::PrivateEndpoint));
    assert_eq!(f.vault("GET /secrets", "").await.inner_code(), "ForbiddenByConnection");
}

#[tokio::test]
async fn each_set_makes_a_version_and_old_ones_stay_readable() {
    let f = with_role(Role::SecretsOfficer).await;
    let body =
        json!({ "value": "one", "contentType": "text/plain", "tags": { "t": "1" }, "attributes": { "exp": 99 } });
    let first = f.vault("PUT /secrets/Db-Pass", &body.to_string()).await.json();
    let second = f.vault("PUT /secrets/db-pass/", r#"{"value":"two"}"#).await.json();
    assert_eq!(f.vault("GET /secrets/DB-PASS", "").await.json()["value"], "two");
    let id = first["id"].as_str().unwrap();
    let version = id.rsplit('/').next().unwrap();
    assert_eq!(version.len(), 32);
    assert!(
        id.starts_with(&format!("{}/secrets/Db-Pass/", f.emulator.vault("v").url())),
        "{id}"
    );
    let old = f.vault(&format!("GET /secrets/db-pass/{version}"), "").await.json();
    assert_eq!(
        (&old["value"], &old["contentType"], &old["tags"]["t"]),
        (&json!("one"), &json!("text/plain"), &json!("1"))
    );
    assert_eq!(
        (&old["attributes"]["exp"], &old["attributes"]["enabled"]),
        (&json!(99), &json!(true))
    );
    assert_ne!(first["id"], second["id"]);
    let versions = f.vault("GET /secrets/db-pass/versions", "").await.json();
    assert_eq!(versions["value"].as_array().unwrap().len(), 2);
    assert!(!versions.to_string().contains("\"value\":\"one\""));
}

#[tokio::test]
async fn attributes_change_without_the_value_and_disabled_versions_are_not_read() {
    let f = with_role(Role::SecretsOfficer).await;
    let vault = f.emulator.vault("v");
    let written_at = Some(f.emulator.clock().now() - 100);
    vault
        .set_secret(
            "a",
            "1",
            SecretOptions {
                written_at,
                ..SecretOptions::default()
            },
        )
        .unwrap();
    let before = f.vault("GET /secrets/a", "").await.json();
    let body = json!({ "attributes": { "enabled": false }, "tags": { "x": "y" }, "contentType": "c" });
    let changed = f.vault("PATCH /secrets/a/", &body.to_string()).await.json();
    assert_eq!((&changed["id"], &changed["tags"]["x"]), (&before["id"], &json!("y")));
    assert!(changed["attributes"]["updated"].as_i64() > before["attributes"]["updated"].as_i64());
    let refused = f.vault("GET /secrets/a", "").await;
    assert_eq!((refused.status, refused.inner_code().as_str()), (403, "SecretDisabled"));
    vault
        .change(
            Kind::Secret,
            "a",
            None,
            &AttributeChange {
                enabled: Some(true),
                ..AttributeChange::default()
            },
        )
        .unwrap();
    assert_eq!(f.vault("GET /secrets/a", "").await.json()["value"], "1");
}

#[tokio::test]
async fn listings_have_pages_of_25_without_values_or_versions() {
    let f = with_role(Role::SecretsUser).await;
    let vault = f.emulator.vault("v");
    for i in 0..60 {
        vault
            .set_secret(&format!("s{i:02}"), "canary", SecretOptions::default())
            .unwrap();
    }
    let (mut names, mut url) = (Vec::new(), format!("{}/secrets?api-version=2026-04-01", vault.url()));
    let mut pages = 0;
    loop {
        let bearer = format!("Bearer {}", f.token());
        let page = f
            .client
            .send(&format!("GET {url}"), &[("authorization", &bearer)], "")
            .await;
        assert!(!page.text.contains("canary"));
        pages += 1;
        let page = page.json();
        names.extend(
            page["value"]
                .as_array()
                .unwrap()
                .iter()
                .map(|item| item["id"].as_str().unwrap().to_owned()),
        );
        match page["nextLink"].as_str() {
            Some(next) => url = next.to_owned(),
            None => break,
        }
    }
    assert_eq!((pages, names.len()), (3, 60));
    assert_eq!(names[59], format!("{}/secrets/s59", vault.url()));
    assert_eq!(
        f.emulator
            .journal()
            .counts()
            .vault("v")
            .with_status(Operation::SECRET_LIST, 200),
        3
    );
    assert_eq!(
        f.vault("GET /secrets?maxresults=7", "").await.json()["value"]
            .as_array()
            .unwrap()
            .len(),
        7
    );
    assert_eq!(f.vault("GET /secrets?maxresults=26", "").await.status, 400);
}

#[tokio::test]
async fn deleted_secrets_are_recovered_or_purged() {
    let f = with_role(Role::SecretsOfficer).await;
    f.vault("PUT /secrets/a", r#"{"value":"1"}"#).await;
    let deleted = f.vault("DELETE /secrets/a", "").await.json();
    assert_eq!(
        deleted["recoveryId"],
        format!("{}/deletedsecrets/a", f.emulator.vault("v").url())
    );
    assert!(deleted["scheduledPurgeDate"].as_i64() > deleted["deletedDate"].as_i64());
    let gone = f.vault("GET /secrets/a", "").await;
    assert_eq!(
        (gone.status, &gone.json()["error"]["code"]),
        (404, &json!("SecretNotFound"))
    );
    let taken = f.vault("PUT /secrets/a", r#"{"value":"2"}"#).await;
    assert_eq!(
        (taken.status, taken.inner_code().as_str()),
        (409, "ObjectIsDeletedButRecoverable")
    );
    assert_eq!(
        f.vault("GET /deletedsecrets", "").await.json()["value"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    assert_eq!(f.vault("POST /deletedsecrets/a/recover", "").await.status, 200);
    assert_eq!(f.vault("GET /secrets/a", "").await.json()["value"], "1");
    f.vault("DELETE /secrets/a", "").await;
    assert_eq!(f.vault("DELETE /deletedsecrets/a", "").await.status, 204);
    assert_eq!(f.vault("GET /deletedsecrets/a", "").await.status, 404);
    assert_eq!(f.vault("PUT /secrets/a", r#"{"value":"3"}"#).await.status, 200);
}

#[tokio::test]
async fn requests_the_service_refuses_are_refused() {
    let f = with_role(Role::SecretsOfficer).await;
    let large = json!({ "value": "x".repeat(25 * 1024 + 1) }).to_string();
    for (request, body, status) in [
        ("PUT /secrets/a_b", r#"{"value":"1"}"#, 400),
        ("PUT /secrets/a", "{}", 400),
        ("PUT /secrets/a", "{", 400),
        ("PUT /secrets/a", &large, 400),
        ("POST /secrets/a", "", 404),
        ("GET /secrets?$skiptoken=%21", "", 400),
    ] {
        assert_eq!(
            f.vault(request, body).await.status,
            status,
            "{request} {}",
            &body[..body.len().min(20)]
        );
    }
    let bearer = format!("Bearer {}", f.token());
    let base = f.emulator.vault("v").url();
    for (query, status) in [("", 400), ("?api-version=1.0", 400), ("?api%2Dversion=2025-07-01", 200)] {
        let url = format!("GET {base}/secrets/{query}");
        assert_eq!(
            f.client.send(&url, &[("authorization", &bearer)], "").await.status,
            status,
            "{query}"
        );
    }
    let unknown = format!("GET https://nobody.vault.localhost:{}/secrets", f.emulator.port());
    assert_eq!(f.client.send(&unknown, &[], "").await.status, 421);
}
