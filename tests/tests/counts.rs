//! Exact counts: what a thousand objects cost when nothing, one thing or everything changes.
//!
//! The daily pass (a GET per object and day, each at a time hashed from its name) is kept out: objects whose turn would come
//! during the test are not used. Lease renewals are not counted.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use akv2k8s_controller::phase;
use akv2k8s_testbed::emulator::{Counts, Emulator, Operation, SecretOptions};
use akv2k8s_testbed::load::{self, Item, Writes};
use akv2k8s_testbed::stack::{Controller, Stack};
use akv2k8s_testbed::wait::until;
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};

/// Objects, and pages of 25 that list them.
const OBJECTS: usize = 1000;
const PAGES: u64 = 40;
/// Poll period: long enough that one look is over well before the next.
const PERIOD: Duration = Duration::from_secs(15);
const LIMIT: Duration = Duration::from_secs(180);

const VAULT: &str = "counted";
const NAMESPACE: &str = "counted";

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_objects_cost_forty_lists_a_poll_and_a_change_costs_one_get() {
    let stack = Stack::start().await.expect("a stack");
    let client = stack.cluster.client().expect("a client");
    let vault = stack.vault(VAULT);
    let items = items_without_a_daily_turn_now();
    load::fill(&vault, &items, stack.emulator.clock().now()).expect("a vault of secrets");
    load::namespace(&client, NAMESPACE).await.expect("a namespace");
    load::create(&client, NAMESPACE, VAULT, &items).await.expect("objects");

    let controller = start(&stack).await;
    load::settled(&client, NAMESPACE, OBJECTS, LIMIT)
        .await
        .expect("all synced");
    let first = stack.emulator.journal().counts();
    assert_eq!(
        first.with_status(Operation::SECRET_GET, 200),
        OBJECTS as u64,
        "one GET each:\n{first}"
    );
    assert_eq!(first.of(Operation::Token), 1, "one token:\n{first}");
    assert_eq!(first.status(401), 1, "one challenge:\n{first}");

    // Nothing changes: three polls.
    let (counts, writes) = polls(&stack, &client, 3).await;
    assert_eq!(counts.total(), 3 * PAGES, "lists only:\n{counts}");
    assert_eq!(writes.total(), 0, "no writes: {writes}");

    // One secret changes.
    let changed = &items[OBJECTS / 2];
    let options = SecretOptions {
        written_at: Some(stack.emulator.clock().now() - 60),
        ..SecretOptions::default()
    };
    vault
        .set_secret(&changed.object, "rotated", options)
        .expect("a new version");
    let before = Writes::read(&client).await.expect("metrics");
    next_poll(&stack.emulator).await;
    expect_value(&client, &changed.name, "rotated").await;
    let (_, after) = polls_since(&stack, &client, &before, 1).await;
    let counts = stack.emulator.journal().counts();
    assert_eq!(counts.of(Operation::SECRET_GET), 1, "one GET:\n{counts}");
    assert_eq!(counts.total(), 2 * PAGES + 1, "and the lists of two polls:\n{counts}");
    assert_eq!(after.of("secrets"), 1, "one apply: {after}");
    assert_eq!(after.of("azurekeyvaultsecrets/status"), 1, "one status: {after}");
    assert_eq!(after.of("events"), 1, "one event: {after}");
    assert_eq!(after.total(), 3, "and nothing else: {after}");

    // A restart.
    drop(controller);
    let before = Writes::read(&client).await.expect("metrics");
    stack.emulator.journal().reset();
    let _controller = start(&stack).await;
    lists(&stack.emulator, 2 * PAGES).await;
    let counts = stack.emulator.journal().counts();
    let writes = Writes::read(&client).await.expect("metrics").since(&before);
    assert_eq!(
        counts.with_status(Operation::SECRET_LIST, 200),
        2 * PAGES,
        "the lists of two polls:\n{counts}"
    );
    assert_eq!(counts.of(Operation::SECRET_GET), 0, "no GET:\n{counts}");
    assert_eq!(
        (counts.of(Operation::Token), counts.status(401)),
        (1, 1),
        "one token, one challenge:\n{counts}"
    );
    assert_eq!(writes.total(), 0, "no writes: {writes}");
}

