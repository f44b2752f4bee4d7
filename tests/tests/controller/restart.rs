//! What nothing costs: idle polls, restarts; and what one change costs. Counted exactly.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use akv2k8s_shared::api::AzureKeyVaultSecret;
use akv2k8s_testbed::emulator::{Counts, Operation, SecretOptions, VaultHandle};
use akv2k8s_testbed::stage::{PATIENCE, Running, Stage};
use akv2k8s_testbed::wait::until;
use anyhow::Context;
use k8s_openapi::api::core::v1::{Event, Secret};
use kube::api::ListParams;
use kube::{Resource, ResourceExt};
use sha2::{Digest, Sha256};

const OBJECTS: usize = 1000;
/// Pages of one LIST of that many secrets, 25 a page.
const PAGES: u64 = 40;
/// Long enough for a look to end before the next begins, on a busy machine, too.
const PERIOD: &str = "--azure-resync-period=12";

fn fill(vault: &VaultHandle, numbers: &[usize]) -> anyhow::Result<()> {
    for number in numbers {
        vault.set_secret(&format!("s{number}"), "value", SecretOptions::default())?;
    }
    Ok(())
}

/// Numbers of `count` objects of `namespace` whose time of day for the daily read is not near: that read is counted apart. The rule is
/// in docs/controller.md: the first 48 bits of the SHA-256 of `NAMESPACE/NAME`, in milliseconds, modulo a day.
fn not_read_daily_soon(namespace: &str, count: usize) -> anyhow::Result<Vec<usize>> {
    const DAY: u64 = 86_400_000;
    const NEAR: u64 = DAY / 24;
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis();
    let now = u64::try_from(now % u128::from(DAY))?;
    let is_far = |number: &usize| {
        let digest = Sha256::digest(format!("{namespace}/s{number}"));
        let time = digest.iter().take(6).fold(0, |time, byte| time << 8 | u64::from(*byte)) % DAY;
        let ahead = (time + DAY - now) % DAY;
        (NEAR..DAY - NEAR).contains(&ahead)
    };
    Ok((0..).filter(is_far).take(count).collect())
}

/// Name and resource version of everything of one type.
async fn versions<K>(stage: &Stage) -> anyhow::Result<Vec<(String, Option<String>)>>
where
    K: Resource<Scope = k8s_openapi::NamespaceResourceScope> + Clone + std::fmt::Debug + serde::de::DeserializeOwned,
    K::DynamicType: Default,
{
    let list = stage.api::<K>().list(&ListParams::default()).await?;
    let versions = list.items.iter().map(|it| (it.name_any(), it.resource_version()));
    Ok(versions.collect())
}

/// How many of `after` are new or have another version than in `before`.
fn differing(before: &[(String, Option<String>)], after: &[(String, Option<String>)]) -> usize {
    after.iter().filter(|it| !before.contains(it)).count()
}

/// Waits until the vaults have been asked nothing for a second: the time between two looks.
async fn quiet(stage: &Stage) -> anyhow::Result<()> {
    let mut last = (stage.emulator.journal().counts().total(), Instant::now());
    until("a pause between two looks", PATIENCE, async || {
        let total = stage.emulator.journal().counts().total();
        if total != last.0 {
            last = (total, Instant::now());
        }
        (last.1.elapsed() > Duration::from_secs(1)).then_some(())
    })
    .await?;
    Ok(())
}

/// Everything the vaults are asked from now until the next whole look has ended.
async fn one_look(stage: &Stage) -> anyhow::Result<Counts> {
    let journal = stage.emulator.journal();
    let begun = journal.wait_for(PATIENCE, |counts| counts.of(Operation::SECRET_LIST) > 0);
    begun.await.context("a look at the vault")?;
    quiet(stage).await?;
    Ok(journal.counts())
}

