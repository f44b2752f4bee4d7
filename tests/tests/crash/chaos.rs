//! A tenth of all requests to the vault and to Entra fail in some way, values change, the controller and the API server are
//! killed now and then; when all that ends, everything has to come right.
//!
//! `AKV2K8S_CHAOS_SECONDS` sets for how long (default 20; `cargo verify`: 300), `AKV2K8S_CHAOS_SEED` repeats a run.

use std::collections::BTreeMap;
use std::env;
use std::time::{Duration, Instant, SystemTime};

use akv2k8s_testbed::emulator::{Fault, FaultKind, Operation, Options, Requests};
use akv2k8s_testbed::random::SplitMix64;
use akv2k8s_testbed::stack::{Controller, Launch, Stack};
use akv2k8s_testbed::wait::until;
use anyhow::{Context, ensure};

use super::bed::{Bed, outputs};

const OBJECTS: u64 = 40;
/// The share of requests that are struck.
const SHARE: f64 = 0.1;
/// Events of each kind in a run: the controller is killed, and every other time the API server as well.
const KILLS: u32 = 6;
/// How long the API server is away.
const OUTAGE: Duration = Duration::from_secs(2);
/// What had failed often may wait so long: five minutes, and some.
pub(crate) const LONGEST_BACK_OFF: Duration = Duration::from_mins(6);
/// How long the calm is watched afterwards.
const CALM: Duration = Duration::from_secs(5);
/// Objects are 2 pages, looked at once a second.
const PAGES: u64 = 2;

fn number(variable: &str) -> anyhow::Result<Option<u64>> {
    match env::var(variable) {
        Ok(text) => Ok(Some(text.parse().with_context(|| format!("{variable}={text:?}"))?)),
        Err(_) => Ok(None),
    }
}

/// For how long faults strike.
pub(crate) fn length() -> anyhow::Result<Duration> {
    Ok(Duration::from_secs(number("AKV2K8S_CHAOS_SECONDS")?.unwrap_or(20)))
}

/// Decides which requests they strike, and what is changed when; printed, so that a run can be repeated.
pub(crate) fn seed() -> anyhow::Result<u64> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    let seed = number("AKV2K8S_CHAOS_SEED")?.unwrap_or(u64::from(now.subsec_nanos()));
    println!(
        "AKV2K8S_CHAOS_SEED={seed} AKV2K8S_CHAOS_SECONDS={}",
        length()?.as_secs()
    );
    Ok(seed)
}

/// Everything that may go wrong with an answer, equally often: together this share of all requests is struck.
pub(crate) fn faults(share: f64) -> Vec<Fault> {
    let kinds = [
        FaultKind::Latency { milliseconds: 1500 },
        FaultKind::Throttle { retry_after: Some(1) },
        FaultKind::status(503, "ServiceUnavailable", "later"),
        FaultKind::Reset,
        FaultKind::TruncatedBody,
        FaultKind::MalformedJson,
        FaultKind::StalledBody,
    ];
    let each = share / f64::from(u8::try_from(kinds.len()).unwrap_or(u8::MAX));
    let fault = |kind| Fault::entra(kind).requests(Requests::Any).probability(each);
    let anywhere = |kind| Fault {
        service: None,
        ..fault(kind)
    };
    kinds.map(anywhere).into()
}

/// The controller, replaced now and then, and what all of them logged.
struct Controllers {
    launch: Launch,
    current: Controller,
    lines: usize,
    started: u32,
}

impl Controllers {
    async fn start(launch: Launch) -> anyhow::Result<Self> {
        let current = launch.start().await?;
        Ok(Self {
            launch,
            current,
            lines: 0,
            started: 1,
        })
    }

    /// Kills the one at work, which must not have ended by itself, and starts another.
    async fn replace(&mut self) -> anyhow::Result<()> {
        self.check()?;
        self.lines += self.current.log().lines().count();
        self.current = self.launch.start().await?;
        self.started += 1;
        Ok(())
    }

    fn check(&mut self) -> anyhow::Result<()> {
        let log = self.current.log();
        ensure!(!log.contains("panicked"), "a panic: {log}");
        ensure!(!self.current.has_ended(), "the controller ended by itself: {log}");
        Ok(())
    }

    fn lines(&self) -> usize {
        self.lines + self.current.log().lines().count()
    }
}

