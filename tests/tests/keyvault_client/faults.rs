//! What goes wrong on the way, and what the client makes of it.

use std::time::{Duration, Instant};

use akv2k8s_shared::diagnosis::Code;
use akv2k8s_shared::http::{HttpClient, Limits};
use akv2k8s_shared::identity::Environment;
use akv2k8s_shared::keyvault::{Collection, KeyVault, Priority, Retry};
use akv2k8s_testbed::emulator::{Fault, FaultKind, Firewall, Kind, Operation, Policy, Role};

use crate::bed::{Bed, assert_code, secret, short, value};

fn gets(bed: &Bed) -> u64 {
    let counts = bed.emulator.journal().counts();
    counts.of(Operation::SECRET_GET) - counts.with_status(Operation::SECRET_GET, 401)
}

#[tokio::test]
async fn what_passes_is_retried_and_not_noticed() {
    for kind in [
        FaultKind::status(500, "InternalError", ""),
        FaultKind::status(503, "", ""),
        FaultKind::Reset,
        FaultKind::TruncatedBody,
        FaultKind::Throttle { retry_after: Some(1) },
        FaultKind::Throttle { retry_after: None },
    ] {
        let bed = Bed::start().await;
        bed.set("s", "v");
        bed.emulator.faults().add(Fault::vault("kv1", kind.clone()).times(1));
        let fetched = bed.secret("s").await;
        assert_eq!(value(&fetched.unwrap_or_else(|error| panic!("{kind:?}: {error}"))), "v");
        assert!(gets(&bed) >= 2, "{kind:?}");
    }
}

#[tokio::test]
async fn what_stays_is_named_after_a_bounded_number_of_tries() {
    for (kind, code, tries) in [
        (FaultKind::status(500, "InternalError", "x"), Code::VaultUnavailable, 3),
        (FaultKind::Reset, Code::VaultUnavailable, 3),
        (FaultKind::MalformedJson, Code::VaultResponseInvalid, 1),
        (
            FaultKind::status(400, "BadParameter", "x"),
            Code::VaultResponseInvalid,
            1,
        ),
    ] {
        let bed = Bed::start().await;
        bed.set("s", "v");
        bed.emulator.faults().add(Fault::vault("kv1", kind));
        let error = bed.failure("s").await;
        assert_code(&error, code);
        assert_eq!(error.retry, Retry::Soon);
        assert_eq!(gets(&bed), tries, "{error}");
        assert!(error.diagnosis.what.contains("secret 's' in vault 'kv1'"), "{error}");
    }
}

#[tokio::test]
async fn throttling_says_how_long_it_waits_and_others_ask_nothing_meanwhile() {
    let bed = Bed::start().await;
    bed.set("s", "v");
    let throttle = FaultKind::Throttle { retry_after: Some(60) };
    bed.emulator.faults().add(Fault::vault("kv1", throttle).times(1));
    let error = bed.failure("s").await;
    assert_code(&error, Code::Throttled);
    assert_eq!(error.retry, Retry::After(Duration::from_mins(1)));
    let before = bed.emulator.journal().counts().total();
    let other = bed.failure("other").await;
    assert_code(&other, Code::Throttled);
    assert!(matches!(other.retry, Retry::After(left) if left <= Duration::from_mins(1)));
    assert_eq!(bed.emulator.journal().counts().total(), before);
    let state = &bed.client.stats().vaults[0];
    assert_eq!(state.throttled, 1);
    assert!(
        state.per_10s < 600.0 && state.paused > Duration::from_secs(50),
        "{state:?}"
    );
}

