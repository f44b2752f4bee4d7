//! Certificates and keys: creation, import, the secret and key behind a certificate, deletion together.

use std::io::Write;
use std::process::{Command, Stdio};

use akv2k8s_testbed::emulator::{CertificatePolicy, Kind, Role, TEST_ISSUER};
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use p12_keystore::Pkcs12Archive;
use serde_json::{Value, json};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::client::Fixture;

async fn administrator() -> Fixture {
    let fixture = Fixture::start().await;
    fixture
        .emulator
        .vault("v")
        .grant(fixture.app.principal(), Role::Administrator);
    fixture
}

fn der(bundle: &Value) -> Vec<u8> {
    BASE64_STANDARD.decode(bundle["cer"].as_str().unwrap()).unwrap()
}

fn version(bundle: &Value, id: &str) -> String {
    bundle[id].as_str().unwrap().rsplit('/').next().unwrap().to_owned()
}

/// Runs the real openssl and returns what it prints.
fn openssl(arguments: &[&str], input: &[u8]) -> Vec<u8> {
    let mut child = Command::new("openssl")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("openssl is needed: apt-get install openssl");
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(
        output.status.success(),
        "openssl {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}

#[tokio::test]
async fn keys_of_every_type_are_created_and_read() {
    let f = administrator().await;
    for (body, members) in [
        (json!({ "kty": "RSA", "key_size": 2048 }), vec!["n", "e"]),
        (json!({ "kty": "RSA-HSM" }), vec!["n", "e"]),
        (json!({ "kty": "EC", "crv": "P-256" }), vec!["crv", "x", "y"]),
        (json!({ "kty": "EC", "crv": "P-384" }), vec!["crv", "x", "y"]),
        (json!({ "kty": "EC", "crv": "P-521" }), vec!["crv", "x", "y"]),
        (
            json!({ "kty": "EC", "crv": "P-256K", "key_ops": ["sign"] }),
            vec!["crv", "x", "y"],
        ),
    ] {
        let created = f.vault("POST /keys/k/create", &body.to_string()).await;
        assert_eq!(created.status, 200, "{}", created.text);
        let created = created.json();
        assert_eq!(created["key"]["kty"], body["kty"]);
        for member in members {
            assert!(created["key"][member].is_string(), "{member} {created}");
        }
        assert!(created["key"].get("d").is_none());
        let read = f
            .vault(&format!("GET /keys/k/{}", version(&created["key"], "kid")), "")
            .await
            .json();
        assert_eq!(read, created);
    }
    assert_eq!(
        f.vault("GET /keys/k/versions", "").await.json()["value"]
            .as_array()
            .unwrap()
            .len(),
        6
    );
    let update = json!({ "attributes": { "enabled": false }, "key_ops": ["verify"] }).to_string();
    assert_eq!(
        f.vault("PATCH /keys/k", &update).await.json()["key"]["key_ops"],
        json!(["verify"])
    );
    assert_eq!(f.vault("GET /keys/k", "").await.inner_code(), "KeyDisabled");
    for bad in [
        json!({}),
        json!({ "kty": "RSA", "key_size": 1024 }),
        json!({ "kty": "EC", "crv": "P-1" }),
    ] {
        assert_eq!(
            f.vault("POST /keys/b/create", &bad.to_string()).await.status,
            400,
            "{bad}"
        );
    }
    assert_eq!(
        f.vault("GET /keys/nobody", "").await.json()["error"]["code"],
        "KeyNotFound"
    );
}

#[tokio::test]
async fn a_certificate_is_created_with_its_secret_and_key() {
    let f = administrator().await;
    let policy = json!({ "policy": {
        "x509_props": { "subject": "CN=www.example.com", "sans": { "dns_names": ["www.example.com"] } },
        "issuer": { "name": "Self" }, "key_props": { "kty": "EC", "crv": "P-256" } } });
    let started = f.vault("POST /certificates/c/create", &policy.to_string()).await;
    assert_eq!((started.status, &started.json()["status"]), (202, &json!("inProgress")));
    let csr = BASE64_STANDARD.decode(started.json()["csr"].as_str().unwrap()).unwrap();
    openssl(&["req", "-inform", "DER", "-verify", "-noout"], &csr);
    let pending = f.vault("GET /certificates/c/pending", "").await.json();
    assert_eq!(
        (&pending["status"], &pending["target"]),
        (&json!("completed"), &started.json()["target"])
    );

    let bundle = f.vault("GET /certificates/c", "").await.json();
    let der = der(&bundle);
    let (_, certificate) = X509Certificate::from_der(&der).unwrap();
    certificate.verify_signature(None).unwrap();
    let exp = certificate.validity().not_after.timestamp();
    assert_eq!(
        (
            &bundle["attributes"]["exp"],
            &bundle["policy"]["key_props"]["exportable"]
        ),
        (&json!(exp), &json!(true))
    );
    let sha1 = ring::digest::digest(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY, &der);
    assert_eq!(bundle["x5t"], BASE64_URL_SAFE_NO_PAD.encode(sha1));

    let id = version(&bundle, "id");
    let secret = f.vault(&format!("GET /secrets/c/{id}"), "").await.json();
    assert_eq!(
        (&secret["managed"], &secret["contentType"]),
        (&json!(true), &json!("application/x-pkcs12"))
    );
    assert_eq!((&secret["id"], &secret["kid"]), (&bundle["sid"], &bundle["kid"]));
    let pfx = BASE64_STANDARD.decode(secret["value"].as_str().unwrap()).unwrap();
    let text = openssl(&["pkcs12", "-legacy", "-nodes", "-passin", "pass:"], &pfx);
    let text = String::from_utf8(text).unwrap();
    assert!(text.contains("PRIVATE KEY") && text.contains("BEGIN CERTIFICATE"));
    let key = f.vault(&format!("GET /keys/c/{id}"), "").await.json();
    assert_eq!((&key["managed"], &key["key"]["crv"]), (&json!(true), &json!("P-256")));
    let listed = f.vault("GET /secrets", "").await.json();
    assert_eq!(listed["value"][0]["managed"], true);
}

#[tokio::test]
async fn an_issuers_certificate_has_a_chain_openssl_verifies() {
    let f = administrator().await;
    let vault = f.emulator.vault("v");
    let policy = CertificatePolicy::self_signed("CN=leaf").issued_by(TEST_ISSUER);
    vault.create_certificate("pfx", &policy).unwrap();
    let secret = f.vault("GET /secrets/pfx", "").await.json();
    let pfx = BASE64_STANDARD.decode(secret["value"].as_str().unwrap()).unwrap();
    let archive = Pkcs12Archive::from_pkcs12(&pfx, "").unwrap();
    let subjects: Vec<_> = archive.certs.iter().map(|bag| bag.cert.subject().to_owned()).collect();
    assert_eq!(subjects.len(), 3);
    assert!(
        subjects[0].contains("Test Root") && subjects[2] == "CN=leaf",
        "from the root down: {subjects:?}"
    );

    vault.create_certificate("pem", &policy.pem()).unwrap();
    let secret = f.vault("GET /secrets/pem", "").await.json();
    let text = secret["value"].as_str().unwrap();
    let blocks = pem::parse_many(text).unwrap();
    assert_eq!(blocks[0].tag(), "PRIVATE KEY");
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, block: &pem::Pem| {
        let path = directory.path().join(name);
        std::fs::write(&path, pem::encode(block)).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (leaf, issuing, root) = (
        file("leaf", &blocks[1]),
        file("issuing", &blocks[2]),
        file("root", &blocks[3]),
    );
    openssl(
        &[
            "verify",
            "-x509_strict",
            "-CAfile",
            &root,
            "-untrusted",
            &issuing,
            &leaf,
        ],
        b"",
    );
}

#[tokio::test]
async fn what_is_not_exportable_keeps_its_key() {
    let f = administrator().await;
    let vault = f.emulator.vault("v");
    vault
        .create_certificate("c", &CertificatePolicy::self_signed("CN=c").pem().not_exportable())
        .unwrap();
    let secret = f.vault("GET /secrets/c", "").await.json();
    assert!(!secret["value"].as_str().unwrap().contains("PRIVATE KEY"));
    assert_eq!(
        f.vault("GET /certificates/c", "").await.json()["policy"]["key_props"]["exportable"],
        false
    );
}

#[tokio::test]
async fn files_of_openssl_are_imported() {
    let f = administrator().await;
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let (key, own) = (path("key.pem"), path("own.pem"));
    let request = [
        "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", &key, "-out", &own, "-days", "30",
    ];
    openssl(
        &[
            &request[..],
            &["-subj", "/CN=imported", "-addext", "subjectAltName=DNS:a.example"],
        ]
        .concat(),
        b"",
    );
    let expected = pem::parse(std::fs::read(&own).unwrap()).unwrap().into_contents();

    for (name, options) in [("modern", vec![]), ("legacy", vec!["-legacy"])] {
        let export = ["pkcs12", "-export", "-inkey", &key, "-in", &own, "-passout", "pass:pw"];
        let pfx = openssl(&[&export[..], &options].concat(), b"");
        let body = json!({ "value": BASE64_STANDARD.encode(&pfx), "pwd": "pw" });
        let imported = f
            .vault(&format!("POST /certificates/{name}/import"), &body.to_string())
            .await;
        assert_eq!(imported.status, 200, "{}", imported.text);
        assert_eq!(der(&imported.json()), expected, "{name}");
        assert_eq!(
            imported.json()["policy"]["x509_props"]["sans"]["dns_names"],
            json!(["a.example"])
        );
        let wrong = json!({ "value": BASE64_STANDARD.encode(&pfx), "pwd": "nope" }).to_string();
        let refused = f.vault(&format!("POST /certificates/{name}/import"), &wrong).await;
        assert_eq!(
            (refused.status, &refused.json()["error"]["code"]),
            (400, &json!("BadParameter"))
        );
    }

    let text = [
        std::fs::read_to_string(&key).unwrap(),
        std::fs::read_to_string(&own).unwrap(),
    ]
    .concat();
    let body = json!({ "value": text, "policy": { "secret_props": { "contentType": "application/x-pem-file" } } });
    let imported = f.vault("POST /certificates/pem/import", &body.to_string()).await.json();
    assert_eq!(der(&imported), expected);
    let in_base64 = json!({ "value": BASE64_STANDARD.encode(body["value"].as_str().unwrap()) }).to_string();
    let imported = f.vault("POST /certificates/pem64/import", &in_base64).await.json();
    assert_eq!(der(&imported), expected, "as Microsoft's Python SDK sends it");
    let secret = f.vault("GET /secrets/pem", "").await.json();
    assert_eq!(secret["contentType"], "application/x-pem-file");
    assert_eq!(secret["value"], text, "key and certificate as uploaded");
    let keyless = json!({ "value": std::fs::read_to_string(&own).unwrap() }).to_string();
    assert_eq!(f.vault("POST /certificates/pem/import", &keyless).await.status, 400);
}

#[tokio::test]
async fn attributes_and_deletion_reach_the_secret_and_the_key() {
    let f = administrator().await;
    let vault = f.emulator.vault("v");
    vault
        .create_certificate("c", &CertificatePolicy::self_signed("CN=c"))
        .unwrap();
    let body = json!({ "attributes": { "enabled": false }, "tags": { "a": "b" } }).to_string();
    assert_eq!(f.vault("PATCH /certificates/c", &body).await.json()["tags"]["a"], "b");
    for (path, inner) in [
        ("certificates", "CertificateDisabled"),
        ("secrets", "SecretDisabled"),
        ("keys", "KeyDisabled"),
    ] {
        assert_eq!(f.vault(&format!("GET /{path}/c"), "").await.inner_code(), inner);
    }
    vault
        .change(
            Kind::Certificate,
            "c",
            None,
            &serde_json::from_value(json!({ "enabled": true })).unwrap(),
        )
        .unwrap();

    assert_eq!(f.vault("DELETE /secrets/c", "").await.inner_code(), "SecretManaged");
    assert_eq!(
        f.vault("PUT /secrets/c", r#"{"value":"x"}"#).await.inner_code(),
        "SecretManaged"
    );
    let deleted = f.vault("DELETE /certificates/c", "").await.json();
    assert!(deleted["recoveryId"].is_string() && deleted["cer"].is_string());
    assert_eq!(f.vault("GET /secrets/c", "").await.status, 404);
    assert_eq!(f.vault("POST /deletedcertificates/c/recover", "").await.status, 200);
    assert_eq!(f.vault("GET /secrets/c", "").await.status, 200);
    f.vault("DELETE /certificates/c", "").await;
    assert_eq!(f.vault("DELETE /deletedcertificates/c", "").await.status, 204);
    assert_eq!(f.vault("GET /deletedkeys/c", "").await.status, 404);
}

#[tokio::test]
async fn policies_and_issuers_are_kept() {
    let f = administrator().await;
    let action = json!({ "trigger": { "days_before_expiry": 9 }, "action": { "action_type": "AutoRenew" } });
    let policy = json!({ "policy": { "x509_props": { "subject": "CN=c", "validity_months": 6 },
        "key_props": { "kty": "EC", "reuse_key": true }, "lifetime_actions": [action], "issuer": { "name": "mine" } } });
    let unknown = f.vault("POST /certificates/c/create", &policy.to_string()).await;
    assert_eq!(unknown.status, 400, "an issuer nobody set");
    assert_eq!(
        f.vault("PUT /certificates/issuers/mine", r#"{"provider":"DigiCert"}"#)
            .await
            .status,
        200
    );
    assert_eq!(
        f.vault("GET /certificates/issuers/mine", "").await.json()["provider"],
        "DigiCert"
    );
    assert_eq!(
        f.vault("POST /certificates/c/create", &policy.to_string()).await.status,
        202
    );
    let kept = f.vault("GET /certificates/c/policy", "").await.json();
    assert_eq!(
        (&kept["lifetime_actions"][0], &kept["x509_props"]["validity_months"]),
        (&action, &json!(6))
    );
    let patched = f
        .vault(
            "PATCH /certificates/c/policy",
            r#"{"x509_props":{"validity_months":3}}"#,
        )
        .await
        .json();
    assert_eq!(
        (
            &patched["x509_props"]["validity_months"],
            &patched["x509_props"]["subject"]
        ),
        (&json!(3), &json!("CN=c"))
    );

    let first = f.vault("GET /keys/c", "").await.json();
    f.vault("POST /certificates/c/create", &policy.to_string()).await;
    let second = f.vault("GET /keys/c", "").await.json();
    assert_eq!(first["key"]["x"], second["key"]["x"], "the key is reused");
    assert_ne!(first["key"]["kid"], second["key"]["kid"]);
    assert_eq!(f.vault("DELETE /certificates/issuers/mine", "").await.status, 200);
    assert_eq!(f.vault("GET /certificates/issuers/mine", "").await.status, 404);
}
