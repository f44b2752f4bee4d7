//! The running controller.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use anyhow::{Context, ensure};
use tokio::process::Command;

use super::program::{Profile, controller_program};
use crate::controlplane::process::Process;
use crate::wait::until;

/// How long the program may take to listen.
const START_LIMIT: Duration = Duration::from_secs(30);

/// How long it may take to stop; the kubelet gives it as long.
const STOP_LIMIT: Duration = Duration::from_secs(30);

/// How the controller is started.
#[derive(Debug, Clone)]
pub struct Launch {
    folder: PathBuf,
    arguments: Vec<String>,
    variables: BTreeMap<String, String>,
    profile: Profile,
    /// Words before the program.
    behind: Vec<OsString>,
}

impl Launch {
    pub(super) fn new<const N: usize>(folder: &Path, kubeconfig: &Path, variables: [(&str, String); N]) -> Self {
        Self {
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
        let profile = self.profile;
        let program = tokio::task::spawn_blocking(move || controller_program(profile)).await??;
        let mut command = Command::new(program);
        command
            .args(&self.arguments)
            .env_clear()
            .envs(&self.variables)
            .kill_on_drop(true);
        command.output().await.context("cannot run akv2k8s-controller")
    }

    /// Starts the program (building it first if need be) and waits until it listens.
    pub async fn start(&self) -> anyhow::Result<Controller> {
        let profile = self.profile;
        let program = tokio::task::spawn_blocking(move || controller_program(profile)).await??;
        let folder = tempfile::Builder::new()
            .prefix("controller-")
            .tempdir_in(&self.folder)?
            .keep();
        let process = Process::start_behind(&self.behind, &program, &self.arguments, self.variables.clone(), &folder)
            .context("cannot start akv2k8s-controller")?;
        let mut controller = Controller {
            process,
            http: String::new(),
        };
        controller.http = controller.wait_until_it_listens().await?;
        Ok(controller)
    }
}

/// A running controller program; dropping it kills it as `kill -9` would.
#[derive(Debug)]
pub struct Controller {
    process: Process,
    http: String,
}

impl Controller {
    async fn wait_until_it_listens(&mut self) -> anyhow::Result<String> {
        let port = async || {
            if self.process.has_ended().unwrap_or(true) {
                return Some(None);
            }
            let log = self.process.log();
            let after = log.split_once("listening on port ")?.1;
            let digits: String = after.chars().take_while(char::is_ascii_digit).collect();
            digits.parse::<u16>().ok().map(Some)
        };
        let port = until("akv2k8s-controller to listen", START_LIMIT, port).await;
        match port {
            Ok(Some(port)) => Ok(format!("http://127.0.0.1:{port}")),
            Ok(None) => anyhow::bail!("akv2k8s-controller ended:\n{}", self.process.log_tail()),
            Err(error) => Err(anyhow::Error::new(error).context(self.process.log_tail())),
        }
    }

    /// Everything it has logged until now.
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// Its process id, as long as it runs.
    pub fn id(&self) -> Option<u32> {
        self.process.id()
    }

    /// Whether it has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        self.process.has_ended().unwrap_or(true)
    }

    /// Asks it to stop, as the kubelet does, and waits until it has: the lease is given back.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        let process = self.id().context("it has ended already")?.to_string();
        let sent = Command::new("kill").args(["-TERM", &process]).status().await?;
        ensure!(sent.success(), "kill -TERM {process}: {sent}");
        Ok(until("the controller to stop", STOP_LIMIT, async || {
            self.has_ended().then_some(())
        })
        .await?)
    }

    /// Where its probes and metrics are: `http://127.0.0.1:PORT`.
    pub fn http(&self) -> &str {
        &self.http
    }
}
