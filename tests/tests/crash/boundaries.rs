//! `kill -9` at every numbered I/O boundary: before each request to the API server, a vault or Entra is carried out, and after it
//! was, before the controller hears of it.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use akv2k8s_testbed::gate::{Gate, Moment, Verdict};
use akv2k8s_testbed::proxy::Proxy;
use akv2k8s_testbed::stack::{Controller, Launch, Stack};
use akv2k8s_testbed::wait::until;
use anyhow::{Context, ensure};
use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::watch;

use super::bed::{Bed, Expected, PATIENCE};
use super::scenarios::{MANY, Scenario};

/// A sync has ended when its outputs are right and no request was made for so long.
const QUIET: Duration = Duration::from_millis(400);

/// Poll periods in seconds: where the vault changes, and where a look at it would only be in the way.
const ONCE_A_SECOND: u32 = 1;
const ONCE_AN_HOUR: u32 = 3600;

/// Counts boundaries and kills the controller at one of them.
#[derive(Default)]
struct Killer {
    state: Mutex<State>,
    victim: watch::Sender<Option<u32>>,
}

#[derive(Default)]
struct State {
    /// The boundary to kill at; none when disarmed.
    at: Option<usize>,
    passed: usize,
    struck: Option<String>,
    last: Option<Instant>,
}

impl Killer {
    /// From now on boundaries are counted from 1, and the process that [`Self::aim`] names dies at number `at`.
    fn arm(&self, at: usize) {
        self.victim.send_replace(None);
        *self.lock() = State {
            at: Some(at),
            ..State::default()
        };
    }

    fn aim(&self, process: u32) {
        self.victim.send_replace(Some(process));
    }

    /// Lets everything pass again; gives where it struck.
    fn disarm(&self) -> Option<String> {
        let mut state = self.lock();
        state.at = None;
        state.struck.take()
    }

    fn has_struck(&self) -> bool {
        self.lock().struck.is_some()
    }

    fn is_quiet(&self) -> bool {
        self.lock().last.is_none_or(|last| last.elapsed() > QUIET)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts; `None`: this is the boundary to die at.
    fn count(&self, boundary: &str) -> Option<Verdict> {
        let mut state = self.lock();
        state.last = Some(Instant::now());
        let Some(at) = state.at else { return Some(Verdict::Pass) };
        if state.struck.is_some() {
            return Some(Verdict::Cut);
        }
        state.passed += 1;
        if state.passed < at {
            return Some(Verdict::Pass);
        }
        state.struck = Some(boundary.to_owned());
        None
    }

    async fn kill(&self) -> Verdict {
        let mut victim = self.victim.subscribe();
        if let Ok(process) = victim.wait_for(Option::is_some).await {
            kill(process.unwrap_or_default());
        }
        Verdict::Cut
    }
}

/// When it has ended already, the test sees that.
fn kill(process: u32) {
    let _ = Command::new("kill").args(["-9", &process.to_string()]).status();
}

impl Gate for Killer {
    fn pass<'a>(&'a self, moment: Moment, request: &'a str) -> BoxFuture<'a, Verdict> {
        async move {
            match self.count(&format!("{moment:?} {request}")) {
                Some(verdict) => verdict,
                None => self.kill().await,
            }
        }
        .boxed()
    }
}

/// What the rounds of all scenarios share.
struct Rounds {
    bed: Bed,
    killer: Arc<Killer>,
    launch: Launch,
    period: u32,
    /// The one at work.
    controller: Controller,
    _proxy: Proxy,
}

fn with_period(launch: &Launch, seconds: u32) -> Launch {
    launch.clone().arg(&format!("--azure-resync-period={seconds}"))
}

/// What the Secrets with this prefix have to come to.
type Goal = (String, BTreeMap<String, Expected>);

impl Rounds {
    async fn start() -> anyhow::Result<Self> {
        let killer = Arc::new(Killer::default());
        let bed = Bed::on(Stack::start().await?).await?;
        let proxy = Proxy::start(&bed.stack.cluster, killer.clone()).await?;
        bed.stack.emulator.set_gate(killer.clone());
        let launch = bed.stack.controller();
        let launch = launch
            .arg(&format!("--master={}", proxy.url()))
            .arg("--leader-elect=false");
        let controller = with_period(&launch, ONCE_AN_HOUR).start().await?;
        Ok(Self {
            bed,
            killer,
            launch,
            period: ONCE_AN_HOUR,
            controller,
            _proxy: proxy,
        })
    }

    /// Starts controllers with this poll period from now on.
    async fn use_period(&mut self, seconds: u32) -> anyhow::Result<()> {
        kill(self.process()?);
        self.wait_for_its_end().await?;
        self.period = seconds;
        self.controller = with_period(&self.launch, seconds).start().await?;
        self.quiet().await
    }

    /// The scenario's change, cut off at its boundary `n`. Where it was, or `None` when there is no such boundary.
    async fn live(&mut self, scenario: Scenario, n: usize) -> anyhow::Result<Option<String>> {
        self.prepare(scenario, n).await?;
        self.quiet().await?;
        self.killer.arm(n);
        self.killer.aim(self.process()?);
        let goal = (scenario.prefix(n), scenario.change(&self.bed, n).await?);
        self.end(&goal, n).await
    }

