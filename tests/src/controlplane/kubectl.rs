//! The real kubectl, where a user would use it.

use std::io;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::Error;

/// How long a command may take. What waits for something is limited by its caller or by `--timeout`; this keeps a test from hanging for ever.
const LIMIT: Duration = Duration::from_mins(5);

/// kubectl with a kubeconfig, and with a cache of its own (the default one would remember another server's types).
#[derive(Clone, Debug)]
pub(super) struct Kubectl {
    pub(super) program: PathBuf,
    pub(super) kubeconfig: PathBuf,
    pub(super) cache: PathBuf,
}

/// What a kubectl command gave.
#[derive(Clone, Debug)]
pub struct Output {
    /// How it ended.
    pub status: ExitStatus,
    /// What it printed.
    pub stdout: String,
    /// What it said besides, warnings of the server included.
    pub stderr: String,
    arguments: String,
}

impl Output {
    /// What it printed, or an error with what it said when its exit code was not 0.
    pub fn success(self) -> Result<String, Error> {
        let Self {
            status,
            stdout,
            stderr,
            arguments,
        } = self;
        if status.success() {
            return Ok(stdout);
        }
        Err(Error::Kubectl {
            arguments,
            status: status.to_string(),
            stderr: stderr.trim().to_owned(),
        })
    }
}

impl Kubectl {
    pub(super) async fn run(&self, arguments: &[&str], stdin: &str) -> Result<Output, Error> {
        let error = |what: &str| Error::io(format!("{what} kubectl {}", arguments.join(" ")));
        let mut child = Command::new(&self.program)
            .arg("--cache-dir")
            .arg(&self.cache)
            .args(arguments)
            .env("KUBECONFIG", &self.kubeconfig)
            // The preferences of whoever runs the tests are not part of them.
            .env("KUBERC", "off")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(error("start"))?;
        let mut input = child.stdin.take().expect("the line above made it a pipe");
        let feed = async {
            // kubectl may end without having read everything; its exit code and words tell why.
            let _ = input.write_all(stdin.as_bytes()).await;
            drop(input);
        };
        let ended = async { tokio::join!(feed, child.wait_with_output()).1 };
        let output = tokio::time::timeout(LIMIT, ended)
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
            .map_err(error("wait for"))?;
        Ok(Output {
            status: output.status,
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            arguments: arguments.join(" "),
        })
    }
}
