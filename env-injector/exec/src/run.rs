//! The wrapper from start to `execve`.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use akv2k8s_shared::environment::{Environment, Variable as Name};
use akv2k8s_shared::injection::names;
use tokio::runtime::{Builder, Runtime};

use crate::arguments::{Invocation, USAGE};
use crate::deadline::retry;
use crate::environment::{self, Variable};
use crate::exec::{self, NotStarted};
use crate::failure::Failure;
use crate::plan::{Plan, own_environment, plan};
use crate::settings::{Mode, Patience, misconfigured};
use crate::signals::Signals;
use crate::source::{Source, Values};
use crate::voice::Voice;
use crate::{check, copy, memory};

/// The file of this very process.
const MYSELF: &str = "/proc/self/exe";

/// Does what is asked with the process's environment. Comes back only when no program was started.
pub fn run(invocation: Invocation) -> ExitCode {
    match invocation {
        Invocation::Run(arguments) => start(&WRAPPER, environment::of_process(), Then::Exec(arguments)),
        Invocation::Check => start(&WRAPPER, environment::of_process(), Then::Report),
        Invocation::Copy(directory) => copied(&directory),
        Invocation::Version => {
            let version = concat!("azure-keyvault-env ", env!("CARGO_PKG_VERSION"), "\n");
            print(version);
            ExitCode::SUCCESS
        }
        Invocation::Unusable(why) => {
            own_voice().complain(&format!("{why}. Usage: {USAGE}"));
            ExitCode::FAILURE
        }
    }
}

/// Which program this is, and what it knows besides the environment.
pub(crate) struct Caller {
    /// What its complaints begin with.
    pub(crate) name: &'static str,
    /// Variables that count in place of those of the same name, for this program alone: the one it becomes does not see them.
    pub(crate) settings: Vec<(Name, String)>,
}

const WRAPPER: Caller = Caller {
    name: names::PROGRAM,
    settings: Vec::new(),
};

/// What the values are for.
pub(crate) enum Then {
    /// The program to become, and its arguments.
    Exec(Vec<OsString>),
    /// Names and lengths.
    Report,
}

/// How it ends without a program.
enum End {
    Failed(Failure),
    /// A signal came; the exit code for it.
    Stopped(u8),
}

impl From<Failure> for End {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// Resolves the references in `variables`, and does `then`. Comes back only when no program was started.
pub(crate) fn start(caller: &Caller, mut variables: Vec<Variable>, then: Then) -> ExitCode {
    let voice = Voice::of(caller.name, &variables);
    let failed = |failure: &Failure| {
        voice.tell(failure);
        ExitCode::FAILURE
    };
    let outcome = resolve(caller, &mut variables);
    let Resolved {
        plan,
        runtime,
        mut signals,
    } = match outcome {
        Ok(done) => done,
        Err(End::Failed(failure)) => return failed(&failure),
        Err(End::Stopped(code)) => return ExitCode::from(code),
    };
    let environment = match exec::environment(&variables) {
        Ok(environment) => environment,
        Err(failure) => return failed(&failure),
    };
    match then {
        Then::Report => {
            print(&check::report(&variables, &plan));
            ExitCode::SUCCESS
        }
        Then::Exec(arguments) => {
            drop((variables, plan));
            // As late as can be: the program would not be told of it.
            if let Some(code) = signals.came(&runtime) {
                return ExitCode::from(code);
            }
            // Its threads end here, not in the middle of something at execve.
            drop(runtime);
            match exec::exec(arguments, &environment) {
                NotStarted::Program(absent) => {
                    voice.complain(&absent.why);
                    ExitCode::from(absent.code)
                }
                NotStarted::Environment(failure) => failed(&failure),
            }
        }
    }
}

/// What there is when all values are in their places.
struct Resolved {
    plan: Plan,
    runtime: Runtime,
    signals: Signals,
}

/// Puts the values in the places of their references.
fn resolve(caller: &Caller, variables: &mut [Variable]) -> Result<Resolved, End> {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| misconfigured(format!("The kernel refuses what waiting takes: {error}.")))?;
    let mut signals = {
        let _inside = runtime.enter();
        Signals::catch()
    };
    let plan = plan(variables)?;
    if plan.wanted.is_empty() {
        return Ok(Resolved { plan, runtime, signals });
    }
    memory::forbid_dumps();
    let own = caller
        .settings
        .iter()
        .fold(own_environment(variables, &plan), |own, (name, value)| {
            own.with(*name, value)
        });
    let mut values = runtime.block_on(async {
        tokio::select! {
            // A signal that came at the last moment counts.
            biased;
            code = signals.arrived() => Err(End::Stopped(code)),
            values = fetch(&own, &plan) => values.map_err(|failure| End::Failed(with_names(failure, variables, &plan))),
        }
    })?;
    for (text, wanted) in &plan.wanted {
        let Some(value) = values.remove(text) else {
            continue; // A source gives all or fails.
        };
        for at in &wanted.at {
            variables[*at].value = Some(value.clone());
        }
    }
    Ok(Resolved { plan, runtime, signals })
}

async fn fetch(own: &Environment, plan: &Plan) -> Result<Values, Failure> {
    let patience = Patience::of(own)?;
    let source = Source::new(Mode::of(own)?, own)?;
    let references: BTreeMap<_, _> = plan
        .wanted
        .iter()
        .map(|(text, it)| (text.as_str(), &it.reference))
        .collect();
    retry(&patience, source.unanswered(), async || {
        source.values(&references).await
    })
    .await
}

/// Names the variables that hold the failure's reference.
fn with_names(failure: Failure, variables: &[Variable], plan: &Plan) -> Failure {
    let wanted = failure.reference().and_then(|reference| plan.wanted.get(reference));
    let names: Vec<_> = wanted
        .into_iter()
        .flat_map(|it| &it.at)
        .map(|at| variables[*at].shown())
        .collect();
    failure.at(&names)
}

/// For what is said before there is a plan.
fn own_voice() -> Voice {
    Voice::of(WRAPPER.name, &environment::of_process())
}

fn copied(directory: &Path) -> ExitCode {
    // Without /proc the name it was called by has to do.
    let called = || std::env::args_os().next().map(PathBuf::from).unwrap_or_default();
    let program = Some(PathBuf::from(MYSELF))
        .filter(|it| it.exists())
        .unwrap_or_else(called);
    match copy::copy(&program, directory) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let (from, to) = (program.display(), directory.display());
            own_voice().complain(&format!("cannot copy {from} to {to}: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn print(text: &str) {
    // Nobody is left to be told when the stream is closed.
    let _ = std::io::stdout().write_all(text.as_bytes());
}
