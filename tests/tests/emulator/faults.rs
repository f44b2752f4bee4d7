//! Faults and the limiter, seen from the client.

use std::time::{Duration, Instant};

use akv2k8s_testbed::emulator::{Fault, FaultKind, Limit, Operation, Requests, Role, SecretOptions};

use crate::client::{Fixture, LIMIT};

async fn with_secret() -> Fixture {
    let f = Fixture::start().await;
    let vault = f.emulator.vault("v");
    vault.grant(f.app.principal(), Role::SecretsUser);
    vault
        .set_secret("a", "a value of some length", SecretOptions::default())
        .unwrap();
    f
}

async fn get(f: &Fixture) -> std::io::Result<crate::client::Answer> {
    f.try_vault_as(&f.token(), "GET /secrets/a", "").await
}

#[tokio::test]
async fn throttling_has_the_services_form_and_ends_after_n() {
    let f = with_secret().await;
    f.emulator
        .faults()
        .add(Fault::vault("v", FaultKind::Throttle { retry_after: Some(3) }).times(1));
    f.emulator
        .faults()
        .add(Fault::vault("v", FaultKind::Throttle { retry_after: None }).times(1));
    let first = get(&f).await.unwrap();
    assert_eq!((first.status, first.header("retry-after")), (429, "3"));
    let second = get(&f).await.unwrap();
    assert_eq!(
        (second.status, second.headers.contains_key("retry-after")),
        (429, false)
    );
    assert_eq!(get(&f).await.unwrap().status, 200);
    let counts = f.emulator.journal().counts();
    assert_eq!(
        (
            counts.with_status(Operation::SECRET_GET, 429),
            counts.with_status(Operation::SECRET_GET, 200)
        ),
        (2, 1)
    );
}

#[tokio::test]
async fn a_canned_answer_replaces_the_real_one_until_it_is_lifted() {
    let f = with_secret().await;
    let headers = [("location".to_owned(), "https://evil.example/".to_owned())].into();
    let fault = Fault::vault(
        "v",
        FaultKind::Respond {
            status: 302,
            headers,
            body: String::new(),
        },
    );
    let id = f.emulator.faults().add(fault.requests(Requests::Any));
    let answer = get(&f).await.unwrap();
    assert_eq!(
        (answer.status, answer.header("location")),
        (302, "https://evil.example/")
    );
    f.emulator.faults().lift(id);
    assert_eq!(get(&f).await.unwrap().status, 200);
    f.emulator
        .faults()
        .add(Fault::vault("v", FaultKind::status(503, "ServiceUnavailable", "later")));
    assert_eq!(get(&f).await.unwrap().json()["error"]["message"], "later");
}

#[tokio::test]
async fn broken_answers_are_broken_on_the_wire() {
    let f = with_secret().await;
    let faults = f.emulator.faults();

    faults.add(Fault::vault("v", FaultKind::Reset).times(1));
    let error = get(&f).await.err().expect("reset");
    let reset = std::iter::successors(error.get_ref().map(|e| e as &dyn std::error::Error), |e| e.source())
        .filter_map(|e| e.downcast_ref::<std::io::Error>())
        .any(|e| e.kind() == std::io::ErrorKind::ConnectionReset);
    assert!(reset, "{error:?}");

    faults.add(Fault::vault("v", FaultKind::TruncatedBody).times(1));
    assert!(get(&f).await.is_err());

    faults.add(Fault::vault("v", FaultKind::MalformedJson).times(1));
    let garbled = get(&f).await.unwrap();
    assert_eq!(garbled.status, 200);
    assert!(serde_json::from_str::<serde_json::Value>(&garbled.text).is_err());

    faults.add(Fault::vault("v", FaultKind::StalledBody).times(1));
    assert!(tokio::time::timeout(Duration::from_millis(300), get(&f)).await.is_err());

    assert_eq!(get(&f).await.unwrap().status, 200);
    assert_eq!(
        f.emulator.journal().counts().with_status(Operation::SECRET_GET, 0),
        1,
        "the reset one"
    );
}

#[tokio::test]
async fn latency_delays_and_nothing_else() {
    let f = with_secret().await;
    f.emulator
        .faults()
        .add(Fault::vault("v", FaultKind::Latency { milliseconds: 150 }).times(1));
    let start = Instant::now();
    assert_eq!(get(&f).await.unwrap().status, 200);
    assert!(start.elapsed() >= Duration::from_millis(150));
}

#[tokio::test]
async fn the_limiter_refuses_what_is_above_the_limit_and_only_there() {
    let f = with_secret().await;
    let other = f.emulator.vault("other");
    f.emulator.vault("v").set_limit(Some(Limit {
        requests: 5,
        seconds: 600,
        retry_after: true,
    }));
    for _ in 0..8 {
        get(&f).await.unwrap();
    }
    let counts = f
        .emulator
        .journal()
        .wait_for(LIMIT, |counts| counts.total() == 8)
        .await
        .unwrap();
    assert_eq!((counts.status(200), counts.status(429)), (5, 3));
    let url = format!("GET {}/secrets?api-version=7.4", other.url());
    assert_eq!(f.client.send(&url, &[], "").await.status, 401);
}

#[tokio::test]
async fn a_request_whose_client_leaves_is_counted_all_the_same() {
    let f = with_secret().await;
    f.emulator
        .faults()
        .add(Fault::vault("v", FaultKind::Latency { milliseconds: 60_000 }).times(1));
    assert!(tokio::time::timeout(Duration::from_millis(300), get(&f)).await.is_err());
    let counts = f
        .emulator
        .journal()
        .wait_for(LIMIT, |counts| counts.total() == 1)
        .await
        .unwrap();
    assert_eq!(counts.with_status(Operation::SECRET_GET, 0), 1);
}
