//! Vault and Entra away: what is told, and what is given.

use std::time::Duration;

use akv2k8s_envinjector::broker::Options;
use akv2k8s_testbed::emulator::{Fault, FaultKind, SecretOptions};

use crate::bed::{Bed, Wish};

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
    bed.stage.emulator.faults().lift_all();
    let vault = bed.stage.vault("kv1");
    vault.revoke(bed.stage.app.principal());
    let answer = bed.ask(&token, &[DB]).await.unwrap();
    assert_eq!(answer.status, 409, "{:?}", answer.refusal());
    bed.stage.emulator.faults().add(down());
    let answer = bed.ask(&token, &[DB]).await.unwrap();
    assert_ne!(answer.status, 200, "a refusal has ended it");
}
