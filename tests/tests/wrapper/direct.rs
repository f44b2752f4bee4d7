//! Values from the vault itself, over the same TLS and tokens as in Azure.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use akv2k8s_shared::diagnosis::Code;
use akv2k8s_shared::injection::names;
use akv2k8s_testbed::emulator::crypto::{Curve, KeyType};
use akv2k8s_testbed::emulator::{CertificatePolicy, Fault, FaultKind, Operation, SecretOptions};
use akv2k8s_testbed::gate::{Gate, Moment, Verdict};
use futures::future::BoxFuture;
use tokio::sync::Barrier;

use crate::bed::value;
use crate::vault::Bed;

#[tokio::test]
async fn direct_references_need_nothing_but_the_vault_and_equal_ones_cost_one_read() {
    let bed = Bed::start().await;
    bed.vault.set_secret("db", "s3cret", SecretOptions::default()).unwrap();
    bed.vault
        .set_secret(
            "multi",
            r#"{"a-b":"1","x":{"y":"deep"}}"#,
            SecretOptions::content_type("application/json"),
        )
        .unwrap();
    bed.vault
        .create_certificate("cert", &CertificatePolicy::self_signed("CN=app"))
        .unwrap();
    bed.vault.create_key("key", KeyType::Ec(Curve::P256)).unwrap();
    bed.emulator.journal().reset();
    let ended = bed
        .env(&[
            ("DB", "azurekeyvault://kv1/secrets/db"),
            ("SAME", "azurekeyvault://KV1/secrets/db?"),
            ("PART", "azurekeyvault://kv1/secrets/multi?a-b"),
            ("DEEP", "azurekeyvault://kv1/secrets/multi?x.y"),
            ("TLS_KEY", "azurekeyvault://kv1/certificates/cert?tls.key"),
            ("TLS_CRT", "azurekeyvault://kv1/certificates/cert?tls.crt"),
            ("PUBLIC", "azurekeyvault://kv1/keys/key"),
        ])
        .await;
    assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""));
    for (name, expected) in [
        ("DB", "s3cret"),
        ("SAME", "s3cret"),
        ("PART", "1"),
        ("DEEP", "deep"),
        ("TLS_CRT", "-----BEGIN CERTIFICATE-----"),
        ("PUBLIC", "-----BEGIN PUBLIC KEY-----"),
    ] {
        assert_eq!(value(&ended, name), Some(expected), "{name}");
    }
    assert!(value(&ended, "TLS_KEY").is_some_and(|it| it.contains("PRIVATE KEY")));
    assert_eq!(
        value(&ended, "AZURE_CLIENT_ID").map(str::len),
        Some(36),
        "the program keeps what is its own"
    );
    let counts = bed.emulator.journal().counts();
    assert_eq!(
        counts.with_status(Operation::SECRET_GET, 200),
        3,
        "db, multi, and the secret behind the certificate"
    );
    assert_eq!(
        (counts.of(Operation::Token), counts.status(401)),
        (1, 1),
        "one token, one challenge"
    );
}

/// Lets the first read pass, by which the vault tells who issues its tokens, and no other before all of them have arrived.
struct Together {
    reads: AtomicUsize,
    all: Barrier,
}

impl Gate for Together {
    fn pass<'a>(&'a self, moment: Moment, request: &'a str) -> BoxFuture<'a, Verdict> {
        Box::pin(async move {
            let is_read = moment == Moment::Arrived && request.contains("/secrets/");
            if is_read && self.reads.fetch_add(1, Ordering::SeqCst) > 0 {
                self.all.wait().await;
            }
            Verdict::Pass
        })
    }
}

#[tokio::test]
async fn direct_reads_go_side_by_side() {
    const COUNT: usize = 6;
    let bed = Bed::start().await;
    let references: Vec<_> = (0..COUNT)
        .map(|it| {
            let name = format!("s{it}");
            bed.vault.set_secret(&name, &name, SecretOptions::default()).unwrap();
            (format!("V{it}"), format!("azurekeyvault://kv1/secrets/{name}"))
        })
        .collect();
    bed.emulator.set_gate(Arc::new(Together {
        reads: AtomicUsize::new(0),
        all: Barrier::new(COUNT),
    }));
    let variables: Vec<_> = references
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    let ended = bed.env(&variables).await;
    assert_eq!(
        (ended.code, value(&ended, "V5")),
        (Some(0), Some("s5")),
        "{}",
        ended.err
    );
}

