//! What the controller costs, measured: the real program (release build), a real API server, an emulated vault, one machine.
//!
//! ```text
//! cargo bench -p akv2k8s-testbed --bench controller            # everything, about 20 minutes
//! cargo bench -p akv2k8s-testbed --bench controller -- apply   # one of: apply grant limiter memory priority rotation throttled
//! ```
//!
//! Each line shows the figure, the target, and what the Go original needed for the same work on the same kind of machine.
//! API server, etcd, emulator and controller share the cores, so compare ratios, not absolute times.

use std::fs;
use std::time::{Duration, Instant};

use akv2k8s_testbed::emulator::{Fault, FaultKind, Limit, Policy, SecretOptions};
use akv2k8s_testbed::load::{self, Item};
use akv2k8s_testbed::stack::{Controller, Launch, Profile, Stack};
use akv2k8s_testbed::wait::until;
use anyhow::Context;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};

const LIMIT: Duration = Duration::from_mins(10);
const NAMESPACE: &str = "bench";
const VAULT: &str = "bench";

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    // cargo adds `--bench`.
    let wanted: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with('-'))
        .collect();
    let runs = |name: &str| wanted.is_empty() || wanted.iter().any(|it| it == name);
    println!("{:<58} {:>12} {:>12} {:>14}", "", "here", "target", "Go original");
    if runs("apply") {
        apply().await?;
    }
    if runs("grant") {
        grant().await?;
    }
    if runs("limiter") {
        limiter().await?;
    }
    if runs("rotation") {
        rotation().await?;
    }
    if runs("throttled") {
        throttled().await?;
    }
    if runs("memory") {
        memory(100, 0, "15", "36").await?;
        memory(1000, 0, "20", "44").await?;
        memory(1000, 5000, "20", "90").await?;
        memory(10_000, 0, "60", "-").await?;
    }
    if runs("priority") {
        priority().await?;
    }
    Ok(())
}

/// One line of the table.
fn row(what: &str, here: &str, target: &str, original: &str) {
    println!("{what:<58} {here:>12} {target:>12} {original:>14}");
}

/// A stack with a namespace and a vault that holds `count` secrets.
struct Bench {
    stack: Stack,
    client: Client,
    items: Vec<Item>,
}

impl Bench {
    async fn new(count: usize) -> anyhow::Result<Self> {
        let stack = Stack::start().await?;
        let client = stack.cluster.client()?;
        let items = load::items("item", count);
        load::fill(&stack.vault(VAULT), &items, stack.emulator.clock().now())?;
        load::namespace(&client, NAMESPACE).await?;
        Ok(Self { stack, client, items })
    }

    fn launch(&self, period: u64) -> Launch {
        let period = format!("--azure-resync-period={period}");
        self.stack.controller().profile(Profile::Release).arg(&period)
    }

    fn latency(&self, milliseconds: u64) {
        let fault = Fault::vault(VAULT, FaultKind::Latency { milliseconds });
        self.stack.emulator.faults().add(fault);
    }

    async fn create(&self) -> anyhow::Result<()> {
        load::create(&self.client, NAMESPACE, VAULT, &self.items).await
    }

    async fn synced(&self) -> anyhow::Result<()> {
        load::settled(&self.client, NAMESPACE, self.items.len(), LIMIT).await
    }
}

/// 1,000 objects are created, 32 at a time, while the controller runs.
async fn apply() -> anyhow::Result<()> {
    let mut seconds = Vec::new();
    for _ in 0..3 {
        let bench = Bench::new(1000).await?;
        bench.latency(20);
        let _controller = bench.launch(30).start().await?;
        let start = Instant::now();
        bench.create().await?;
        let created = start.elapsed();
        load::secrets(&bench.client, NAMESPACE, 1000, LIMIT).await?;
        seconds.push((start.elapsed(), created));
    }
    seconds.sort();
    let (all, created) = seconds[1];
    row(
        "1,000 objects, first create to last Secret, s (median of 3)",
        &decimal(all),
        "6",
        "399",
    );
    row(
        "  of which the test needed for its creates, s",
        &decimal(created),
        "-",
        "-",
    );

    let bench = Bench::new(1000).await?;
    bench.latency(20);
    bench.create().await?;
    let start = Instant::now();
    let _controller = bench.launch(30).start().await?;
    load::secrets(&bench.client, NAMESPACE, 1000, LIMIT).await?;
    row(
        "1,000 objects are there, start to last Secret, s",
        &decimal(start.elapsed()),
        "-",
        "-",
    );
    Ok(())
}

