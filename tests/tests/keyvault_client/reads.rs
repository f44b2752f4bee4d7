//! What is read, and what it costs.

use akv2k8s_shared::keyvault::changes::{Change, Listings, compare};
use akv2k8s_shared::keyvault::{Collection, KeyVault, Priority, Settings};
use akv2k8s_shared::reference::{ObjectKind, ObjectName};
use akv2k8s_testbed::emulator::{Kind, Operation, SecretOptions};
use tokio::time::Instant;

use crate::bed::{Bed, pinned, secret, value};

#[tokio::test]
async fn a_hundred_objects_cost_one_challenge_one_token_and_a_hundred_requests() {
    let bed = Bed::start().await;
    for number in 0..100 {
        bed.set(&format!("s-{number}"), &format!("value-{number}"));
    }
    let names: Vec<_> = (0..100).map(|number| format!("s-{number}")).collect();
    let all = futures::future::join_all(names.iter().map(|name| bed.secret(name))).await;
    for (number, fetched) in all.iter().enumerate() {
        assert_eq!(value(fetched.as_ref().unwrap()), format!("value-{number}"));
    }
    let counts = bed.emulator.journal().counts();
    assert_eq!(counts.with_status(Operation::SECRET_GET, 401), 1);
    assert_eq!(counts.of(Operation::Token), 1);
    assert_eq!(counts.with_status(Operation::SECRET_GET, 200), 100);
    assert_eq!(counts.total(), 102);
    let stats = bed.client.stats();
    let of = |status| {
        let same = stats
            .requests
            .iter()
            .filter(|row| row.operation == "getSecret" && row.status == status);
        same.map(|row| row.count).sum::<u64>()
    };
    assert_eq!((of("2xx"), of("401")), (100, 1));
    let connections = bed.emulator.journal().connections();
    assert!(
        connections <= 34,
        "one to Entra, at most 32 to the vault, one spare: {connections}"
    );
}

#[tokio::test]
async fn five_hundred_references_to_one_object_cost_one_request() {
    let bed = Bed::start().await;
    bed.set("shared", "value");
    let object = secret("kv1", "shared");
    let all = (0..500).map(|_| bed.get(&object));
    assert!(futures::future::join_all(all).await.iter().all(Result::is_ok));
    assert_eq!(
        bed.emulator.journal().counts().with_status(Operation::SECRET_GET, 200),
        1
    );
}

#[tokio::test]
async fn one_identity_never_gets_what_another_read() {
    let bed = Bed::start().await;
    bed.set("shared", "value");
    bed.secret("shared").await.unwrap();
    let stranger = bed.emulator.entra().register_app();
    let secret_of_stranger = stranger.add_secret();
    let stranger = bed
        .with_variables(&[
            ("AZURE_CLIENT_ID", stranger.client_id()),
            ("AZURE_TENANT_ID", bed.emulator.entra().tenant_id()),
            ("AZURE_CLIENT_SECRET", &secret_of_stranger),
        ])
        .await;
    let refused = bed.client.get(&stranger, &secret("kv1", "shared"), Priority::New).await;
    assert!(refused.is_err());
}

#[tokio::test]
async fn a_reference_made_after_a_rotation_gets_the_new_value() {
    let bed = Bed::start().await;
    bed.set("rotated", "old");
    let object = secret("kv1", "rotated");
    assert_eq!(value(&bed.get(&object).await.unwrap()), "old");
    bed.set("rotated", "new");
    // Learnt of a second and a half later; no need to wait for it.
    let later = Instant::now() + std::time::Duration::from_millis(1500);
    let fetched = bed.client.get_since(&bed.identity, &object, Priority::New, later);
    assert_eq!(value(&fetched.await.unwrap()), "new");
}

#[tokio::test]
async fn a_pinned_version_stays_what_it_was() {
    let bed = Bed::start().await;
    let first = bed.vault.set_secret("s", "first", SecretOptions::default()).unwrap();
    bed.vault.set_secret("s", "second", SecretOptions::default()).unwrap();
    let latest = secret("kv1", "s");
    assert_eq!(value(&bed.get(&latest).await.unwrap()), "second");
    assert_eq!(value(&bed.get(&pinned(&latest, &first)).await.unwrap()), "first");
}

