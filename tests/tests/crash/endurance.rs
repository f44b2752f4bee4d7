//! The controller at work for long, with some of all requests to the vault and to Entra failing: it holds no more afterwards than it held
//! when all of it had been done for half of the time.
//!
//! `AKV2K8S_CHAOS_SECONDS` and `AKV2K8S_CHAOS_SEED` as for the faults at random, which also kill it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use akv2k8s_testbed::emulator::Options;
use akv2k8s_testbed::measure::{open_files, resident};
use akv2k8s_testbed::random::SplitMix64;
use akv2k8s_testbed::stack::{Controller, Stack};
use anyhow::{Context, ensure};

use super::bed::{Bed, outputs};
use super::chaos::{LONGEST_BACK_OFF, faults, length, seed};

const OBJECTS: u64 = 40;
/// The share of requests that are struck: so few that hardly any object fails often and has to wait for long.
const SHARE: f64 = 0.02;
/// What may be held on top of what the first half left: connections that wait to be used again. One left by each fault is more.
const MORE_FILES: usize = 40;
/// The same of memory, MiB: an allocator does not give back all that it once took. 1 KiB left by each of 40 objects' changes is more.
const MORE_MEMORY: f64 = 6.0;

/// What a process holds.
struct Held {
    files: usize,
    memory: f64,
}

impl Held {
    fn by(controller: &Controller) -> anyhow::Result<Self> {
        let process = controller.id().context("the controller ended by itself")?;
        Ok(Self {
            files: open_files(process)?,
            memory: resident(process)?,
        })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_controller_holds_no_more_after_long_work_than_after_half_of_it() -> anyhow::Result<()> {
    let (length, seed) = (length()?, seed()?);
    let options = Options {
        seed,
        ..Options::default()
    };
    let bed = Bed::on(Stack::with(options).await?).await?;
    let launch = bed.stack.controller().arg("--azure-resync-period=1");
    let controller = launch.start().await?;
    let mut random = SplitMix64::new(seed);
    let first = half(&bed, &controller, &mut random, length / 2).await?;
    let last = half(&bed, &controller, &mut random, length / 2).await?;
    ensure!(last.files <= first.files + MORE_FILES, "files are left open");
    ensure!(last.memory <= first.memory + MORE_MEMORY, "memory is left");
    Ok(())
}

/// What is held after work for so long.
async fn half(bed: &Bed, controller: &Controller, random: &mut SplitMix64, length: Duration) -> anyhow::Result<Held> {
    let changes = work(bed, random, length).await.with_context(|| controller.log())?;
    let held = Held::by(controller)?;
    println!("{changes} changes; {} files open, {:.1} MiB", held.files, held.memory);
    Ok(held)
}

/// Changes values, deletes objects and creates them again while requests fail, until `length` is over; then waits until everything has come
/// right. Gives the number of changes.
async fn work(bed: &Bed, random: &mut SplitMix64, length: Duration) -> anyhow::Result<u64> {
    let struck: Vec<_> = faults(SHARE)
        .into_iter()
        .map(|fault| bed.stack.emulator.faults().add(fault))
        .collect();
    let start = Instant::now();
    let mut changes = 0;
    let mut values = BTreeMap::new();
    while start.elapsed() < length || changes < OBJECTS {
        let object = changes % OBJECTS;
        let (akvs, name) = (format!("a{object}"), format!("s{object}"));
        changes += 1;
        let value = format!("value {changes}");
        bed.set_now(&name, &value)?;
        values.insert(object, value);
        if random.below(4) == 0 {
            bed.delete_if_there(&akvs).await?;
        }
        bed.apply(&akvs, &name, &format!("out{object}")).await?;
        tokio::time::sleep(Duration::from_millis(random.below(100))).await;
    }
    for id in struck {
        bed.stack.emulator.faults().lift(id);
    }
    bed.wait_long_for(LONGEST_BACK_OFF, "out", &outputs(&values)).await?;
    Ok(changes)
}