/// 5,000 objects of one vault, behind a limiter as Azure's.
async fn limiter() -> anyhow::Result<()> {
    let bench = Bench::new(5000).await?;
    bench.create().await?;
    bench.stack.vault(VAULT).set_limit(Some(Limit {
        requests: 2000,
        seconds: 10,
        retry_after: false,
    }));
    let launch = bench.launch(30).arg("--vault-requests-per-10s=1900");
    let start = Instant::now();
    let _controller = launch.start().await?;
    load::secrets(&bench.client, NAMESPACE, 5000, LIMIT).await?;
    row(
        "5,000 objects, limiter 2,000 per 10 s, start to last, s",
        &decimal(start.elapsed()),
        "30",
        "-",
    );
    let refused = bench.stack.emulator.journal().counts().status(429);
    row("  answered 429", &refused.to_string(), "0", "-");
    Ok(())
}

/// How soon a right counts that somebody gives to the identity: when nothing was allowed, and when LIST was.
async fn grant() -> anyhow::Result<()> {
    const REFUSED_FOR: Duration = Duration::from_mins(3);
    let policy = |rights: &[&str]| Policy {
        secrets: rights.iter().map(ToString::to_string).collect(),
        ..Policy::default()
    };
    let bench = Bench::new(1).await?;
    let (vault, item) = (bench.stack.vault(VAULT), &bench.items[0]);
    let me = bench.stack.app.principal();
    vault.revoke(me);
    vault.set_policy(me, policy(&["get", "list"]));
    bench.create().await?;
    let _controller = bench.launch(30).start().await?;
    bench.synced().await?;
    for (rights, what) in [(&[][..], "no right"), (&["list"], "LIST only")] {
        vault.set_policy(me, policy(rights));
        vault.set_secret(&item.object, what, SecretOptions::default())?;
        tokio::time::sleep(REFUSED_FOR).await;
        vault.set_policy(me, policy(&["get", "list"]));
        let healed = arrival(&bench.client, &item.name, what).await?;
        let line = format!("{what} for 3 minutes, then all: to the Secret, s (poll 30 s)");
        row(&line, &decimal(healed), "300", "-");
    }
    Ok(())
}

/// How long a change in the vault takes to arrive.
async fn rotation() -> anyhow::Result<()> {
    const POLL: u64 = 10;
    let bench = Bench::new(1000).await?;
    bench.create().await?;
    let _controller = bench.launch(POLL).start().await?;
    bench.synced().await?;
    let mut seconds = Vec::new();
    for (number, item) in bench.items.iter().step_by(100).enumerate() {
        let value = format!("rotated {number}");
        // The last one arrived with a poll: from there, all over the period.
        tokio::time::sleep(Duration::from_millis(number as u64 * 1000)).await;
        bench
            .stack
            .vault(VAULT)
            .set_secret(&item.object, &value, SecretOptions::default())?;
        seconds.push(arrival(&bench.client, &item.name, &value).await?);
    }
    seconds.sort();
    row(
        "rotation to Secret, 1,000 objects, poll 10 s: median, s",
        &decimal(seconds[seconds.len() / 2]),
        "-",
        "86 (poll 30)",
    );
    row(
        "  the slowest of 10, s",
        &decimal(seconds[seconds.len() - 1]),
        "12",
        "159",
    );
    Ok(())
}