#[tokio::test]
async fn embedded_specs_replace_the_api_server() {
    let bed = Bed::start().await;
    bed.vault
        .set_secret("db", " me:pass ", SecretOptions::default())
        .unwrap();
    let specs = serde_json::json!({
        "my.db": {"vault": {"name": "kv1", "object": {"name": "db", "type": "secret"}}, "output": {"transform": ["trim"]}},
    });
    let specs = specs.to_string();
    let with = |reference| [(names::SPECS, specs.as_str()), ("DB", reference)];
    let ended = bed.env(&with("my.db@azurekeyvault?password")).await;
    assert_eq!(
        (ended.code, value(&ended, "DB")),
        (Some(0), Some("pass")),
        "{}",
        ended.err
    );
    assert_eq!(value(&ended, names::SPECS), None);
    for (reference, code) in [
        ("other@azurekeyvault", Code::AkvsNotFound),
        ("my.db@azurekeyvault?nothing", Code::QueryInvalid),
    ] {
        let ended = bed.env(&with(reference)).await;
        assert_eq!(ended.code, Some(1));
        assert!(
            ended
                .err
                .starts_with(&format!("azure-keyvault-env: DB ({reference}): {code}: ")),
            "{}",
            ended.err
        );
    }
}

#[tokio::test]
async fn a_vault_that_has_trouble_is_asked_again_within_the_time_and_a_lasting_failure_is_told_at_once() {
    let bed = Bed::start().await;
    bed.vault.set_secret("db", "late", SecretOptions::default()).unwrap();
    // More failures than the vault's client itself tries again.
    bed.emulator
        .faults()
        .add(Fault::vault("kv1", FaultKind::status(503, "Unavailable", "Busy.")).times(4));
    let ended = bed.env(&[("DB", "azurekeyvault://kv1/secrets/db")]).await;
    assert_eq!(
        (ended.code, value(&ended, "DB")),
        (Some(0), Some("late")),
        "{}",
        ended.err
    );
    let before = bed.emulator.journal().counts().of(Operation::SECRET_GET);
    let ended = bed.env(&[("DB", "azurekeyvault://kv1/secrets/none")]).await;
    assert_eq!(ended.code, Some(1));
    assert!(
        ended
            .err
            .contains("DB (azurekeyvault://kv1/secrets/none): ObjectNotFound: "),
        "{}",
        ended.err
    );
    assert!(
        bed.emulator.journal().counts().of(Operation::SECRET_GET) - before <= 2,
        "one challenge, one read"
    );
}

#[tokio::test]
async fn a_reference_is_never_the_wrappers_own_credential() {
    let bed = Bed::start().await;
    bed.vault
        .set_secret("other", "other-secret", SecretOptions::default())
        .unwrap();
    bed.emulator.journal().reset();
    let ended = bed
        .env(&[
            ("AZURE_CLIENT_SECRET", "azurekeyvault://kv1/secrets/other"),
            ("AZURE_TENANT_ID", "t"),
            (names::START_BUDGET, "1"),
        ])
        .await;
    // Without the secret the application's variables are no credential; nobody is asked with the reference as a password.
    assert_eq!(ended.code, Some(1), "{}", ended.out);
    assert!(!ended.err.contains("ClientSecretInvalid"), "{}", ended.err);
}

#[tokio::test]
async fn without_api_server_and_specs_an_akvs_cannot_be_read_and_it_says_so() {
    let bed = Bed::start().await;
    let ended = bed.env(&[("DB", "db@azurekeyvault")]).await;
    assert_eq!(ended.code, Some(1));
    assert!(
        ended.err.contains("InjectionMisconfigured") && ended.err.contains("KUBERNETES_SERVICE_HOST"),
        "{}",
        ended.err
    );
}

#[tokio::test]
async fn an_entra_that_hangs_costs_the_time_for_the_start_and_no_more() {
    let bed = Bed::start().await;
    bed.emulator
        .faults()
        .add(Fault::entra(FaultKind::Latency { milliseconds: 600_000 }));
    let ended = bed
        .env(&[("DB", "azurekeyvault://kv1/secrets/db"), (names::START_BUDGET, "1")])
        .await;
    assert_eq!(ended.code, Some(1));
    let (_, rest) = ended.err.split_once("(tried for ").expect("for how long");
    let seconds: u32 = rest.split(' ').next().unwrap().parse().unwrap();
    assert!(
        (1..20).contains(&seconds),
        "of a second and what a busy machine adds: {}",
        ended.err
    );
}
