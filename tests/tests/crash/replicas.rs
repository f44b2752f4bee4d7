//! Several replicas, and a leader that freezes or dies: there is never a second writer.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use akv2k8s_testbed::gate::{Gate, Moment, Verdict};
use akv2k8s_testbed::proxy::Proxy;
use akv2k8s_testbed::stack::{Controller, Stack};
use akv2k8s_testbed::wait::until;
use anyhow::{Context, ensure};
use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::watch;

use super::bed::{Bed, Expected, PATIENCE};

/// The lease lasts 15 s and is looked at every 2 s; the rest is for a busy machine.
const TAKE_OVER: Duration = Duration::from_secs(30);

fn signal(name: &str, process: u32) -> anyhow::Result<()> {
    let status = Command::new("kill").args([name, &process.to_string()]).status()?;
    ensure!(status.success(), "kill {name} {process}: {status}");
    Ok(())
}

/// Remembers a replica's writes, but for those of the lease.
#[derive(Default)]
struct Recorder(Mutex<Vec<(Instant, String)>>);

impl Recorder {
    fn writes(&self) -> Vec<(Instant, String)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Gate for Recorder {
    fn pass<'a>(&'a self, moment: Moment, request: &'a str) -> BoxFuture<'a, Verdict> {
        if moment == Moment::Arrived && !request.starts_with("GET ") && !request.contains("/leases/") {
            let mut writes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            writes.push((Instant::now(), request.to_owned()));
        }
        async { Verdict::Pass }.boxed()
    }
}

/// Freezes a process when the vault has answered its next read; the answer reaches it in its sleep.
struct Freezer(watch::Sender<Option<u32>>);

impl Gate for Freezer {
    fn pass<'a>(&'a self, moment: Moment, request: &'a str) -> BoxFuture<'a, Verdict> {
        if moment == Moment::Answered && request.ends_with("SecretGet") {
            self.0
                .send_if_modified(|process| process.take().is_some_and(|process| signal("-STOP", process).is_ok()));
        }
        async { Verdict::Pass }.boxed()
    }
}

/// A controller program behind a proxy of its own.
struct Replica {
    controller: Controller,
    recorder: Arc<Recorder>,
    _proxy: Proxy,
}

impl Replica {
    async fn start(bed: &Bed) -> anyhow::Result<Self> {
        let recorder = Arc::new(Recorder::default());
        let proxy = Proxy::start(&bed.stack.cluster, recorder.clone()).await?;
        let launch = bed.stack.controller().arg(&format!("--master={}", proxy.url()));
        let controller = launch.arg("--azure-resync-period=1").start().await?;
        Ok(Self {
            controller,
            recorder,
            _proxy: proxy,
        })
    }

    async fn start_standby(bed: &Bed) -> anyhow::Result<Self> {
        let replica = Self::start(bed).await?;
        until("the replica to stand by", PATIENCE, async || {
            replica.controller.log().contains("standing by").then_some(())
        })
        .await?;
        Ok(replica)
    }

    fn process(&self) -> anyhow::Result<u32> {
        self.controller.id().context("the controller ended by itself")
    }
}

/// Changes the value in the vault and waits until it is in the Secret. Gives how long that took.
async fn rotate(bed: &Bed, number: usize) -> anyhow::Result<Duration> {
    let start = Instant::now();
    let value = format!("value {number}");
    bed.set("db", &value, number)?;
    let expected = BTreeMap::from([("out".to_owned(), Expected::of(&[("db", &value)]))]);
    bed.wait_for("out", &expected).await?;
    Ok(start.elapsed())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_or_killed_leader_is_replaced_and_never_writes_beside_its_successor() -> anyhow::Result<()> {
    let bed = Bed::on(Stack::start().await?).await?;
    bed.set("db", "value 0", 0)?;
    bed.apply("db", "db", "out").await?;
    let mut first = Replica::start(&bed).await?;
    rotate(&bed, 1).await?;
    let second = Replica::start_standby(&bed).await?;

    // The leader freezes with a value in its hands that will be an old one when it wakes.
    let freezer = Arc::new(Freezer(watch::Sender::new(Some(first.process()?))));
    let mut frozen = freezer.0.subscribe();
    bed.stack.emulator.set_gate(freezer);
    let taken_over = rotate(&bed, 2).await?;
    ensure!(frozen.wait_for(Option::is_none).await.is_ok(), "nobody froze");
    ensure!(
        taken_over < TAKE_OVER,
        "taking over from a frozen leader took {taken_over:?}"
    );
    rotate(&bed, 3).await?;
    let woken = Instant::now();
    signal("-CONT", first.process()?)?;
    until("the old leader's end", PATIENCE, async || {
        first.controller.has_ended().then_some(())
    })
    .await?;
    let late: Vec<_> = first
        .recorder
        .writes()
        .into_iter()
        .filter(|(at, _)| *at >= woken)
        .collect();
    ensure!(late.is_empty(), "written by two: {late:?}; {}", first.controller.log());
    let log = first.controller.log();
    ensure!(log.contains("lease"), "it does not say why it ended: {log}");

    let third = Replica::start_standby(&bed).await?;
    signal("-9", second.process()?)?;
    let taken_over_again = rotate(&bed, 4).await?;
    ensure!(
        taken_over_again < TAKE_OVER,
        "taking over from a dead leader took {taken_over_again:?}"
    );

    let writes = [&first, &second, &third].map(|replica| replica.recorder.writes());
    for pair in writes.windows(2) {
        let (before, after) = (pair[0].last(), pair[1].first());
        let (before, after) = (
            before.context("no write of the one before")?,
            after.context("no write after")?,
        );
        ensure!(before.0 < after.0, "two wrote at once: {before:?}, {after:?}");
    }
    println!(
        "taken over from a frozen leader in {:.1} s, from a killed one in {:.1} s; writes: {:?}, never of two at once",
        taken_over.as_secs_f32(),
        taken_over_again.as_secs_f32(),
        writes.map(|it| it.len())
    );
    Ok(())
}