/// Half of one vault's reads are answered 429; how is another vault served?
async fn throttled() -> anyhow::Result<()> {
    const OTHER: &str = "quiet";
    let bench = Bench::new(1000).await?;
    let others = load::items("other", 40);
    load::fill(&bench.stack.vault(OTHER), &others, bench.stack.emulator.clock().now())?;
    bench.create().await?;
    let _controller = bench.launch(5).start().await?;
    bench.synced().await?;
    let calm = latencies(&bench.client, OTHER, &others[..20]).await?;

    let fault = Fault::vault(VAULT, FaultKind::Throttle { retry_after: Some(5) }).probability(0.5);
    let fault = bench.stack.emulator.faults().add(fault);
    for item in &bench.items {
        bench
            .stack
            .vault(VAULT)
            .set_secret(&item.object, "new", SecretOptions::default())?;
    }
    tokio::time::sleep(Duration::from_secs(10)).await;
    let start = Instant::now();
    let stormy = latencies(&bench.client, OTHER, &others[20..]).await?;
    row(
        "another vault, create to Secret, before: median, ms",
        &millis(calm[10]),
        "-",
        "-",
    );
    row(
        "  while half of the first one's reads get 429: median, ms",
        &millis(stormy[10]),
        "the same",
        "(all wait)",
    );
    tokio::time::sleep(Duration::from_mins(1).saturating_sub(start.elapsed())).await;
    bench.stack.emulator.faults().lift(fault);
    let start = Instant::now();
    for item in [&bench.items[0], &bench.items[500], &bench.items[999]] {
        arrival(&bench.client, &item.name, "new").await?;
    }
    row(
        "  the first one whole again after the fault, s",
        &decimal(start.elapsed()),
        "-",
        "at once",
    );
    Ok(())
}

/// Memory and idle CPU with `count` objects, and `foreign` Secrets of 4 KiB that are nobody's.
async fn memory(count: usize, foreign: usize, target: &str, original: &str) -> anyhow::Result<()> {
    const POLL: u64 = 30;
    let bench = Bench::new(count).await?;
    foreign_secrets(&bench.client, foreign).await?;
    bench.create().await?;
    let first = bench.launch(POLL).arg("--vault-requests-per-10s=2000").start().await?;
    bench.synced().await?;
    tokio::time::sleep(Duration::from_secs(POLL)).await;
    let with = if foreign > 0 {
        format!(" and {foreign} foreign Secrets")
    } else {
        String::new()
    };
    row(
        &format!("RSS after syncing {count} objects{with}, MiB"),
        &mebibytes(&first, "VmRSS")?,
        target,
        original,
    );
    row("  peak, MiB", &mebibytes(&first, "VmHWM")?, "-", "-");
    let (before, start) = (cpu(&first)?, Instant::now());
    tokio::time::sleep(Duration::from_secs(2 * POLL)).await;
    let share = cpu(&first)?.saturating_sub(before).as_secs_f64() / start.elapsed().as_secs_f64() * 100.0;
    row(
        "  idle CPU, % of one core (poll 30 s)",
        &format!("{share:.2}"),
        "3",
        "1.5",
    );
    drop(first);
    let again = bench.launch(POLL).arg("--leader-elect=false").start().await?;
    tokio::time::sleep(Duration::from_secs(POLL + 5)).await;
    row(
        "  RSS after a restart, MiB",
        &mebibytes(&again, "VmRSS")?,
        target,
        original,
    );
    Ok(())
}

/// New objects while 10,000 refreshes are queued.
async fn priority() -> anyhow::Result<()> {
    const COUNT: usize = 10_000;
    let bench = Bench::new(COUNT).await?;
    let new = load::items("new", 100);
    load::fill(&bench.stack.vault(VAULT), &new, bench.stack.emulator.clock().now())?;
    bench.create().await?;
    let first = bench.launch(30).arg("--vault-requests-per-10s=2000").start().await?;
    bench.synced().await?;
    drop(first);
    for item in &bench.items {
        bench
            .stack
            .vault(VAULT)
            .set_secret(&item.object, "new", SecretOptions::default())?;
    }
    let controller = bench.launch(5).arg("--leader-elect=false").start().await?;
    let queued = async || {
        let depth = metric(&controller, "akv2k8s_queue_depth").await?;
        (depth > 5000.0).then_some(depth)
    };
    let before = until("thousands of refreshes to be queued", LIMIT, queued).await?;
    let latencies = latencies(&bench.client, VAULT, &new).await?;
    let left = metric(&controller, "akv2k8s_queue_depth").await.context("metrics")?;
    row(
        "create to Secret while 10,000 refreshes wait: p50, ms",
        &millis(latencies[50]),
        "-",
        "-",
    );
    row("  p99, ms", &millis(latencies[98]), "1000", "-");
    row("  refreshes queued at the start", &format!("{before:.0}"), "-", "-");
    row("  still queued at the end", &format!("{left:.0}"), "-", "-");
    Ok(())
}