#[tokio::test]
async fn lists_take_one_request_a_page_and_see_every_object() {
    let bed = Bed::start().await;
    for number in 0..60 {
        bed.set(&format!("s-{number}"), "v");
    }
    bed.vault.disable(Kind::Secret, "s-7").unwrap();
    let listing = bed.list(Collection::Secrets).await.unwrap();
    assert_eq!((listing.pages, listing.items.len()), (3, 60));
    let name = |name: &str| ObjectName::parse(name).unwrap();
    assert!(!listing.items[&name("s-7")].enabled);
    assert!(listing.items[&name("S-8")].enabled);
    let counts = bed.emulator.journal().counts();
    assert_eq!(counts.with_status(Operation::SECRET_LIST, 200), 3);
    assert_eq!(counts.status(401), 1);
}

#[tokio::test]
async fn a_list_tells_which_objects_to_read_again() {
    let bed = Bed::start().await;
    for name in ["same", "changed", "tagged", "gone"] {
        bed.set(name, "v");
    }
    let mut read = Vec::new();
    for name in ["same", "changed", "tagged", "gone"] {
        let fetched = bed.secret(name).await.unwrap();
        assert!(fetched.settled);
        read.push((ObjectName::parse(name).unwrap(), fetched.fingerprint.clone()));
    }
    bed.vault.set_secret("changed", "w", SecretOptions::default()).unwrap();
    let tagged = SecretOptions {
        written_at: Some(bed.emulator.clock().now() - 100),
        ..SecretOptions::content_type("text/plain")
    };
    bed.vault.set_secret("tagged", "v", tagged).unwrap();
    bed.vault.delete(Kind::Secret, "gone").unwrap();
    let secrets = bed.list(Collection::Secrets).await.unwrap();
    let listings = Listings {
        secrets: Some(&secrets),
        ..Listings::default()
    };
    let told: Vec<_> = read
        .iter()
        .map(|(name, last)| compare(ObjectKind::Secret, name, Some(last), listings))
        .collect();
    assert_eq!(
        told,
        [Change::Unchanged, Change::Changed, Change::Changed, Change::Missing]
    );
    let unsettled = &secrets.items[&read[1].0];
    assert!(!unsettled.settled, "written within the last two seconds");
}

#[tokio::test]
async fn a_list_on_a_small_budget_takes_its_time_and_new_work_overtakes_it() {
    let bed = Bed::with(Settings {
        requests_per_10s: 20,
        ..Settings::default()
    })
    .await;
    for number in 0..30 {
        bed.set(&format!("s-{number}"), "v");
    }
    // Uses the burst up: one challenge, nineteen reads.
    for number in 0..19 {
        bed.secret(&format!("s-{number}")).await.unwrap();
    }
    let start = Instant::now();
    let refreshes = (0..6).map(|_| bed.list(Collection::Secrets));
    let refreshes = async {
        futures::future::join_all(refreshes)
            .await
            .into_iter()
            .all(|list| list.is_ok())
    };
    let new = async {
        bed.secret("s-29").await.unwrap();
        start.elapsed()
    };
    let (listed, waited) = tokio::join!(refreshes, new);
    assert!(listed);
    assert!(
        start.elapsed().as_millis() >= 6000,
        "13 requests at 2 a second: {:?}",
        start.elapsed()
    );
    assert!(waited < start.elapsed() / 2, "{waited:?} of {:?}", start.elapsed());
}

#[tokio::test]
async fn a_client_that_gives_up_leaves_the_others_alone() {
    let bed = Bed::start().await;
    bed.set("s", "v");
    let hurried = tokio::time::timeout(std::time::Duration::from_millis(1), bed.secret("s"));
    let _ = hurried.await;
    assert_eq!(value(&bed.secret("s").await.unwrap()), "v");
    let fresh = KeyVault::new(bed.http.clone(), Settings::default());
    assert!(
        fresh
            .get(&bed.identity, &secret("kv1", "s"), Priority::New)
            .await
            .is_ok()
    );
}
