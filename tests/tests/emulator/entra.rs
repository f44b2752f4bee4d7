//! Entra: grants, and the AADSTS code of each way they fail.

use akv2k8s_testbed::emulator::{FederatedCredential, Role, SecretOptions};
use serde_json::json;

use crate::client::{Answer, Fixture};

async fn with_secret(f: &Fixture, secret: &str) -> Answer {
    let form = [
        ("grant_type", "client_credentials"),
        ("client_id", f.app.client_id()),
        ("client_secret", secret),
        ("scope", &f.scope()),
    ];
    f.entra(f.emulator.entra().tenant_id(), &form).await
}

fn code(answer: &Answer) -> i64 {
    let body = answer.json();
    let code = body["error_codes"][0].as_i64().unwrap();
    let description = body["error_description"].as_str().unwrap();
    assert!(description.starts_with(&format!("AADSTS{code}: ")), "{description}");
    assert!(body["trace_id"].is_string() && body["correlation_id"].is_string());
    code
}

#[tokio::test]
async fn a_client_secret_gives_a_token_the_vault_accepts() {
    let f = Fixture::start().await;
    let vault = f.emulator.vault("v");
    vault.set_secret("a", "1", SecretOptions::default()).unwrap();
    vault.grant(f.app.principal(), Role::SecretsUser);
    let answer = with_secret(&f, &f.app.add_secret()).await;
    assert_eq!((answer.status, &answer.json()["expires_in"]), (200, &json!(3599)));
    let body = answer.json();
    let token = body["access_token"].as_str().unwrap();
    assert_eq!(f.vault_as(token, "GET /secrets/a", "").await.json()["value"], "1");
}

#[tokio::test]
async fn each_wrong_credential_has_its_own_code() {
    let f = Fixture::start().await;
    let tenant = f.emulator.entra().tenant_id().to_owned();
    let now = f.emulator.clock().now();
    f.app.add_secret_with("old", Some(now - 1));
    f.app.add_secret_with("soon", Some(now + 100));
    assert_eq!(code(&with_secret(&f, "wrong").await), 7_000_215);
    let expired = with_secret(&f, "old").await;
    assert_eq!((code(&expired), expired.status), (7_000_222, 401));
    assert_eq!(with_secret(&f, "soon").await.status, 200);
    f.emulator.clock().set_offset(200);
    assert_eq!(code(&with_secret(&f, "soon").await), 7_000_222);

    let client = f.app.client_id().to_owned();
    let other = "22222222-2222-2222-2222-222222222222";
    let grant = ("grant_type", "client_credentials");
    for (tenant, form, expected) in [
        (
            tenant.as_str(),
            vec![grant, ("client_id", other), ("scope", &f.scope())],
            700_016,
        ),
        (
            other,
            vec![grant, ("client_id", &client), ("scope", &f.scope())],
            90_002,
        ),
        (
            "my tenant",
            vec![grant, ("client_id", &client), ("scope", &f.scope())],
            900_023,
        ),
        (&tenant, vec![("client_id", &client), ("scope", &f.scope())], 900_144),
        (
            &tenant,
            vec![grant, ("client_id", &client), ("scope", &f.scope())],
            7_000_216,
        ),
        (
            &tenant,
            vec![
                grant,
                ("client_id", &client),
                ("client_secret", "soon"),
                ("scope", "https://x.example/.default"),
            ],
            7_000_222,
        ),
    ] {
        assert_eq!(code(&f.entra(tenant, &form).await), expected);
    }
    f.emulator.clock().set_offset(0);
    let form = [
        grant,
        ("client_id", &client),
        ("client_secret", "soon"),
        ("scope", "https://x.example/.default"),
    ];
    assert_eq!(code(&f.entra(&tenant, &form).await), 500_011);
}

#[tokio::test]
async fn user_name_and_password_are_checked() {
    let f = Fixture::start().await;
    f.emulator.entra().add_user("ann@example.com", "right");
    let tenant = f.emulator.entra().tenant_id().to_owned();
    let scope = f.scope();
    let form = |user, password| {
        let client = f.app.client_id();
        [
            ("grant_type", "password"),
            ("client_id", client),
            ("username", user),
            ("password", password),
            ("scope", scope.as_str()),
        ]
    };
    assert_eq!(f.entra(&tenant, &form("Ann@example.com", "right")).await.status, 200);
    assert_eq!(code(&f.entra(&tenant, &form("ann@example.com", "wrong")).await), 50_126);
    assert_eq!(code(&f.entra(&tenant, &form("bob@example.com", "right")).await), 50_034);
}

mod federated {
    use std::sync::Arc;

