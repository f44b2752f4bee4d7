//! How many tokens are asked for.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use akv2k8s_shared::diagnosis::Code;
use akv2k8s_shared::identity::Identity;
use akv2k8s_shared::keyvault::{KeyVault, Priority, Settings};
use akv2k8s_shared::reference::{ObjectKind, ObjectName, ObjectRef, VaultName};
use akv2k8s_testbed::emulator::{Fault, FaultKind, Operation, Role, SecretOptions};
use akv2k8s_testbed::wait;

use crate::bed::{App, Bed, assert_code};

const VAULTS: u64 = 200;

/// The clock of this process is moved by `step`, and the emulator's with it.
async fn pass(bed: &Bed, step: Duration) {
    tokio::time::pause();
    tokio::time::advance(step).await;
    tokio::time::resume();
    let offset = bed.emulator.clock().offset() + i64::try_from(step.as_secs()).unwrap();
    bed.emulator.clock().set_offset(offset);
}

/// A new application that may read the vault, by its secret.
async fn reader(bed: &Bed) -> Identity {
    let app = App::register(bed);
    let secret = app.handle.add_secret();
    bed.identity(&app.with(&[("AZURE_CLIENT_SECRET", &secret)])).await
}

/// Somebody else makes the identity anew for every vault, as a controller with an identity per object does.
#[tokio::test]
async fn an_hour_of_two_hundred_vaults_costs_one_token_per_lifetime() {
    let bed = Bed::start().await;
    let app = bed.emulator.entra().register_app();
    let secret = app.add_secret();
    let vaults: Vec<_> = (0..VAULTS).map(|number| format!("kv-{number}")).collect();
    for name in &vaults {
        let vault = bed.emulator.vault(name);
        vault.grant(app.principal(), Role::SecretsUser);
        vault.set_secret("s", "v", SecretOptions::default()).unwrap();
    }
    let tenant = bed.emulator.entra().tenant_id().to_owned();
    let variables = [
        ("AZURE_CLIENT_ID", app.client_id()),
        ("AZURE_TENANT_ID", &tenant),
        ("AZURE_CLIENT_SECRET", &secret),
    ];
    let look = async || {
        let reads = vaults.iter().map(async |name| {
            let identity = bed.identity(&variables).await;
            bed.read_from(name, &identity).await
        });
        for read in futures::future::join_all(reads).await {
            assert_eq!(read.ok().as_deref(), Some("v"));
        }
    };
    look().await;
    assert_eq!(bed.emulator.journal().counts().of(Operation::Token), 1);
    for _ in 0..6 {
        pass(&bed, Duration::from_mins(10)).await;
        look().await;
    }
    let counts = bed.emulator.journal().counts();
    let refused = counts.with_status(Operation::SECRET_GET, 401);
    let (tokens, reads) = (
        counts.of(Operation::Token),
        counts.with_status(Operation::SECRET_GET, 200),
    );
    println!("{VAULTS} vaults, one identity, an hour: {reads} reads, {tokens} token requests");
    assert_eq!(reads, 7 * VAULTS);
    assert_eq!(refused, VAULTS, "the challenge of each vault, and no expired token");
    assert_eq!(tokens, 2, "one to begin with, one ahead of its end after 55 minutes");
}

#[tokio::test]
async fn entra_is_left_alone_for_as_long_as_it_asks_to_be() {
    let bed = Bed::start().await;
    let identity = reader(&bed).await;
    let throttle = FaultKind::Throttle { retry_after: Some(40) };
    bed.emulator
        .faults()
        .add(Fault::entra(throttle).on(&[Operation::Token]).times(1));
    let asked = || bed.emulator.journal().counts().of(Operation::Token);
    assert_code(&bed.failure(&identity).await, Code::TokenRequestFailed);
    assert_eq!(asked(), 1, "the answer is no reason to ask at once again");
    pass(&bed, Duration::from_secs(25)).await;
    assert_code(&bed.failure(&identity).await, Code::TokenRequestFailed);
    assert_eq!(asked(), 1);
    pass(&bed, Duration::from_secs(20)).await;
    assert_eq!(bed.read(&identity).await.ok().as_deref(), Some("v"));
    assert_eq!(asked(), 2);
}

