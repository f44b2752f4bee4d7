//! The admin API and the program: the emulator for other processes.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use akv2k8s_testbed::emulator::{Role, SecretOptions};
use serde_json::{Value, json};

use crate::client::{Answer, Fixture};

async fn admin(f: &Fixture, request: &str, body: &Value) -> Answer {
    let (method, path) = request.split_once(' ').unwrap();
    let url = format!("{method} https://admin.localhost:{}{path}", f.emulator.port());
    f.client.send(&url, &[], &body.to_string()).await
}

#[tokio::test]
async fn state_is_set_and_read_over_http() {
    let f = Fixture::start().await;
    let state = json!({
        "apps": [{ "name": "app", "clientId": "ABCDEF00-0000-0000-0000-000000000001",
                   "secrets": [{ "value": "pw" }] }],
        "vaults": [{
            "name": "v", "roles": [{ "principal": "app", "role": "Key Vault Administrator" }],
            "secrets": [{ "name": "s", "value": "1", "contentType": "text/plain", "tags": { "a": "b" } }],
            "keys": [{ "name": "k", "curve": "P-256" }],
            "certificates": [{ "name": "c", "policy": { "x509_props": { "subject": "CN=c" } } }],
        }],
    });
    let applied = admin(&f, "POST /state", &state).await;
    assert_eq!(applied.status, 200, "{}", applied.text);
    let app = &applied.json()["principals"]["app"];
    assert_eq!(app["clientId"], "abcdef00-0000-0000-0000-000000000001");
    let form = [
        ("grant_type", "client_credentials"),
        ("client_id", "ABCDEF00-0000-0000-0000-000000000001"),
        ("client_secret", "pw"),
        ("scope", &f.scope()),
    ];
    let token = f.entra(f.emulator.entra().tenant_id(), &form).await.json()["access_token"]
        .as_str()
        .unwrap()
        .to_owned();
    for (path, status) in [
        ("secrets/s", 200),
        ("keys/k", 200),
        ("certificates/c", 200),
        ("secrets/c", 200),
    ] {
        assert_eq!(
            f.vault_as(&token, &format!("GET /{path}"), "").await.status,
            status,
            "{path}"
        );
    }
    assert_eq!(
        admin(&f, "POST /vaults/v/secrets/s/disable", &json!({})).await.status,
        200
    );
    assert_eq!(
        f.vault_as(&token, "GET /secrets/s", "").await.inner_code(),
        "SecretDisabled"
    );
    assert_eq!(
        admin(&f, "POST /vaults/v/secrets/s/explode", &json!({})).await.status,
        400
    );
    assert_eq!(
        admin(&f, "POST /vaults/w/secrets/s/delete", &json!({})).await.status,
        400
    );

    let overview = admin(&f, "GET /", &json!({})).await.json();
    assert_eq!(overview["vaults"]["v"], f.emulator.vault("v").url());
    assert_eq!(overview["caPem"], f.emulator.ca_pem());
    assert_eq!(overview["tenantId"], f.emulator.entra().tenant_id());
    let wrong = admin(
        &f,
        "POST /state",
        &json!({ "vaults": [{ "name": "v", "colour": "red" }] }),
    )
    .await;
    assert!(wrong.status == 400 && wrong.text.contains("colour"), "{}", wrong.text);
    assert_eq!(admin(&f, "GET /nothing", &json!({})).await.status, 404);
}

#[tokio::test]
async fn faults_journal_and_clock_are_driven_over_http() {
    let f = Fixture::start().await;
    let vault = f.emulator.vault("v");
    vault.grant(f.app.principal(), Role::SecretsUser);
    vault.set_secret("s", "1", SecretOptions::default()).unwrap();
    let fault = json!({ "service": { "vault": "v" }, "operations": ["SecretGet"], "kind": { "throttle": {} } });
    let id = admin(&f, "POST /faults", &fault).await.json()["id"].clone();
    assert_eq!(admin(&f, "GET /faults", &json!({})).await.json()["faults"][0]["id"], id);
    assert_eq!(f.vault("GET /secrets/s", "").await.status, 429);
    assert_eq!(
        admin(&f, &format!("DELETE /faults/{id}"), &json!({})).await.json()["lifted"],
        true
    );
    assert_eq!(f.vault("GET /secrets/s", "").await.status, 200);

    let journal = admin(&f, "GET /journal", &json!({})).await.json();
    let row = json!({ "service": { "vault": "v" }, "operation": "SecretGet", "status": 429, "count": 1 });
    assert!(journal["counts"].as_array().unwrap().contains(&row), "{journal}");
    assert_eq!(journal["total"], 2, "admin requests do not count");
    admin(&f, "DELETE /journal", &json!({})).await;
    assert_eq!(admin(&f, "GET /journal", &json!({})).await.json()["total"], 0);

    admin(&f, "PUT /clock", &json!({ "offsetSeconds": -86400 })).await;
    assert_eq!(f.emulator.clock().offset(), -86400);
    let unknown = json!({ "kind": "reset", "operations": ["SecretFetch"] });
    assert!(admin(&f, "POST /faults", &unknown).await.text.contains("SecretFetch"));
}

#[test]
fn the_program_starts_from_a_file_and_says_where_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("emulator.yaml");
    std::fs::write(
        &config,
        "apps: [{name: web}]\nvaults: [{name: shop, secrets: [{name: s, value: '1'}]}]\n",
    )
    .unwrap();
    let output = directory.path().join("files");
    let mut child = Command::new(env!("CARGO_BIN_EXE_testbed"))
        .args(["emulator", "--listen", "127.0.0.1:0", "--imds-listen", "127.0.0.1:0"])
        .arg("--config")
        .arg(&config)
        .arg("--directory")
        .arg(&output)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap())
        .lines()
        .map_while(Result::ok);
    let lines: Vec<String> = lines.take_while(|line| line != "ready").collect();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(
        lines.iter().any(|line| line.starts_with("principal   web  client ")),
        "{lines:#?}"
    );
    let cloud: Value = serde_json::from_str(&std::fs::read_to_string(output.join("cloud.json")).unwrap()).unwrap();
    let suffix = cloud["keyVaultDNSSuffix"].as_str().unwrap();
    assert!(
        suffix.starts_with("vault.localhost:") && lines[0].contains(suffix),
        "{suffix}"
    );
    assert!(
        std::fs::read_to_string(output.join("ca.pem"))
            .unwrap()
            .contains("BEGIN CERTIFICATE")
    );
}

#[test]
fn a_mistake_in_the_file_ends_the_program_with_its_place() {
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("bad.yaml");
    std::fs::write(
        &config,
        "vaults: [{name: shop, roles: [{principal: ghost, role: Key Vault Reader}]}]\n",
    )
    .unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_testbed"))
        .args([
            "emulator",
            "--listen",
            "127.0.0.1:0",
            "--imds-listen",
            "127.0.0.1:0",
            "--config",
        ])
        .arg(&config)
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(
        !output.status.success() && error.contains("ghost") && error.contains("shop"),
        "{error}"
    );
}
