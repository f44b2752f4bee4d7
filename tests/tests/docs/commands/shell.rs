//! Commands as a shell reads them, and a shell that has what users have.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Stdio;

use akv2k8s_testbed::controlplane::ControlPlane;
use akv2k8s_testbed::provision::{Locations, Program};
use akv2k8s_testbed::stack::{Profile, cli_program, controller_program};
use anyhow::Context;
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::page::{all, root};

/// A command of a page: with what is behind `\`, with its document, or a whole loop.
pub(crate) struct Found {
    pub(crate) page: String,
    pub(crate) command: String,
}

/// The commands of all pages, in their order.
pub(crate) fn commands() -> Vec<Found> {
    let of = |page: &crate::page::Page| {
        let name = page.path.display().to_string();
        let found = page.blocks("sh").into_iter().flat_map(|block| split(&block));
        found
            .map(|command| Found {
                page: name.clone(),
                command,
            })
            .collect::<Vec<_>>()
    };
    all().iter().flat_map(of).collect()
}

/// The commands of a block, without comments.
fn split(block: &str) -> Vec<String> {
    let mut commands = Vec::new();
    // What is not over yet, and the line that ends it.
    let mut open: Option<(String, String)> = None;
    for line in block.replace("\\\n", " ").lines() {
        if let Some((mut text, end)) = open.take() {
            text.push('\n');
            text.push_str(line);
            if line.trim() == end {
                commands.push(text);
            } else {
                open = Some((text, end));
            }
            continue;
        }
        let line = line.split(" #").next().unwrap_or_default().trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        match line.split_once("<<'").and_then(|(_, rest)| rest.split_once('\'')) {
            Some((end, _)) => open = Some((line.to_owned(), end.to_owned())),
            None if line.starts_with("for ") => open = Some((line.to_owned(), "done".to_owned())),
            None => commands.push(line.to_owned()),
        }
    }
    commands
}

/// A folder with charts and examples as in the repository, and a `PATH` with the programs.
pub(crate) struct Shell {
    folder: TempDir,
    variables: Vec<(String, String)>,
}

impl Shell {
    /// For this cluster.
    pub(crate) fn new(cluster: &ControlPlane) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let programs = folder.path().join("programs");
        std::fs::create_dir(&programs)?;
        for (name, program) in [
            ("kubectl", cluster.kubectl_program().to_owned()),
            ("helm", Locations::from_env().find(Program::Helm3)?),
            ("kubectl-akv2k8s", cli_program()?),
            ("akv2k8s-controller", controller_program(Profile::Dev)?),
            ("testbed", env!("CARGO_BIN_EXE_testbed").into()),
        ] {
            symlink(program, programs.join(name))?;
        }
        for name in ["charts", "examples"] {
            symlink(root().join(name), folder.path().join(name))?;
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
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.variables.push((name.to_owned(), value.to_owned()));
    }

    /// Where its commands run.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Runs a command until it ends.
    pub(crate) async fn run(&self, command: &str) -> anyhow::Result<()> {
        let output = self.start(command)?.wait_with_output().await?;
        let said = String::from_utf8_lossy(&output.stdout);
        let complaint = String::from_utf8_lossy(&output.stderr);
        anyhow::ensure!(
            output.status.code().is_some_and(|code| is_answer(command, code)),
            "{command}: {}: {said}{complaint}",
            output.status
        );
        Ok(())
    }

    /// Starts a command; it ends when it is dropped.
    pub(crate) fn start(&self, command: &str) -> anyhow::Result<Child> {
        Command::new("bash")
            .args(["-euo", "pipefail", "-c", command])
            .current_dir(self.folder.path())
            .env_clear()
            .envs(self.variables.iter().cloned())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("start {command}"))
    }
}

/// Whether a command that ends so did what it is for: those of ours that find something out tell by their exit code what it was.
fn is_answer(command: &str, code: i32) -> bool {
    code == 0 || (command.contains("akv2k8s doctor") && code == 1) || (command.contains("akv2k8s convert") && code == 2)
}

#[test]
fn commands_are_split_as_a_shell_does() {
    let block =
        "# nothing\na --b \\\n  c   # why\n\nfor x in y; do\n  z $x\ndone\nk -f - <<'YAML'\na: 1 # kept\nYAML\nlast &";
    let expected = [
        "a --b    c",
        "for x in y; do\n  z $x\ndone",
        "k -f - <<'YAML'\na: 1 # kept\nYAML",
        "last &",
    ];
    assert_eq!(split(block), expected);
    assert!(
        is_answer("kubectl akv2k8s doctor", 1)
            && !is_answer("kubectl akv2k8s doctor", 2)
            && !is_answer("kubectl get", 1)
    );
}
