//! Proxies, and what is logged on the way.

use akv2k8s_shared::http::{HttpClient, Limits};
use akv2k8s_shared::identity::Environment;
use akv2k8s_shared::keyvault::{KeyVault, Priority, Settings};
use akv2k8s_testbed::log::Log;
use akv2k8s_testbed::tunnel::Tunnel;

use crate::bed::{Bed, secret, value};

#[tokio::test]
async fn vaults_and_entra_are_reached_through_the_proxy_and_their_certificates_are_still_checked() {
    let bed = Bed::start().await;
    bed.set("s", "v");
    let proxy = Tunnel::start(bed.emulator.port()).await.unwrap();
    let ca = bed.path("ca.pem");
    let environment = |ca: &str| Environment::from_iter([("SSL_CERT_FILE", ca), ("HTTPS_PROXY", proxy.url())]);
    // Loopback is never proxied, so the proxied names are others: the proxy alone knows where they are.
    let (mut cloud, port) = (bed.emulator.cloud(), bed.emulator.port());
    cloud["activeDirectoryEndpoint"] = format!("https://login.proxied.test:{port}/").into();
    let file = bed.path("proxied.json");
    std::fs::write(&file, cloud.to_string()).unwrap();
    let http = HttpClient::from_environment(&environment(ca.to_str().unwrap()), Limits::default()).unwrap();
    let variables = [
        ("AZURE_CLIENT_ID", "c"),
        ("AZURE_TENANT_ID", "t"),
        ("AZURE_CLIENT_SECRET", "s"),
    ];
    let identity = crate::bed::identity(&file, &variables, &http).await;
    let client = KeyVault::new(http, Settings::default());
    let error = client
        .get(&identity, &secret("kv1", "s"), Priority::New)
        .await
        .err()
        .unwrap();
    assert!(error.diagnosis.what.contains("login.proxied.test"), "{error}");
    assert!(
        error.diagnosis.cause.contains("certificate"),
        "its name is not in the certificate: {error}"
    );
    let asked = proxy.asked();
    let head = asked.first().unwrap();
    assert!(
        head.starts_with(&format!("CONNECT login.proxied.test:{port} ")),
        "{head}"
    );
    assert!(
        head.to_ascii_lowercase()
            .contains("proxy-authorization: basic dxnlcjpwyxnz"),
        "{head}"
    );
}

#[tokio::test]
async fn logs_at_trace_level_hold_no_value_no_token_and_no_credential() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(log.clone())
        .finish();
    // This test's runtime is the thread it runs on.
    let _listening = akv2k8s_testbed::log::listen(subscriber);
    let bed = Bed::start().await;
    bed.app.add_secret_with("canary-credential", None);
    let identity = bed
        .with_variables(&[
            ("AZURE_CLIENT_ID", bed.app.client_id()),
            ("AZURE_TENANT_ID", bed.emulator.entra().tenant_id()),
            ("AZURE_CLIENT_SECRET", "canary-credential"),
        ])
        .await;
    bed.set("s", "canary-value");
    let fetched = bed
        .client
        .get(&identity, &secret("kv1", "s"), Priority::New)
        .await
        .unwrap();
    assert_eq!(value(&fetched), "canary-value");
    let text = log.text();
    assert!(
        text.contains("kv1.vault.localhost"),
        "requests are logged at all: {} bytes",
        text.len()
    );
    for canary in ["canary-value", "canary-credential", "eyJ"] {
        let line = text.lines().find(|line| line.contains(canary));
        assert_eq!(line, None, "{canary}");
    }
}
