//! `testbed verify`: everything that says whether this tree works, one stage after the other.

mod hardened;
mod prerequisites;

use std::env;
use std::io::{self, Write};
use std::panic::resume_unwind;
use std::process::{Command, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

use crate::node;
use crate::provision::{BuildError, Locations, Program, provision};

pub use prerequisites::Missing;

/// A part of the verification: its name, and what it does.
pub struct Stage {
    name: &'static str,
    run: fn(&mut dyn Write) -> Result<Outcome, Error>,
}

/// How a stage ended that did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Everything is well.
    Ok,
    /// This machine cannot do what the stage needs, and nobody said that it must.
    NotRun,
}

impl Outcome {
    fn text(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::NotRun => "NOT RUN",
        }
    }
}

/// The stages in their order. Each needs what those before it left behind; those in one list run side by side, since tests mostly wait.
pub const STAGES: &[&[Stage]] = &[
    &[Stage {
        name: "prerequisites",
        run: prerequisites,
    }],
    &[Stage {
        name: "provision",
        run: provision_all,
    }],
    &[Stage {
        name: "build",
        run: |_| cargo(&["test", "--workspace", "--no-run"]),
    }],
    &[
        Stage {
            name: "tests",
            // One run tells everything.
            run: |_| cargo(&["test", "--workspace", "--no-fail-fast"]),
        },
        Stage {
            name: "hardened",
            run: hardened::run,
        },
        Stage {
            name: "programs",
            run: |_| programs(),
        },
    ],
    &[
        Stage {
            name: "node",
            run: node,
        },
        Stage {
            name: "chaos",
            run: |_| chaos(),
        },
        Stage {
            name: "static",
            run: |_| nice(&["test", "--package", "akv2k8s-testbed", "--test", "statics"]),
        },
        Stage {
            name: "fuzz",
            run: |_| nice(&["testbed", "fuzz"]),
        },
    ],
    &[
        Stage {
            name: "conformance",
            run: |_| cargo(&["testbed", "conformance"]),
        },
        Stage {
            name: "schemas",
            run: |_| cargo(&CHART_SCHEMAS),
        },
        Stage {
            name: "images",
            run: |_| cargo(&["testbed", "images", "--here"]),
        },
    ],
    &[Stage {
        name: "demo",
        run: |_| cargo(&["demo"]),
    }],
];

/// What they print of figures is shown.
const NODE_TESTS: [&str; 12] = [
    "test",
    "--package",
    "akv2k8s-testbed",
    "--no-fail-fast",
    "--test",
    "node",
    "--test",
    "injector_node",
    "--test",
    "chart_node",
    "--",
    "--show-output",
];

/// What it prints of versions is shown.
const CHART_SCHEMAS: [&str; 7] = [
    "test",
    "--package",
    "akv2k8s-testbed",
    "--test",
    "chart_schemas",
    "--",
    "--show-output",
];

/// For how many seconds faults strike at random: longer than among all other tests.
const CHAOS: (&str, &str) = ("AKV2K8S_CHAOS_SECONDS", "300");
const CHAOS_TEST: [&str; 8] = [
    "test",
    "--package",
    "akv2k8s-testbed",
    "--test",
    "crash",
    "--",
    "chaos::",
    "endurance::",
];

