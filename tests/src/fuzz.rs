//! `cargo testbed fuzz`: a short run of every fuzz target in `tests/fuzz`, from its seeds.
//!
//! A run that found nothing has shown something only if it ran: the number of inputs is read from what libFuzzer prints.

use std::io::Write;
use std::num::NonZero;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

use anyhow::{Context, bail, ensure};

use crate::cargo::command;

/// What to run, and for how long.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Seconds for each target
    #[arg(long, default_value_t = 20)]
    seconds: u32,
    /// Only builds them
    #[arg(long)]
    build: bool,
    /// Targets; all when none is named
    targets: Vec<String>,
}

/// Runs them, one on each processor; fails with the first input that breaks one.
pub fn run(options: &Options, out: &mut dyn Write) -> anyhow::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    check_prerequisites()?;
    if options.build {
        let status = cargo_fuzz(&folder, "build").status().context("cannot run cargo fuzz")?;
        ensure!(status.success(), "cargo fuzz could not build the targets ({status})");
        return Ok(());
    }
    let all = targets(&folder)?;
    if let Some(unknown) = options.targets.iter().find(|it| !all.contains(it)) {
        bail!("there is no fuzz target {unknown}, but {}", all.join(", "));
    }
    let is_chosen = |it: &&String| options.targets.is_empty() || options.targets.contains(it);
    let chosen: Vec<_> = all.iter().filter(is_chosen).collect();
    let processors = thread::available_parallelism().map_or(1, NonZero::get);
    for together in chosen.chunks(processors) {
        let run = |target| fuzz(&folder, target, options.seconds);
        let counts = thread::scope(|scope| {
            let threads: Vec<_> = together.iter().map(|it| scope.spawn(|| run(it))).collect();
            let results = threads
                .into_iter()
                .map(|it| it.join().unwrap_or_else(|why| resume_unwind(why)));
            results.collect::<anyhow::Result<Vec<_>>>()
        })?;
        for (target, runs) in together.iter().zip(counts) {
            writeln!(out, "fuzz {target}: {runs} inputs, none broke it")?;
        }
    }
    Ok(())
}

fn check_prerequisites() -> anyhow::Result<()> {
    let there = command().args(["fuzz", "--version"]).output();
    ensure!(
        there.is_ok_and(|output| output.status.success()),
        "missing: cargo fuzz; to install: cargo install cargo-fuzz --locked"
    );
    Ok(())
}

/// The names of the files in `fuzz_targets`, each of which must have seeds.
fn targets(folder: &Path) -> anyhow::Result<Vec<String>> {
    let sources = folder.join("fuzz_targets");
    let files = sources.read_dir().with_context(|| sources.display().to_string())?;
    let mut names = Vec::new();
    for file in files {
        let path: PathBuf = file?.path();
        let name = path.file_stem().and_then(|it| it.to_str()).context("a name in UTF-8")?;
        let seeds = seeds(folder, name).read_dir();
        ensure!(
            seeds.is_ok_and(|mut it| it.next().is_some()),
            "fuzz target {name} has no seeds"
        );
        names.push(name.to_owned());
    }
    names.sort();
    Ok(names)
}

fn seeds(folder: &Path, target: &str) -> PathBuf {
    folder.join("seeds").join(target)
}

fn cargo_fuzz(folder: &Path, what: &str) -> Command {
    let mut command = command();
    // Sanitizers look for unsafe code's mistakes, and we have none of it; without them a stable compiler does.
    let options = ["--fuzz-dir", ".", "--sanitizer", "none"];
    command.current_dir(folder).args(["fuzz", what]).args(options);
    command
}

/// The number of inputs that were tried.
fn fuzz(folder: &Path, target: &str, seconds: u32) -> anyhow::Result<u64> {
    // New inputs go to the first of the folders; the second is only read.
    let corpus = folder.join("corpus").join(target);
    std::fs::create_dir_all(&corpus).with_context(|| corpus.display().to_string())?;
    let output = cargo_fuzz(folder, "run")
        .arg(target)
        .args([&corpus, &seeds(folder, target)])
        .arg("--")
        .arg(format!("-max_total_time={seconds}"))
        .stderr(Stdio::piped())
        .output()
        .context("cannot run cargo fuzz")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "fuzz target {target} failed:\n{said}");
    inputs(&said).with_context(|| format!("fuzz target {target} did not say how many inputs it tried:\n{said}"))
}

/// The number in libFuzzer's last line, `Done 123 runs in 20 second(s)`; `None` as well when it is 0.
fn inputs(said: &str) -> Option<u64> {
    let line = said.lines().rev().find_map(|line| line.strip_prefix("Done "))?;
    let number = line.split(' ').next()?.parse().ok()?;
    (number > 0).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_run_that_tried_something_counts() {
        assert_eq!(inputs("INFO: x\nDone 123 runs in 20 second(s)\n"), Some(123));
        assert_eq!(inputs("Done 0 runs in 20 second(s)\n"), None);
        assert_eq!(inputs("error: no such target\n"), None);
    }

    #[test]
    fn every_target_has_seeds() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
        assert!(targets(&folder).unwrap().contains(&"reference".to_owned()));
    }
}