#[tokio::test]
async fn a_short_wait_that_entra_asks_for_is_waited_out_and_nobody_hears_of_it() {
    let bed = Bed::start().await;
    let identity = reader(&bed).await;
    let busy = FaultKind::Respond {
        status: 503,
        headers: BTreeMap::from([("retry-after".to_owned(), "1".to_owned())]),
        body: r#"{"error": "temporarily_unavailable", "error_description": "Busy"}"#.to_owned(),
    };
    let fault = Fault::entra(busy).on(&[Operation::Token]).times(1);
    bed.emulator.faults().add(fault);
    let started = Instant::now();
    assert_eq!(bed.read(&identity).await.ok().as_deref(), Some("v"));
    assert!(started.elapsed() >= Duration::from_secs(1), "{:?}", started.elapsed());
    assert_eq!(bed.emulator.journal().counts().of(Operation::Token), 2);
}

/// Somebody reads slowly over the only connection, and others wait for it.
#[tokio::test]
async fn what_was_given_up_while_it_waited_for_its_turn_is_not_sent() {
    let bed = Bed::start().await;
    let identity = reader(&bed).await;
    let other = App::register(&bed);
    let others_secret = other.handle.add_secret();
    let others = other.with(&[("AZURE_CLIENT_SECRET", &others_secret)]);
    let taken_away = bed.identity(&others).await;
    let settings = Settings {
        max_connections_per_vault: 1,
        ..Settings::default()
    };
    let client = KeyVault::new(bed.http.clone(), settings);
    let read = |who: &Identity, name: &str| {
        let object = ObjectRef {
            vault: VaultName::parse("kv1").unwrap(),
            kind: ObjectKind::Secret,
            name: ObjectName::parse(name).unwrap(),
            version: None,
        };
        let (client, who) = (client.clone(), who.clone());
        tokio::spawn(async move { client.get(&who, &object, Priority::New).await })
    };
    // Challenge and tokens are there already.
    for who in [&identity, &taken_away] {
        assert!(read(who, "s").await.unwrap().is_ok());
    }
    let journal = bed.emulator.journal();
    journal.reset();
    // Long enough for the others to come and to go.
    let slow = FaultKind::Latency { milliseconds: 10_000 };
    let faults = bed.emulator.faults();
    faults.add(Fault::vault("kv1", slow).on(&[Operation::SECRET_GET]).times(1));
    let first = read(&identity, "first");
    let at_the_vault = async || faults.active().is_empty().then_some(());
    wait::until("the first to be at the vault", Duration::from_secs(30), at_the_vault)
        .await
        .unwrap();
    let waiting = async |count: usize| {
        let waits = async || (client.stats().vaults.first()?.waiting >= count).then_some(());
        wait::until("somebody to wait", Duration::from_secs(30), waits)
            .await
            .unwrap();
    };
    let closed = read(&taken_away, "second");
    let unwanted = read(&identity, "third");
    waiting(2).await;
    taken_away.close();
    unwanted.abort();
    let _answered = first.await.unwrap();
    let refused = closed.await.unwrap().err().unwrap();
    assert!(refused.diagnosis.what.contains("given up"), "{refused}");
    // The queue is empty when one more has had its turn.
    assert!(read(&identity, "s").await.unwrap().is_ok());
    let counts = journal.counts();
    assert_eq!(counts.of(Operation::SECRET_GET), 2, "the first and the last: {counts}");
    let refused = bed.failure(&taken_away).await;
    assert!(refused.diagnosis.what.contains("given up"), "{refused}");
    let anew = bed.identity(&others).await;
    assert!(
        bed.read(&anew).await.is_ok(),
        "an equal one that is made later starts anew"
    );
}
