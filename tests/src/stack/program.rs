//! The controller program, built when it is asked for.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::OnceLock;

use anyhow::{Context, bail};

/// How the program is compiled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// As tests are.
    Dev,
    /// As users get it.
    Release,
}

/// The path of `akv2k8s-controller`, built by cargo from this work tree when it is not up to date.
pub fn controller_program(profile: Profile) -> anyhow::Result<PathBuf> {
    static DEV: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    static RELEASE: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let built = match profile {
        // Named together with the test bed, it shares the features, and so the compiled dependencies, of all tests.
        Profile::Dev => {
            DEV.get_or_init(|| build(&["build", "--package", "akv2k8s-testbed"]).map_err(|error| format!("{error:#}")))
        }
        Profile::Release => RELEASE.get_or_init(|| build(&["static"]).map_err(|error| format!("{error:#}"))),
    };
    built.clone().map_err(anyhow::Error::msg)
}

/// `command` is cargo's, or an alias of `.cargo/config.toml`.
fn build(command: &[&str]) -> anyhow::Result<PathBuf> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .context("the test bed is in a workspace")?;
    let output = crate::cargo::command()
        .current_dir(workspace)
        .args(command)
        .args([
            "--quiet",
            "--package",
            "akv2k8s-controller",
            "--bin",
            "akv2k8s-controller",
        ])
        .args(["--message-format", "json-render-diagnostics"])
        .stderr(Stdio::inherit())
        .output()
        .context("cannot run cargo")?;
    if !output.status.success() {
        bail!("cargo could not build akv2k8s-controller ({})", output.status);
    }
    let messages = String::from_utf8_lossy(&output.stdout);
    let executable = messages.lines().find_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        Some(PathBuf::from(message["executable"].as_str()?))
    });
    executable.context("cargo did not say where akv2k8s-controller is")
}
