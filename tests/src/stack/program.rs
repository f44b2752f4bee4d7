//! The programs, built when they are asked for.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::OnceLock;

use anyhow::{Context, bail};

use crate::statics::{self, Architecture, Program};

/// Named together with the test bed, a program shares the features, and so the compiled dependencies, of all tests.
const DEV_BUILD: &[&str] = &["build", "--package", "akv2k8s-testbed"];

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
    match profile {
        Profile::Dev => DEV
            .get_or_init(|| build(DEV_BUILD, statics::CONTROLLER))
            .clone()
            .map_err(anyhow::Error::msg),
        Profile::Release => statics::program(Architecture::here(), statics::CONTROLLER),
    }
}

/// The path of `akv2k8s-envinjector`, built like the other.
pub fn injector_program(profile: Profile) -> anyhow::Result<PathBuf> {
    static DEV: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    match profile {
        Profile::Dev => DEV
            .get_or_init(|| build(DEV_BUILD, statics::INJECTOR))
            .clone()
            .map_err(anyhow::Error::msg),
        Profile::Release => statics::program(Architecture::here(), statics::INJECTOR),
    }
}

/// The path of `kubectl-akv2k8s`, built like the other.
pub fn cli_program() -> anyhow::Result<PathBuf> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let built = BUILT.get_or_init(|| build(DEV_BUILD, statics::CLI));
    built.clone().map_err(anyhow::Error::msg)
}

/// The path of the wrapper `azure-keyvault-env`, built like the other.
pub fn wrapper_program() -> anyhow::Result<PathBuf> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let built = BUILT.get_or_init(|| build(DEV_BUILD, statics::WRAPPER));
    built.clone().map_err(anyhow::Error::msg)
}

/// The path of the test bed's guest, built like the other.
pub fn guest_program() -> anyhow::Result<PathBuf> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let built = BUILT.get_or_init(|| build(DEV_BUILD, ("akv2k8s-guest", "guest")));
    built.clone().map_err(anyhow::Error::msg)
}

/// The path of a program after a command of cargo that builds it from this work tree; or what cargo said.
fn build(command: &[&str], program: Program) -> Result<PathBuf, String> {
    let workspace = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    build_in(workspace, command, program).map_err(|error| format!("{error:#}"))
}

/// The same from the work tree in `folder`. `command` is cargo's, or an alias of `.cargo/config.toml`, and may name others to build along.
pub(crate) fn build_in(folder: &Path, command: &[&str], (package, binary): Program) -> anyhow::Result<PathBuf> {
    let output = crate::cargo::command()
        .current_dir(folder)
        .args(command)
        .args(["--quiet", "--package", package, "--bin", binary])
        .args(["--message-format", "json-render-diagnostics"])
        .stderr(Stdio::inherit())
        .output()
        .context("cannot run cargo")?;
    if !output.status.success() {
        bail!("cargo could not build {binary} ({})", output.status);
    }
    let messages = String::from_utf8_lossy(&output.stdout);
    let executable = messages.lines().find_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        let is_it = message["target"]["name"] == binary;
        Some(PathBuf::from(message["executable"].as_str().filter(|_| is_it)?))
    });
    executable.with_context(|| format!("cargo did not say where {binary} is"))
}
