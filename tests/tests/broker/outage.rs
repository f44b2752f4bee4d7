//! Vault and Entra away: what is told, and what is given.

use std::time::Duration;

use akv2k8s_envinjector::broker::Options;
use akv2k8s_testbed::emulator::{Fault, FaultKind, Operation, SecretOptions};
use akv2k8s_testbed::stage::PATIENCE;
use akv2k8s_testbed::wait::until;

use crate::bed::{Bed, Wish, audited};

const DB: &str = "db@azurekeyvault";

/// A broker whose values have to be fresh at each request, and may be so much older in an outage.
async fn bed(prefix: &str, max_stale: Duration) -> (Bed, String) {
    let wish = |_: &_| Wish {
        options: Options {
            max_age: Duration::ZERO,
            max_stale,
        },
        ..Wish::default()
    };
    let bed = Bed::with(prefix, wish).await.unwrap();
    bed.stage
        .vault("kv1")
        .set_secret("db", "first", SecretOptions::default())
        .unwrap();
    bed.akvs("db", "kv1", "db").await.unwrap();
    let token = bed.token(&bed.pod("web").await.unwrap()).await.unwrap();
    (bed, token)
}

fn down() -> Fault {
    Fault::vault("kv1", FaultKind::status(503, "Unavailable", "away"))
}

#[tokio::test]
async fn a_vault_that_is_away_is_asked_again_and_nothing_old_is_given() {
    let (bed, token) = bed("outage", Duration::ZERO).await;
    bed.ask(&token, &[DB]).await.unwrap().values();
    bed.stage.emulator.faults().add(down());
    let answer = bed.ask(&token, &[DB]).await.unwrap();
    assert_eq!(answer.denial(), (503, "VaultUnavailable".to_owned()));
    assert!(answer.refusal().retry && answer.retry_after.is_some());
    bed.stage.emulator.faults().lift_all();
    assert_eq!(bed.ask(&token, &[DB]).await.unwrap().values()[DB], "first");
}

#[tokio::test]
async fn what_may_be_stale_is_given_in_an_outage_but_not_after_a_refusal() {
    let (bed, token) = bed("stale", Duration::from_mins(10)).await;
    bed.ask(&token, &[DB]).await.unwrap().values();
    bed.stage.emulator.faults().add(down());
    assert_eq!(bed.ask(&token, &[DB]).await.unwrap().values()[DB], "first");
    let lines = audited(bed.stage.namespace.name(), "value released");
    let stale: Vec<_> = lines.iter().map(|line| line.contains("stale_seconds=")).collect();
    assert_eq!(stale, [false, true], "{lines:?}");
    bed.stage.emulator.faults().lift_all();
    let vault = bed.stage.vault("kv1");
    vault.revoke(bed.stage.app.principal());
    let answer = bed.ask(&token, &[DB]).await.unwrap();
    assert_eq!(answer.status, 409, "{:?}", answer.refusal());
    bed.stage.emulator.faults().add(down());
    let answer = bed.ask(&token, &[DB]).await.unwrap();
    assert_ne!(answer.status, 200, "a refusal has ended it");
}

#[tokio::test]
async fn while_entra_is_away_there_are_no_values_and_then_there_are_without_a_restart() {
    let (bed, token) = bed("entra", Duration::ZERO).await;
    let away = FaultKind::status(503, "Unavailable", "away");
    bed.stage.emulator.faults().add(Fault::entra(away));
    let answer = bed.ask(&token, &[DB]).await.unwrap();
    assert_eq!(answer.status, 503, "{:?}", answer.refusal());
    assert!(answer.refusal().retry && answer.retry_after.is_some());
    assert_eq!(bed.reads(), 0);
    bed.stage.emulator.faults().lift_all();
    let given = async || {
        let answer = bed.ask(&token, &[DB]).await.ok()?;
        (answer.status == 200).then_some(answer)
    };
    let answer = until("a value after the outage", PATIENCE, given).await.unwrap();
    assert_eq!(answer.values()[DB], "first");
}

#[tokio::test]
async fn of_the_wait_that_entra_asks_for_later_askers_are_told_what_is_left() {
    let (bed, token) = bed("throttled", Duration::ZERO).await;
    let throttle = FaultKind::Throttle { retry_after: Some(60) };
    bed.stage.emulator.faults().add(Fault::entra(throttle));
    let told = async || {
        let answer = bed.ask(&token, &[DB]).await.unwrap();
        assert_eq!(answer.denial(), (503, "TokenRequestFailed".to_owned()));
        answer.retry_after.unwrap()
    };
    assert_eq!(told().await, 60);
    // Told of a minute again, a wrapper would give up at once: it has no more than that.
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(50)).await;
    tokio::time::resume();
    let later = told().await;
    assert!(later <= 10, "{later}");
    assert_eq!(bed.asked().of(Operation::Token), 1, "and Entra is left alone");
}

#[tokio::test]
async fn a_vault_that_does_not_answer_costs_the_pod_no_more_than_the_brokers_own_limit() {
    let (bed, token) = bed("hanging", Duration::ZERO).await;
    let milliseconds = 10 * 60 * 1000;
    bed.stage
        .emulator
        .faults()
        .add(Fault::vault("kv1", FaultKind::Latency { milliseconds }));
    let limit = Duration::from_secs(25) + PATIENCE;
    let answer = tokio::time::timeout(limit, bed.ask(&token, &[DB])).await;
    let answer = answer.expect("an answer long before the vault's").unwrap();
    assert_eq!(answer.denial(), (503, "VaultUnavailable".to_owned()));
    assert!(answer.refusal().retry && answer.retry_after.is_some());
}
