//! Servers that would like to have a token.

use std::collections::BTreeMap;

use akv2k8s_shared::diagnosis::Code;
use akv2k8s_shared::keyvault::Collection;
use akv2k8s_shared::reference::{ObjectName, ObjectVersion, VaultName};
use akv2k8s_testbed::emulator::{Fault, FaultKind, Operation, Requests};

use crate::bed::{Bed, assert_code};

fn respond(status: u16, header: (&str, &str), body: &str) -> FaultKind {
    FaultKind::Respond {
        status,
        headers: BTreeMap::from([(header.0.to_owned(), header.1.to_owned())]),
        body: body.to_owned(),
    }
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let bed = Bed::start().await;
    let evil = bed.emulator.vault("evil").url();
    let location = format!("{evil}/secrets/s?api-version=2025-07-01");
    bed.emulator
        .faults()
        .add(Fault::vault("kv1", respond(302, ("location", &location), "")));
    assert_code(&bed.failure("s").await, Code::VaultResponseInvalid);
    assert_eq!(bed.emulator.journal().counts().vault("evil").total(), 0);
}

#[tokio::test]
async fn a_next_page_on_another_host_is_not_fetched() {
    let bed = Bed::start().await;
    let port = bed.emulator.port();
    for (next, code) in [
        (bed.emulator.vault("evil").url(), Code::ChallengeRefused),
        (
            format!("https://kv1.vault.localhost:{port}@evil.vault.localhost:{port}"),
            Code::ChallengeRefused,
        ),
        (
            format!("https://kv1.vault.localhost:{}", port - 1),
            Code::ChallengeRefused,
        ),
        (format!("http://kv1.vault.localhost:{port}"), Code::VaultResponseInvalid),
    ] {
        let body = serde_json::json!({"value": [], "nextLink": format!("{next}/secrets?api-version=2025-07-01")});
        let fault = respond(200, ("content-type", "application/json"), &body.to_string());
        let fault = bed.emulator.faults().add(Fault::vault("kv1", fault));
        let error = bed.list(Collection::Secrets).await.err().unwrap();
        assert_code(&error, code);
        bed.emulator.faults().lift(fault);
    }
    assert_eq!(bed.emulator.journal().counts().vault("evil").total(), 0);
    assert_eq!(
        bed.emulator.journal().counts().vault("kv1").of(Operation::SECRET_LIST),
        5
    );
}

#[tokio::test]
async fn a_challenge_for_another_resource_gets_no_token() {
    for resource in [
        "https://management.azure.com",
        "https://vault.azure.net",
        "https://evil.localhost",
    ] {
        let bed = Bed::start().await;
        let challenge = format!(
            "Bearer authorization=\"https://login.localhost:{}/t\", resource=\"{resource}\"",
            bed.emulator.port()
        );
        let fault = respond(401, ("www-authenticate", &challenge), "");
        bed.emulator
            .faults()
            .add(Fault::vault("kv1", fault).requests(Requests::Unauthorized));
        let error = bed.failure("s").await;
        assert_code(&error, Code::ChallengeRefused);
        assert!(error.diagnosis.cause.contains(resource), "{error}");
        assert_eq!(
            bed.emulator.journal().counts().of(Operation::Token),
            0,
            "no token was even asked for"
        );
        let entries = bed.emulator.journal().entries();
        assert!(entries.iter().all(|entry| !entry.authorized));
    }
}

#[tokio::test]
async fn a_vault_that_asks_for_no_token_is_none() {
    let bed = Bed::start().await;
    let fault = respond(200, ("content-type", "application/json"), r#"{"value":"fake"}"#);
    bed.emulator
        .faults()
        .add(Fault::vault("kv1", fault).requests(Requests::Unauthorized));
    assert_code(&bed.failure("s").await, Code::VaultResponseInvalid);
}

#[tokio::test]
async fn an_answer_without_end_is_cut_off() {
    let bed = Bed::start().await;
    bed.set("s", "v");
    let huge = format!(r#"{{"value":"{}"}}"#, "x".repeat(5 * 1024 * 1024));
    let fault = respond(200, ("content-type", "application/json"), &huge);
    bed.emulator.faults().add(Fault::vault("kv1", fault));
    assert_code(&bed.failure("s").await, Code::VaultResponseInvalid);
}

#[test]
fn hostile_names_do_not_become_requests() {
    for name in [
        "../keys/k1",
        "evil.com#",
        "a/b",
        "ключ",
        &"x".repeat(500),
        "",
        "a?b",
        "%2e%2e",
    ] {
        assert!(ObjectName::parse(name).is_err(), "{name}");
        assert!(VaultName::parse(name).is_err(), "{name}");
        assert!(ObjectVersion::parse(name).is_err(), "{name}");
    }
}