    /// The scenario's change while no controller runs, and the next one cut off at its boundary `n`, counted from its first request.
    async fn at_start(&mut self, scenario: Scenario, n: usize) -> anyhow::Result<Option<String>> {
        // Names that no other round has; a new process has read nothing, so the vault object may be an old one.
        let number = MANY + n;
        self.prepare(scenario, number).await?;
        kill(self.process()?);
        self.wait_for_its_end().await?;
        let goal = (scenario.prefix(number), scenario.change(&self.bed, number).await?);
        self.killer.arm(n);
        self.controller = with_period(&self.launch, self.period).start().await?;
        self.killer.aim(self.process()?);
        self.end(&goal, n).await
    }

    async fn prepare(&self, scenario: Scenario, n: usize) -> anyhow::Result<()> {
        let before = scenario.prepare(&self.bed, n).await?;
        let prepared = self.bed.wait_for(&scenario.prefix(n), &before).await;
        prepared.with_context(|| format!("before round {n} of {scenario:?}; {}", self.controller.log()))
    }

    /// Waits for the kill or, when it does not come, the end of the sync; then for what a new controller makes of it.
    async fn end(&mut self, (prefix, expected): &Goal, n: usize) -> anyhow::Result<Option<String>> {
        until("the kill or the end of the sync", PATIENCE, async || {
            let ended =
                self.killer.has_struck() || self.killer.is_quiet() && self.bed.check(prefix, expected).await.is_ok();
            ended.then_some(())
        })
        .await?;
        if self.killer.has_struck() {
            self.wait_for_its_end().await?;
        }
        let Some(struck) = self.killer.disarm() else {
            return Ok(None);
        };
        ensure!(!self.controller.log().contains("panicked"), "{}", self.controller.log());
        self.controller = with_period(&self.launch, self.period).start().await?;
        let reached = self.bed.wait_for(prefix, expected).await;
        reached.with_context(|| format!("killed at boundary {n}: {struck}; {}", self.controller.log()))?;
        Ok(Some(struck))
    }

    fn process(&self) -> anyhow::Result<u32> {
        self.controller.id().context("the controller ended by itself")
    }

    async fn wait_for_its_end(&mut self) -> anyhow::Result<()> {
        until("the controller's end", PATIENCE, async || {
            self.controller.has_ended().then_some(())
        })
        .await?;
        Ok(())
    }

    async fn quiet(&self) -> anyhow::Result<()> {
        let what = "a pause between requests";
        until(what, PATIENCE, async || self.killer.is_quiet().then_some(())).await?;
        Ok(())
    }
}

/// Boundaries in groups: the same request before and after, whatever it was about.
fn print(what: &str, struck: &[String]) {
    println!("{what}: killed at {} boundaries", struck.len());
    for (number, boundary) in struck.iter().enumerate() {
        println!("{:>5}  {boundary}", number + 1);
    }
}

/// Cuts each of `scenarios` off at every boundary, and tells how many there were.
async fn everywhere(rounds: &mut Rounds, scenarios: &[Scenario]) -> anyhow::Result<usize> {
    let mut boundaries = 0;
    for scenario in scenarios.iter().copied() {
        let period = if scenario == Scenario::Rotate {
            ONCE_A_SECOND
        } else {
            ONCE_AN_HOUR
        };
        rounds.use_period(period).await?;
        let mut struck = Vec::new();
        while let Some(boundary) = rounds.live(scenario, struck.len() + 1).await? {
            struck.push(boundary);
            ensure!(struck.len() < MANY, "{scenario:?} does not end");
        }
        print(&format!("{scenario:?}"), &struck);
        // At the least: an object is read or looked for, its output is written.
        ensure!(struck.len() >= 4, "requests of {scenario:?} pass no gate");
        boundaries += struck.len();
    }
    Ok(boundaries)
}

/// The same with what waits for a controller that starts.
async fn everywhere_at_start(rounds: &mut Rounds, scenario: Scenario) -> anyhow::Result<usize> {
    rounds.use_period(ONCE_AN_HOUR).await?;
    let mut struck = Vec::new();
    while let Some(boundary) = rounds.at_start(scenario, struck.len() + 1).await? {
        struck.push(boundary);
        ensure!(struck.len() < MANY, "a start does not end");
    }
    print(&format!("Start with a {scenario:?} waiting"), &struck);
    Ok(struck.len())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_at_any_boundary_of_a_sync_is_made_up_for_by_the_next_start() -> anyhow::Result<()> {
    let mut rounds = Rounds::start().await?;
    let scenarios = [Scenario::Create, Scenario::Rotate, Scenario::Rename];
    let boundaries =
        everywhere(&mut rounds, &scenarios).await? + everywhere_at_start(&mut rounds, Scenario::Rename).await?;
    println!("kill -9 at {boundaries} boundaries: all converged");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_at_any_boundary_of_a_release_is_made_up_for_by_the_next_start() -> anyhow::Result<()> {
    let mut rounds = Rounds::start().await?;
    let scenario = Scenario::Release;
    let boundaries = everywhere(&mut rounds, &[scenario]).await? + everywhere_at_start(&mut rounds, scenario).await?;
    println!("kill -9 at {boundaries} boundaries: all converged");
    Ok(())
}