#[tokio::test(flavor = "multi_thread")]
async fn five_hundred_objects_that_name_one_secret_cost_one_get() {
    const COUNT: usize = 500;
    let stack = Stack::start().await.expect("a stack");
    let client = stack.cluster.client().expect("a client");
    let vault = stack.vault(VAULT);
    let shared = Item {
        name: String::new(),
        object: "shared".to_owned(),
    };
    load::fill(&vault, &[shared], stack.emulator.clock().now()).expect("one secret");
    let items: Vec<Item> = load::items("same", COUNT)
        .into_iter()
        .map(|item| Item {
            object: "shared".to_owned(),
            ..item
        })
        .collect();
    load::namespace(&client, NAMESPACE).await.expect("a namespace");
    load::create(&client, NAMESPACE, VAULT, &items).await.expect("objects");

    let _controller = start(&stack).await;
    load::settled(&client, NAMESPACE, COUNT, LIMIT)
        .await
        .expect("all synced");
    let counts = stack.emulator.journal().counts();
    assert_eq!(counts.with_status(Operation::SECRET_GET, 200), 1, "{counts}");
}

/// The real program. Leader election is on, as in production; a killed holder's lease is waited for.
async fn start(stack: &Stack) -> Controller {
    let period = format!("--azure-resync-period={}", PERIOD.as_secs());
    stack.controller().arg(&period).start().await.expect("a controller")
}

/// Objects whose daily GET is at least twenty minutes away.
fn items_without_a_daily_turn_now() -> Vec<Item> {
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    let margin = Duration::from_secs(20 * 60);
    let quiet = |item: &Item| phase::next(&format!("{NAMESPACE}/{}", item.name), DAY, now) > now + margin;
    load::items("item", 2 * OBJECTS)
        .into_iter()
        .filter(quiet)
        .take(OBJECTS)
        .collect()
}

/// Resets the journal just after a poll, and gives the counts of the `n` polls that follow.
async fn polls(stack: &Stack, client: &Client, n: u64) -> (Counts, Writes) {
    next_poll(&stack.emulator).await;
    let before = Writes::read(client).await.expect("metrics");
    polls_since(stack, client, &before, n).await
}

async fn polls_since(stack: &Stack, client: &Client, before: &Writes, n: u64) -> (Counts, Writes) {
    let seen = stack.emulator.journal().counts().of(Operation::SECRET_LIST);
    lists(&stack.emulator, seen + n * PAGES).await;
    let counts = stack.emulator.journal().counts();
    (counts, Writes::read(client).await.expect("metrics").since(before))
}

/// Waits for the end of the next poll, then resets the journal.
async fn next_poll(emulator: &Emulator) {
    emulator.journal().reset();
    lists(emulator, PAGES).await;
    emulator.journal().reset();
}

/// Waits until `n` pages were listed, and for the silence after them.
async fn lists(emulator: &Emulator, n: u64) {
    let journal = emulator.journal();
    let counts = journal
        .wait_for(LIMIT, |counts| counts.with_status(Operation::SECRET_LIST, 200) >= n)
        .await;
    assert!(counts.is_some(), "waited for {n} pages:\n{}", journal.counts());
    let mut last = journal.counts();
    until("the poll to be over", LIMIT, async || {
        tokio::time::sleep(PERIOD / 10).await;
        let now = journal.counts();
        let quiet = now == last;
        last = now;
        quiet.then_some(())
    })
    .await
    .expect("silence");
}

async fn expect_value(client: &Client, name: &str, value: &str) {
    let api: Api<Secret> = Api::namespaced(client.clone(), NAMESPACE);
    let there = async || {
        let data = api.get(name).await.ok()?.data?;
        (data.get("value")?.0 == value.as_bytes()).then_some(())
    };
    until("the new value", LIMIT, there)
        .await
        .expect("the new value in the Secret");
}