/// Writes to the vault until `end`, with everything going wrong meanwhile. Gives the last value of each object.
async fn rage(
    bed: &Bed,
    controllers: &mut Controllers,
    random: &mut SplitMix64,
    length: Duration,
) -> anyhow::Result<BTreeMap<u64, String>> {
    let start = Instant::now();
    let mut values = BTreeMap::new();
    let mut kills = 0;
    let mut writes = 0;
    while start.elapsed() < length {
        let object = random.below(OBJECTS);
        writes += 1;
        let value = format!("value {writes}");
        bed.set_now(&format!("s{object}"), &value)?;
        values.insert(object, value);
        if start.elapsed() > length * (kills + 1) / (KILLS + 1) {
            kills += 1;
            controllers.replace().await?;
            if kills % 2 == 0 {
                bed.stack.cluster.restart_api_server(OUTAGE).await?;
            }
        }
        tokio::time::sleep(Duration::from_millis(50 + random.below(400))).await;
    }
    println!(
        "{writes} values written, {kills} controllers killed, the API server {} times",
        kills / 2
    );
    Ok(values)
}

#[tokio::test(flavor = "multi_thread")]
async fn after_faults_at_random_every_secret_equals_the_vault() -> anyhow::Result<()> {
    let (length, seed) = (length()?, seed()?);
    let mut random = SplitMix64::new(seed);
    let options = Options {
        seed,
        ..Options::default()
    };
    let bed = Bed::on(Stack::with(options).await?).await?;
    let mut expected: BTreeMap<u64, String> = (0..OBJECTS).map(|it| (it, "first".to_owned())).collect();
    for object in 0..OBJECTS {
        bed.set_now(&format!("s{object}"), "first")?;
        bed.apply(&format!("a{object}"), &format!("s{object}"), &format!("out{object}"))
            .await?;
    }
    let launch = bed
        .stack
        .controller()
        .arg("--azure-resync-period=1")
        .arg("--leader-elect=false");
    let ids: Vec<_> = faults(SHARE)
        .into_iter()
        .map(|fault| bed.stack.emulator.faults().add(fault))
        .collect();
    let mut controllers = Controllers::start(launch).await?;

    let journal = bed.stack.emulator.journal();
    expected.extend(rage(&bed, &mut controllers, &mut random, length).await?);
    let (requests, lines) = (journal.counts().total(), controllers.lines());
    let struck = struck(&journal.counts());
    for id in ids {
        bed.stack.emulator.faults().lift(id);
    }
    let lifted = Instant::now();
    let reached = bed.wait_long_for(LONGEST_BACK_OFF, "out", &outputs(&expected)).await;
    reached.with_context(|| controllers.current.log())?;
    controllers.check()?;
    println!(
        "{requests} requests ({struck} seen to fail), {lines} log lines in {} s: {:.1} and {:.1} a second; every Secret equals the vault {:.1} s after the last fault",
        length.as_secs(),
        per_second(requests, length),
        per_second(lines as u64, length),
        lifted.elapsed().as_secs_f32(),
    );
    // Each look is its pages; a changed or failed object costs a read, or four with what its failures add.
    let objects = f64::from(u32::try_from(OBJECTS)?);
    ensure!(per_second(requests, length) < 4.0 * objects, "a hot loop of requests");
    ensure!(per_second(lines as u64, length) < objects, "a hot loop of log lines");
    calm(&bed, &controllers).await
}

/// For so long nothing is told once all is told.
const SETTLED: Duration = Duration::from_secs(8);

/// When nothing changes nothing happens but the looks at the vault.
async fn calm(bed: &Bed, controllers: &Controllers) -> anyhow::Result<()> {
    let journal = bed.stack.emulator.journal();
    // The last marks settle two seconds after the last change, and a watch of an API server that was killed begins anew five seconds later.
    let mut last = (controllers.lines(), Instant::now());
    until("nothing more to be told", SETTLED * 5, async || {
        if controllers.lines() != last.0 {
            last = (controllers.lines(), Instant::now());
        }
        (last.1.elapsed() >= SETTLED).then_some(())
    })
    .await?;
    let lines = controllers.lines();
    journal.reset();
    tokio::time::sleep(CALM).await;
    let counts = journal.counts();
    println!(
        "{} requests and {} log lines in {} s of calm",
        counts.total(),
        controllers.lines() - lines,
        CALM.as_secs()
    );
    ensure!(counts.of(Operation::SECRET_LIST) >= PAGES, "no look at the vault");
    ensure!(counts.total() <= PAGES * (CALM.as_secs() + 1), "not calm:\n{counts}");
    ensure!(controllers.lines() == lines, "not calm: {}", controllers.current.log());
    Ok(())
}

/// Requests that were answered with an error or not at all; late, cut and malformed answers count as answered here.
fn struck(counts: &akv2k8s_testbed::emulator::Counts) -> u64 {
    [0, 429, 503].into_iter().map(|status| counts.status(status)).sum()
}

#[expect(clippy::cast_precision_loss, reason = "counts of minutes are far below 2^52")]
fn per_second(count: u64, length: Duration) -> f64 {
    count as f64 / length.as_secs_f64()
}