/// Why a stage failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Programs are absent.
    #[error(transparent)]
    Prerequisites(#[from] Missing),
    /// The Kubernetes programs could not be built.
    #[error(transparent)]
    Provision(#[from] BuildError),
    /// A node has to run, and cannot.
    #[error(transparent)]
    Node(#[from] node::Missing),
    /// A command ended with another exit code than 0; what it printed tells why.
    #[error("`{command}` failed ({status}); see its output above")]
    Command {
        /// The command line.
        command: String,
        /// How it ended.
        status: ExitStatus,
    },
    /// What `profile: hardened` loses is not what is known.
    #[error("{0} tests do not do with profile hardened what is known of them; they are named above")]
    Hardened(usize),
    /// A command could not be started.
    #[error("could not start `{command}`")]
    Start {
        /// The command line.
        command: String,
        /// Why not.
        source: io::Error,
    },
}

/// A failed stage.
#[derive(Debug, thiserror::Error)]
#[error("stage {stage} failed")]
pub struct Failed {
    stage: &'static str,
    source: Error,
}

/// Runs the stage `hardened` alone.
///
/// # Errors
/// Tests do not do with that profile what is known of them, or cannot be started.
pub fn hardened(out: &mut dyn Write) -> Result<(), Error> {
    hardened::run(out).map(drop)
}

/// Runs `stages` until one fails. `out` gets a line before each, what it says, and the times of all at the end; the commands that
/// stages run print straight to this process's own standard output and error.
pub fn verify(stages: &[&[Stage]], out: &mut dyn Write) -> Result<(), Failed> {
    let mut times = Vec::new();
    for together in stages {
        let names: Vec<_> = together.iter().map(|it| it.name).collect();
        say(out, &format!("==> {}", names.join(", ")));
        let ended = side_by_side(together, out);
        let mut failed = None;
        for (name, (result, time)) in names.into_iter().zip(ended) {
            let text = result.as_ref().map_or("FAILED", |outcome| outcome.text());
            times.push((name, time, text));
            if let Err(source) = result {
                say(out, &format!("==> {name} failed: {source}"));
                failed.get_or_insert(Failed { stage: name, source });
            }
        }
        if let Some(failed) = failed {
            summarise(out, &times);
            return Err(failed);
        }
    }
    summarise(out, &times);
    Ok(())
}

/// How a stage ended, and after how long.
type Ended = (Result<Outcome, Error>, Duration);

/// Runs all of them. What the first says is seen at once, what the others say when all have ended.
fn side_by_side(stages: &[Stage], out: &mut dyn Write) -> Vec<Ended> {
    let Some((first, others)) = stages.split_first() else {
        return Vec::new();
    };
    thread::scope(|scope| {
        let start = |stage| {
            scope.spawn(move || {
                let mut said = Vec::new();
                (timed(stage, &mut said), said)
            })
        };
        let others: Vec<_> = others.iter().map(start).collect();
        let mut all = vec![timed(first, out)];
        for other in others {
            let (ended, said) = other.join().unwrap_or_else(|why| resume_unwind(why));
            all.push(ended);
            // As in `say`.
            let _ = out.write_all(&said);
        }
        all
    })
}

fn timed(stage: &Stage, out: &mut dyn Write) -> Ended {
    let start = Instant::now();
    ((stage.run)(out), start.elapsed())
}

fn summarise(out: &mut dyn Write, times: &[(&str, Duration, &str)]) {
    say(out, "==> summary");
    for (name, time, result) in times {
        say(out, &format!("{name:<24} {:>7.1} s  {result}", time.as_secs_f32()));
    }
}

/// Output is for people; that nobody reads it any more is no reason to stop.
fn say(out: &mut dyn Write, line: &str) {
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

fn prerequisites(out: &mut dyn Write) -> Result<Outcome, Error> {
    for found in prerequisites::check()? {
        say(out, &found);
    }
    match node::probe_machine() {
        Ok(()) => say(out, "a real node: this machine can run one"),
        Err(missing) if node::is_required() => return Err(missing.into()),
        Err(missing) => say(out, &format!("a real node: not on this machine: {missing}")),
    }
    Ok(Outcome::Ok)
}

/// The programs of a node too, where one can run.
fn provision_all(out: &mut dyn Write) -> Result<Outcome, Error> {
    let nodes = node::probe_machine().map_or(&[][..], |()| Program::NODE);
    let programs = [Program::of_tests().as_slice(), nodes].concat();
    provision(&Locations::from_env(), &programs, out)?;
    Ok(Outcome::Ok)
}

/// Compiles what later stages start.
fn programs() -> Result<Outcome, Error> {
    nice(&["testbed", "static", "--tested"])?;
    nice(&["testbed", "fuzz", "--build"])
}

/// The tests that `cargo test` leaves out, since they need root and programs of the system.
fn node(out: &mut dyn Write) -> Result<Outcome, Error> {
    match node::probe() {
        Ok(()) => cargo(&NODE_TESTS),
        Err(missing) if node::is_required() => Err(missing.into()),
        Err(missing) => {
            say(out, &format!("NOT RUN: `cargo {}`: {missing}", NODE_TESTS.join(" ")));
            Ok(Outcome::NotRun)
        }
    }
}

/// Beside the node's tests, which wait for others most of the time, too.
fn chaos() -> Result<Outcome, Error> {
    let mut command = crate::cargo::command();
    // Whoever has set it wants it otherwise.
    if env::var_os(CHAOS.0).is_none() {
        command.env(CHAOS.0, CHAOS.1);
    }
    wait(command, &CHAOS_TEST)
}

/// Runs the cargo that runs us, in the current directory.
fn cargo(arguments: &[&str]) -> Result<Outcome, Error> {
    wait(crate::cargo::command(), arguments)
}

/// The same, with what tests leave of the processors.
fn nice(arguments: &[&str]) -> Result<Outcome, Error> {
    wait(crate::cargo::nice_command(), arguments)
}

/// Runs cargo to its end.
fn wait(mut cargo: Command, arguments: &[&str]) -> Result<Outcome, Error> {
    let command = format!("cargo {}", arguments.join(" "));
    match cargo.args(arguments).status() {
        Ok(status) if status.success() => Ok(Outcome::Ok),
        Ok(status) => Err(Error::Command { command, status }),
        Err(source) => Err(Error::Start { command, source }),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;

    fn succeed(_: &mut dyn Write) -> Result<Outcome, Error> {
        cargo(&["--version"])
    }

    fn fail(_: &mut dyn Write) -> Result<Outcome, Error> {
        cargo(&["no-such-command"])
    }

    const NOT_RUN: Stage = Stage {
        name: "second",
        run: |_| Ok(Outcome::NotRun),
    };

    fn run(stages: &[&[Stage]]) -> (Result<(), Failed>, String) {
        let mut out = Vec::new();
        let result = verify(stages, &mut out);
        (result, String::from_utf8(out).expect("text"))
    }

    #[test]
    fn every_stage_is_announced_and_timed() {
        let [first, second] = [
            Stage {
                name: "first",
                run: succeed,
            },
            NOT_RUN,
        ];
        let (result, out) = run(&[&[first], &[second]]);
        result.expect("neither fails");
        let lines: Vec<&str> = out.lines().collect();
        assert_eq!(lines[..3], ["==> first", "==> second", "==> summary"]);
        assert!(lines[3].starts_with("first ") && lines[3].ends_with(" s  ok"), "{out}");
        assert!(
            lines[4].starts_with("second ") && lines[4].ends_with(" s  NOT RUN"),
            "{out}"
        );
    }

    #[test]
    fn a_failed_command_ends_the_verification_and_is_named() {
        let [first, second] = [
            Stage {
                name: "first",
                run: fail,
            },
            NOT_RUN,
        ];
        let (result, out) = run(&[&[first], &[second]]);
        let error = anyhow::Error::from(result.expect_err("the command does not exist"));
        let error = format!("{error:#}");
        let expected = "stage first failed: `cargo no-such-command` failed (exit status: 101)";
        assert!(error.starts_with(expected), "{error}");
        assert!(!out.contains("second"), "{out}");
        assert!(out.trim_end().ends_with("FAILED"), "{out}");
    }

    #[test]
    fn stages_in_one_list_all_end_and_any_that_fails_counts() {
        static SIDE_BY_SIDE: Barrier = Barrier::new(2);
        let first = Stage {
            name: "first",
            run: |_| {
                SIDE_BY_SIDE.wait();
                Ok(Outcome::Ok)
            },
        };
        let second = Stage {
            name: "second",
            run: fail,
        };
        let third = Stage {
            name: "third",
            run: |out| {
                say(out, "said");
                SIDE_BY_SIDE.wait();
                Ok(Outcome::Ok)
            },
        };
        let (result, out) = run(&[&[first, second, third], &[NOT_RUN]]);
        assert!(result.is_err_and(|it| it.to_string() == "stage second failed"), "{out}");
        let lines: Vec<&str> = out.lines().collect();
        assert_eq!(lines[..2], ["==> first, second, third", "said"]);
        assert!(
            lines[2].starts_with("==> second failed: `cargo no-such-command` failed"),
            "{out}"
        );
        let ends: Vec<_> = lines[4..].iter().filter_map(|it| it.rsplit(' ').next()).collect();
        assert_eq!(ends, ["ok", "FAILED", "ok"], "{out}");
    }
}