    use akv2k8s_testbed::emulator::crypto::{KeyType, PrivateKey};
    use base64::Engine;
    use base64::prelude::BASE64_URL_SAFE_NO_PAD;
    use rcgen::{CertificateParams, KeyPair};
    use rustls::pki_types::PrivateKeyDer;
    use serde_json::Value;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// An `OpenID` provider as a Kubernetes API server is one: HTTPS, configuration and keys.
    struct Issuer {
        url: String,
        ca_pem: String,
        key: PrivateKey,
    }

    impl Issuer {
        async fn start() -> Self {
            let tls_key = KeyPair::generate().unwrap();
            let certificate = CertificateParams::new(["127.0.0.1".into()])
                .unwrap()
                .self_signed(&tls_key)
                .unwrap();
            let config = rustls::ServerConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_no_client_auth()
                .with_single_cert(
                    vec![certificate.der().clone()],
                    PrivateKeyDer::try_from(tls_key.serialize_der()).unwrap(),
                )
                .unwrap();
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let url = format!("https://{}", listener.local_addr().unwrap());
            let key = PrivateKey::generate(KeyType::Rsa(2048)).unwrap();
            let configuration = json!({ "issuer": url, "jwks_uri": format!("{url}/openid/v1/jwks") });
            let mut jwk = Value::from(key.public().jwk());
            jwk["kid"] = "k1".into();
            let keys = json!({ "keys": [jwk] });
            tokio::spawn(async move {
                let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
                while let Ok((stream, _)) = listener.accept().await {
                    let Ok(mut stream) = acceptor.accept(stream).await else {
                        continue;
                    };
                    let mut buffer = [0; 2048];
                    let read = stream.read(&mut buffer).await.unwrap();
                    let head = String::from_utf8_lossy(&buffer[..read]).into_owned();
                    let body = if head.contains("openid-configuration") {
                        &configuration
                    } else {
                        &keys
                    }
                    .to_string();
                    let reply = format!(
                        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                        body.len()
                    );
                    stream.write_all(reply.as_bytes()).await.unwrap();
                    let _ = stream.shutdown().await;
                }
            });
            Self {
                url,
                ca_pem: certificate.pem(),
                key,
            }
        }

        fn token(key: &PrivateKey, claims: &Value) -> String {
            let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
            let signed = format!("{}.{}", part(&json!({ "alg": "RS256", "kid": "k1" })), part(claims));
            let signature = BASE64_URL_SAFE_NO_PAD.encode(key.sign(signed.as_bytes()).unwrap());
            format!("{signed}.{signature}")
        }
    }

    async fn exchange(f: &Fixture, assertion: &str) -> Answer {
        let form = [
            ("grant_type", "client_credentials"),
            ("client_id", f.app.client_id()),
            (
                "client_assertion_type",
                "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            ),
            ("client_assertion", assertion),
            ("scope", &f.scope()),
        ];
        f.entra(f.emulator.entra().tenant_id(), &form).await
    }

    #[tokio::test]
    async fn assertions_are_verified_against_the_issuers_own_keys() {
        let f = Fixture::start().await;
        let issuer = Issuer::start().await;
        let now = f.emulator.clock().now();
        let claims = |iss: &str, sub: &str, aud: &str| json!({ "iss": iss, "sub": sub, "aud": [aud], "iat": now, "exp": now + 600 });
        let (sub, aud) = ("system:serviceaccount:ns:app", "api://AzureADTokenExchange");
        let good = Issuer::token(&issuer.key, &claims(&issuer.url, sub, aud));

        assert_eq!(code(&exchange(&f, &good).await), 70_021, "nothing registered");
        f.app
            .add_federated_credential(FederatedCredential::service_account(&issuer.url, "ns", "app"));
        assert_eq!(
            code(&exchange(&f, &good).await),
            50_166,
            "the issuer's certificate is not trusted yet"
        );
        f.emulator.entra().trust_issuer_ca(&issuer.ca_pem);
        assert_eq!(exchange(&f, &good).await.status, 200);

        let foreign_key = PrivateKey::generate(KeyType::Rsa(2048)).unwrap();
        let late = json!({ "iss": issuer.url, "sub": sub, "aud": aud, "iat": now - 7200, "exp": now - 3600 });
        for (token, expected) in [
            (
                Issuer::token(&issuer.key, &claims("https://other.example", sub, aud)),
                700_211,
            ),
            (
                Issuer::token(&issuer.key, &claims(&issuer.url, "system:serviceaccount:ns:other", aud)),
                700_213,
            ),
            (
                Issuer::token(&issuer.key, &claims(&issuer.url, sub, "https://kubernetes.default.svc")),
                700_212,
            ),
            (Issuer::token(&foreign_key, &claims(&issuer.url, sub, aud)), 50_013),
            (Issuer::token(&issuer.key, &late), 700_024),
            ("nonsense".to_owned(), 50_027),
        ] {
            assert_eq!(code(&exchange(&f, &token).await), expected);
        }
    }
}