/// Creates the items one after the other, and gives how long each took to become a Secret, sorted.
async fn latencies(client: &Client, vault: &str, items: &[Item]) -> anyhow::Result<Vec<Duration>> {
    let mut latencies = Vec::new();
    for item in items {
        let start = Instant::now();
        load::create(client, NAMESPACE, vault, std::slice::from_ref(item)).await?;
        arrival(client, &item.name, &format!("value of {}", item.object)).await?;
        latencies.push(start.elapsed());
    }
    latencies.sort();
    Ok(latencies)
}

/// Waits until the Secret holds the value, and gives how long that took.
async fn arrival(client: &Client, name: &str, value: &str) -> anyhow::Result<Duration> {
    let start = Instant::now();
    let api: Api<Secret> = Api::namespaced(client.clone(), NAMESPACE);
    let there = async || {
        let data = api.get_opt(name).await.ok()??.data?;
        (data.get("value")?.0 == value.as_bytes()).then_some(())
    };
    until(&format!("Secret {name}"), LIMIT, there).await?;
    Ok(start.elapsed())
}

/// Secrets that have nothing to do with us.
async fn foreign_secrets(client: &Client, count: usize) -> anyhow::Result<()> {
    use futures::{StreamExt, TryStreamExt, stream};
    let api: Api<Secret> = Api::namespaced(client.clone(), "default");
    let create = |number: usize| {
        let api = api.clone();
        let secret = Secret {
            metadata: ObjectMeta {
                name: Some(format!("foreign-{number}")),
                ..ObjectMeta::default()
            },
            data: Some([("blob".to_owned(), ByteString(vec![b'x'; 4096]))].into()),
            ..Secret::default()
        };
        async move { api.create(&PostParams::default(), &secret).await.map(drop) }
    };
    Ok(stream::iter((0..count).map(create))
        .buffer_unordered(32)
        .try_collect()
        .await?)
}

/// A field of `/proc/PID/status`.
fn mebibytes(controller: &Controller, field: &str) -> anyhow::Result<String> {
    let id = controller.id().context("the controller runs")?;
    let status = fs::read_to_string(format!("/proc/{id}/status"))?;
    let line = status
        .lines()
        .find(|line| line.starts_with(field))
        .context("no such field")?;
    let kibibytes: f64 = line.split_whitespace().nth(1).context("a number")?.parse()?;
    Ok(format!("{:.1}", kibibytes / 1024.0))
}

/// CPU time used so far.
fn cpu(controller: &Controller) -> anyhow::Result<Duration> {
    /// `CLK_TCK` on Linux.
    const TICKS_PER_SECOND: u64 = 100;
    let id = controller.id().context("the controller runs")?;
    let stat = fs::read_to_string(format!("/proc/{id}/stat"))?;
    let after_name = stat.rsplit_once(')').context("a name in brackets")?.1;
    let ticks: Vec<u64> = after_name
        .split_whitespace()
        .skip(11)
        .take(2)
        .map(str::parse)
        .collect::<Result<_, _>>()?;
    Ok(Duration::from_millis(
        ticks.iter().sum::<u64>() * 1000 / TICKS_PER_SECOND,
    ))
}

/// The sum of a metric's values over its labels.
async fn metric(controller: &Controller, name: &str) -> Option<f64> {
    use http_body_util::{BodyExt, Empty};
    use hyper_util::client::legacy::Client;
    use hyper_util::rt::TokioExecutor;
    let client = Client::builder(TokioExecutor::new()).build_http::<Empty<hyper::body::Bytes>>();
    let answer = client
        .get(format!("{}/metrics", controller.http()).parse().ok()?)
        .await
        .ok()?;
    let text = answer.into_body().collect().await.ok()?.to_bytes();
    let text = String::from_utf8_lossy(&text);
    let of = |line: &&str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']));
    Some(
        text.lines()
            .filter(of)
            .filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok())
            .sum(),
    )
}

fn decimal(time: Duration) -> String {
    format!("{:.1}", time.as_secs_f64())
}

fn millis(time: Duration) -> String {
    time.as_millis().to_string()
}
