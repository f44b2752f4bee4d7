//! How a program is started.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use anyhow::{Context, ensure};
use tokio::process::Command;

use super::controller::Controller;
use super::program::Profile;
use crate::controlplane::process::Process;
use crate::wait::until;

/// How long a program may take to listen.
const START_LIMIT: Duration = Duration::from_mins(1);

/// How long it may take to stop; the kubelet gives it as long.
const STOP_LIMIT: Duration = Duration::from_secs(30);

/// One of our programs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Program {
    pub(super) name: &'static str,
    /// Builds it if need be, and says where it is.
    pub(super) path: fn(Profile) -> anyhow::Result<PathBuf>,
    /// On how many ports it listens; that of its probes is the first.
    pub(super) ports: usize,
}

/// How a program is started.
#[derive(Debug, Clone)]
pub struct Launch {
    program: Program,
    folder: PathBuf,
    arguments: Vec<String>,
    variables: BTreeMap<String, String>,
    profile: Profile,
    /// Words before the program.
    behind: Vec<OsString>,
}

impl Launch {
    pub(super) fn new<const N: usize>(
        program: Program,
        folder: &Path,
        kubeconfig: &Path,
        variables: [(&str, String); N],
    ) -> Self {
        Self {
            program,
            folder: folder.to_owned(),
            arguments: vec![format!("--kubeconfig={}", kubeconfig.display()), "--v=2".to_owned()],
            variables: variables.map(|(name, value)| (name.to_owned(), value)).into(),
            profile: Profile::Dev,
            behind: Vec::new(),
        }
    }

    /// Adds a command line argument.
    #[must_use]
    pub fn arg(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }

    /// Sets a variable of the environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.variables.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Lets the program see this file as its `/etc/resolv.conf`, in a mount namespace of its own: that takes root.
    #[must_use]
    pub fn resolv_conf(mut self, file: &Path) -> Self {
        const BIND: &str = r#"mount --bind "$0" /etc/resolv.conf && exec "$@""#;
        self.behind = ["unshare", "--mount", "sh", "-c", BIND].map(OsString::from).into();
        self.behind.push(file.into());
        self
    }

    /// Chooses how the program is compiled.
    #[must_use]
    pub fn profile(mut self, profile: Profile) -> Self {
        self.profile = profile;
        self
    }

    /// Runs the program (building it first if need be) until it ends by itself.
    pub async fn output(&self) -> anyhow::Result<Output> {
        let mut command = Command::new(self.path().await?);
        command
            .args(&self.arguments)
            .env_clear()
            .envs(&self.variables)
            .kill_on_drop(true);
        let output = command.output().await;
        output.with_context(|| format!("cannot run {}", self.program.name))
    }

    /// Starts the controller (building it first if need be) and waits until it listens.
    pub async fn start(&self) -> anyhow::Result<Controller> {
        self.run().await.map(Controller)
    }

    /// Starts the program (building it first if need be) and waits until it listens on all its ports.
    pub(super) async fn run(&self) -> anyhow::Result<Running> {
        let path = self.path().await?;
        let name = self.program.name;
        let folder = tempfile::Builder::new()
            .prefix(&format!("{name}-"))
            .tempdir_in(&self.folder)?
            .keep();
        let process = Process::start_behind(&self.behind, &path, &self.arguments, self.variables.clone(), &folder)
            .with_context(|| format!("cannot start {name}"))?;
        let mut running = Running {
            name,
            process,
            ports: Vec::new(),
            http: String::new(),
        };
        running.ports = running.wait_until_it_listens(self.program.ports).await?;
        running.http = format!("http://127.0.0.1:{}", running.ports[0]);
        Ok(running)
    }

    async fn path(&self) -> anyhow::Result<PathBuf> {
        let (build, profile) = (self.program.path, self.profile);
        tokio::task::spawn_blocking(move || build(profile)).await?
    }
}

/// A running program; dropping it kills it as `kill -9` would.
#[derive(Debug)]
pub(super) struct Running {
    name: &'static str,
    process: Process,
    /// In the order in which it listened.
    pub(super) ports: Vec<u16>,
    /// Where its probes and metrics are: `http://127.0.0.1:PORT`.
    pub(super) http: String,
}

impl Running {
    async fn wait_until_it_listens(&mut self, count: usize) -> anyhow::Result<Vec<u16>> {
        let name = self.name;
        let ports = async || {
            if self.process.has_ended().unwrap_or(true) {
                return Some(None);
            }
            let ports = ports(&self.process.log());
            (ports.len() >= count).then_some(Some(ports))
        };
        match until(&format!("{name} to listen"), START_LIMIT, ports).await {
            Ok(Some(ports)) => Ok(ports),
            Ok(None) => anyhow::bail!("{name} ended:\n{}", self.process.log_tail()),
            Err(error) => Err(anyhow::Error::new(error).context(self.process.log_tail())),
        }
    }

    pub(super) fn log(&self) -> String {
        self.process.log()
    }

    pub(super) fn id(&self) -> Option<u32> {
        self.process.id()
    }

    pub(super) fn has_ended(&mut self) -> bool {
        self.process.has_ended().unwrap_or(true)
    }

    /// Asks it to stop, as the kubelet does, and waits until it has.
    pub(super) async fn stop(&mut self) -> anyhow::Result<()> {
        let process = self.id().context("it has ended already")?.to_string();
        let sent = Command::new("kill").args(["-TERM", &process]).status().await?;
        ensure!(sent.success(), "kill -TERM {process}: {sent}");
        let what = format!("{} to stop", self.name);
        Ok(until(&what, STOP_LIMIT, async || self.has_ended().then_some(())).await?)
    }
}

/// The ports that a program says it listens on, as it wrote them.
fn ports(log: &str) -> Vec<u16> {
    let digits = |text: &str| -> String { text.chars().take_while(char::is_ascii_digit).collect() };
    let said = log.split("listening on port ").skip(1);
    said.filter_map(|after| digits(after).parse().ok()).collect()
}
