//! The chart on a real node, with our images: over a release as akv2k8s' own chart makes it, back, and away again.
//!
//! None of akv2k8s' programs runs: its pods stay without an image, and what its controller would have written is written here.

mod emulator;
mod gap;
mod load;
mod quick_start;
mod world;

use std::time::Instant;

use akv2k8s_testbed::node;
use akv2k8s_testbed::provision::Program;
use anyhow::ensure;
use world::{COUNT, Identity, Profile, World};

use crate::gap::Gap;
use crate::load::{Asks, Load};

/// The namespace of a team that asks for values.
const ASKING: &str = "asking";

/// One node at a time.
static MACHINE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

#[tokio::test(flavor = "multi_thread")]
async fn helm_3_upgrades_a_release_of_akv2k8s_without_a_restart_and_goes_back() -> anyhow::Result<()> {
    there_and_back(Program::Helm3, Identity::Node).await
}

#[tokio::test(flavor = "multi_thread")]
async fn helm_4_upgrades_a_release_of_akv2k8s_without_a_restart_and_goes_back() -> anyhow::Result<()> {
    there_and_back(Program::Helm4, Identity::Workload).await
}

async fn there_and_back(helm: Program, identity: Identity) -> anyhow::Result<()> {
    if !node::available(1) {
        return Ok(());
    }
    let _alone = MACHINE.lock().await;
    let world = World::new(helm).await?;
    world.write_what_upstream_writes().await?;
    world.start_a_program_that_uses_a_secret().await?;
    world.install_upstream().await?;
    let before = world.secrets().await?;
    ensure!(before.len() == COUNT, "{} Secrets", before.len());

    // Pods of others, all the time; those of teams that have injection once the configuration of their webhook is ours, and those that ask for
    // values once it answers.
    world.namespace("others", None).await?;
    let others = Load::start(world.pods_of("others")?, Asks::Nothing)?;
    let gap = Gap::watch(&world, ASKING).await?;
    let start = Instant::now();
    world.upgrade(identity).await?;
    let upgraded = start.elapsed();
    let gap = gap.end().await?;
    println!(
        "pods that ask for values: refused for {:.1} s of the upgrade",
        gap.refused.as_secs_f64()
    );
    let asking = Load::start(world.pods_of(ASKING)?, Asks::AValue)?;
    world.all_synced().await?;
    let synced = start.elapsed();
    let after = world.secrets().await?;
    let changed = world::changed(&before, &after);
    println!(
        "upgraded in {:.0} s, {COUNT} objects synced after {:.0} s: {} Secrets with other data, {} written",
        upgraded.as_secs_f64(),
        synced.as_secs_f64(),
        changed.data.len(),
        changed.written,
    );
    ensure!(changed.data.is_empty(), "data of {:?}", changed.data);
    ensure!(changed.lost.is_empty(), "labels or owners lost: {:?}", changed.lost);
    world.program_was_not_restarted().await?;
    it_works(&world, "first").await?;
    asking.end("pods that ask for values, after the upgrade").await?;
    let quiet = "pods that ask for nothing where others do, from the first moment of ours";
    gap.quiet.end(quiet).await?;

    // The prior release is put back; nothing of the users' is touched.
    let before = world.secrets().await?;
    // Helm 4 does not take from others what they have written, here the webhook's authority, unless it is told to.
    let force = (helm == Program::Helm4).then_some("--force-conflicts");
    let line: Vec<_> = ["rollback", world::RELEASE, "1"].into_iter().chain(force).collect();
    world.helm(&line, "")?;
    let changed = world::changed(&before, &world.secrets().await?);
    ensure!(changed.written == 0, "going back wrote {} Secrets", changed.written);
    world.program_was_not_restarted().await?;
    others
        .end("pods of others, from the release of akv2k8s to ours and back")
        .await?;

    // Ours again, with the least rights; from one revision of ours to the next, and back.
    world.upgrade_to(identity, Profile::Hardened).await?;
    it_works(&world, "hardened").await?;
    world.upgrade(identity).await?;
    it_works(&world, "second").await?;
    let line: Vec<_> = ["rollback", world::RELEASE, "--wait", "--timeout", "5m"]
        .into_iter()
        .chain(force)
        .collect();
    world.helm(&line, "")?;
    world.injects().await?;
    it_works(&world, "back").await?;

    world.helm(&["uninstall", world::RELEASE, "--wait"], "")?;
    let changed = world::changed(&before, &world.secrets().await?);
    ensure!(changed.data == ["db7"] && changed.gone == 0, "{changed:?}");
    world.program_was_not_restarted().await
}

/// Both programs do what they are for; `name` is new each time.
async fn it_works(world: &World, name: &str) -> anyhow::Result<()> {
    world.rotation_arrives(name).await?;
    world.a_prepared_pod_gets_its_value(name).await
}