#[tokio::test]
async fn a_throttled_vault_does_not_delay_another() {
    let bed = Bed::start().await;
    bed.emulator.vault("kv2").grant(bed.app.principal(), Role::SecretsUser);
    bed.emulator
        .vault("kv2")
        .set_secret("s", "v2", akv2k8s_testbed::emulator::SecretOptions::default())
        .unwrap();
    bed.set("s", "v");
    bed.emulator
        .faults()
        .add(Fault::vault("kv1", FaultKind::Throttle { retry_after: Some(60) }));
    bed.failure("s").await;
    let start = Instant::now();
    assert_eq!(value(&bed.get(&secret("kv2", "s")).await.unwrap()), "v2");
    // Far from the other vault's minute, on a busy machine too.
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_stalled_body_ends_at_the_deadline() {
    for kind in [FaultKind::StalledBody, FaultKind::Latency { milliseconds: 60_000 }] {
        let bed = Bed::with(short()).await;
        bed.set("s", "v");
        bed.emulator.faults().add(Fault::vault("kv1", kind));
        let start = Instant::now();
        assert_code(&bed.failure("s").await, Code::VaultUnavailable);
        assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
    }
}

#[tokio::test]
async fn those_who_wait_for_the_first_answer_of_a_silent_vault_have_the_same_deadline() {
    let bed = Bed::with(short()).await;
    let silent = FaultKind::Latency { milliseconds: 60_000 };
    bed.emulator.faults().add(Fault::vault("kv1", silent));
    let start = Instant::now();
    let names: Vec<_> = (0..8).map(|number| format!("s{number}")).collect();
    for error in futures::future::join_all(names.iter().map(|name| bed.failure(name))).await {
        assert_code(&error, Code::VaultUnavailable);
    }
    // One after the other they would take 16 s.
    assert!(start.elapsed() < Duration::from_secs(12), "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_page_that_fails_once_does_not_fail_the_list() {
    let bed = Bed::start().await;
    for number in 0..60 {
        bed.set(&format!("s-{number}"), "v");
    }
    bed.list(Collection::Secrets).await.unwrap();
    bed.emulator.faults().add(
        Fault::vault("kv1", FaultKind::Reset)
            .on(&[Operation::SECRET_LIST])
            .times(1),
    );
    assert_eq!(bed.list(Collection::Secrets).await.unwrap().items.len(), 60);
}

#[tokio::test]
async fn refusals_of_the_vault_are_named_with_the_line_that_fixes_them() {
    let bed = Bed::start().await;
    bed.set("s", "v");
    bed.vault.revoke(bed.app.principal());
    let object_id = bed.app.principal().object_id.clone();
    let error = bed.failure("s").await;
    assert_code(&error, Code::ForbiddenByRbac);
    assert_eq!(error.retry, Retry::Slowly);
    let fix = &error.diagnosis.fix;
    assert!(
        fix.contains("--role \"Key Vault Secrets User\"") && fix.contains(&object_id),
        "{fix}"
    );
    assert!(fix.to_ascii_lowercase().ends_with("/vaults/kv1"), "{fix}");

    bed.vault.set_policy(
        bed.app.principal(),
        Policy {
            secrets: vec!["list".to_owned()],
            ..Policy::default()
        },
    );
    let error = bed.failure("s").await;
    assert_code(&error, Code::ForbiddenByPolicy);
    assert!(
        error.diagnosis.fix.contains(&format!("--object-id {object_id}")),
        "{error}"
    );
    assert!(bed.list(Collection::Secrets).await.is_ok());

    bed.vault.grant(bed.app.principal(), Role::SecretsUser);
    assert!(bed.secret("s").await.is_ok(), "heals without anything done here");

    bed.vault.disable(Kind::Secret, "s").unwrap();
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert_code(&bed.failure("s").await, Code::ObjectDisabled);
    assert_code(&bed.failure("absent").await, Code::ObjectNotFound);
    bed.vault.set_firewall(Some(Firewall::SelectedNetworks));
    let error = bed.failure("absent").await;
    assert_code(&error, Code::ForbiddenByFirewall);
    assert!(error.diagnosis.fix.contains("network-rule add --name kv1"), "{error}");
}

#[tokio::test]
async fn a_name_that_dns_does_not_know_is_a_vault_that_does_not_exist() {
    let bed = Bed::start().await;
    let json = bed.emulator.cloud().to_string();
    // RFC 6761: nothing exists under `invalid`.
    let json = json.replace("vault.localhost:", "vault.invalid:");
    std::fs::write(
        bed.path("other.json"),
        json.replace("https://vault.localhost", "https://vault.invalid"),
    )
    .unwrap();
    let path = bed.path("other.json");
    let identity = crate::bed::identity(&path, &[], &bed.http).await;
    let error = bed
        .client
        .get(&identity, &secret("kv9", "s"), Priority::New)
        .await
        .err()
        .unwrap();
    assert_code(&error, Code::VaultNotFound);
    assert_eq!(error.retry, Retry::Slowly);
    assert!(error.diagnosis.to_string().contains("kv9.vault.invalid"), "{error}");
}

#[tokio::test]
async fn a_dead_vault_is_unavailable() {
    let bed = Bed::start().await;
    bed.set("s", "v");
    let identity = bed.identity.clone();
    let client = bed.client.clone();
    bed.secret("s").await.unwrap();
    drop(bed.emulator);
    let later = tokio::time::Instant::now() + Duration::from_secs(2);
    let outcome = client
        .get_since(&identity, &secret("kv1", "s"), Priority::New, later)
        .await;
    assert_code(&outcome.err().unwrap(), Code::VaultUnavailable);
}

#[tokio::test]
async fn a_certificate_that_is_not_trusted_is_named() {
    let bed = Bed::start().await;
    let http = HttpClient::from_environment(&Environment::default(), Limits::default()).unwrap();
    let stranger = KeyVault::new(http, short());
    let error = stranger
        .get(&bed.identity, &secret("kv1", "s"), Priority::New)
        .await
        .err()
        .unwrap();
    assert_code(&error, Code::VaultUnavailable);
    assert!(error.diagnosis.fix.contains("SSL_CERT_FILE"), "{error}");
    assert_eq!(bed.emulator.journal().counts().total(), 0);
}