/// The value of a metric without labels.
async fn metric(controller: &Running, name: &str) -> anyhow::Result<u64> {
    let (_, text) = controller.get("/metrics").await?;
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    Ok(line.with_context(|| format!("no metric {name}"))?.parse()?)
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_polls_and_restarts_read_no_secret_and_write_nothing() -> anyhow::Result<()> {
    let stage = Stage::new("restart").await?;
    let vault = stage.vault("kv1");
    let numbers = not_read_daily_soon(stage.namespace.name(), OBJECTS)?;
    fill(&vault, &numbers)?;
    stage
        .apply_many("kv1", numbers.iter().copied(), |number| format!("s{number}"))
        .await?;
    // Marks settle once the last change lies more than 2 s back.
    stage.emulator.clock().set_offset(10);
    let start = Instant::now();
    let controller = stage.controller(&[PERIOD]).await?;
    stage.wait_for_synced(OBJECTS).await?;
    println!(
        "{OBJECTS} objects synced in {:.1} s (debug build, shared machine)",
        start.elapsed().as_secs_f32()
    );
    let journal = stage.emulator.journal();
    assert_eq!(journal.counts().with_status(Operation::SECRET_GET, 200), OBJECTS as u64);
    assert_eq!(journal.counts().status(401), 1, "one challenge");
    assert_eq!(journal.counts().of(Operation::Token), 1);

    let before = (
        versions::<AzureKeyVaultSecret>(&stage).await?,
        versions::<Secret>(&stage).await?,
    );
    quiet(&stage).await?;
    journal.reset();
    let counts = one_look(&stage).await?;
    assert_eq!(
        (counts.of(Operation::SECRET_LIST), counts.total()),
        (PAGES, PAGES),
        "an idle look is its pages"
    );

    controller.stop().await?;
    journal.reset();
    let controller = stage.controller(&[PERIOD]).await?;
    let counts = one_look(&stage).await?;
    assert_eq!(counts.with_status(Operation::SECRET_LIST, 200), PAGES);
    assert_eq!(counts.of(Operation::SECRET_GET), 0, "a restart reads nothing");
    assert_eq!(metric(&controller, "akv2k8s_status_writes_total").await?, 0);
    let after = (
        versions::<AzureKeyVaultSecret>(&stage).await?,
        versions::<Secret>(&stage).await?,
    );
    assert_eq!(before, after, "neither the idle looks nor the restart wrote anything");

    let events = versions::<Event>(&stage).await?;
    quiet(&stage).await?;
    journal.reset();
    // Long enough ago to be settled at the first look that sees it: a look may fall between any two lines here.
    let written = SecretOptions {
        written_at: Some(stage.emulator.clock().now() - 3),
        ..SecretOptions::default()
    };
    let changed = format!("s{}", numbers[7]);
    vault.set_secret(&changed, "other", written)?;
    stage.wait_for_key(&changed, "v", "other").await?;
    until("the event", PATIENCE, async || {
        (differing(&events, &versions::<Event>(&stage).await.ok()?) > 0).then_some(())
    })
    .await?;
    let counts = one_look(&stage).await?;
    assert_eq!(counts.of(Operation::SECRET_GET), 1, "one change costs one read");
    assert_eq!((counts.of(Operation::SECRET_LIST), counts.total()), (PAGES, PAGES + 1));
    assert_eq!(metric(&controller, "akv2k8s_status_writes_total").await?, 1);
    assert_eq!(differing(&after.0, &versions::<AzureKeyVaultSecret>(&stage).await?), 1);
    assert_eq!(differing(&after.1, &versions::<Secret>(&stage).await?), 1);
    assert_eq!(differing(&events, &versions::<Event>(&stage).await?), 1);
    controller.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_in_the_middle_is_made_up_for() -> anyhow::Result<()> {
    const OBJECTS: usize = 60;
    let stage = Stage::new("kill").await?;
    fill(&stage.vault("kv1"), &(0..OBJECTS).collect::<Vec<_>>())?;
    let controller = stage.controller(&["--leader-elect=false"]).await?;
    stage
        .apply_many("kv1", 0..OBJECTS, |number| format!("s{number}"))
        .await?;
    stage.wait_for_key("s3", "v", "value").await?;
    controller.kill().await;
    let controller = stage.controller(&["--leader-elect=false"]).await?;
    stage.wait_for_synced(OBJECTS).await?;
    for number in 0..OBJECTS {
        stage.wait_for_key(&format!("s{number}"), "v", "value").await?;
    }
    controller.stop().await
}
