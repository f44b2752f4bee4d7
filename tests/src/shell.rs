//! A shell that has what users have: kubectl, Helm and the plugin, with charts and examples as in the repository.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, ensure};
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::controlplane::ControlPlane;
use crate::provision::{Locations, Program};
use crate::stack::cli_program;
use crate::statics::workspace;

/// A folder of its own, and a `PATH` with the programs. Nothing else of this process's environment is in it.
pub struct Shell {
    folder: TempDir,
    variables: Vec<(String, String)>,
}

impl Shell {
    /// For this cluster, with this version of Helm, and with further programs under these names.
    ///
    /// # Errors
    /// A program is not there.
    pub fn new(cluster: &ControlPlane, helm: Program, further: &[(&str, PathBuf)]) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let programs = folder.path().join("programs");
        std::fs::create_dir(&programs)?;
        let usual = [
            ("kubectl", cluster.kubectl_program().to_owned()),
            ("helm", Locations::from_env().find(helm)?),
            ("kubectl-akv2k8s", cli_program()?),
        ];
        for (name, program) in usual.iter().chain(further) {
            symlink(program, programs.join(name))?;
        }
        for name in ["charts", "examples"] {
            symlink(workspace().join(name), folder.path().join(name))?;
        }
        let variables = [
            ("PATH", format!("{}:/usr/bin:/bin", programs.display())),
            ("HOME", folder.path().display().to_string()),
            ("KUBECONFIG", cluster.kubeconfig().display().to_string()),
        ];
        let variables = variables.map(|(name, value)| (name.to_owned(), value)).into();
        Ok(Self { folder, variables })
    }

    /// Sets a variable.
    pub fn set(&mut self, name: &str, value: &str) {
        self.variables.push((name.to_owned(), value.to_owned()));
    }

    /// Where its commands run.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Runs commands until they end; gives what they printed.
    ///
    /// # Errors
    /// They end with an exit code that is not `well`.
    pub async fn run(&self, commands: &str, well: impl Fn(i32) -> bool) -> anyhow::Result<String> {
        let output = self.start(commands)?.wait_with_output().await?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        ensure!(
            output.status.code().is_some_and(well),
            "{commands}: {}: {said}{}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(said)
    }

    /// Starts commands; they end when the process is dropped.
    ///
    /// # Errors
    /// There is no bash.
    pub fn start(&self, commands: &str) -> anyhow::Result<Child> {
        Command::new("bash")
            .args(["-euo", "pipefail", "-c", commands])
            .current_dir(self.folder.path())
            .env_clear()
            .envs(self.variables.iter().cloned())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("start {commands}"))
    }
}
