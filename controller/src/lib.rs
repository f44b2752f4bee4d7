//! Keeps Kubernetes Secrets and `ConfigMap`s equal to objects in Azure Key Vault.
//!
//! ```text
//!  watch (AKVS) ─────────┐                    ┌─▶ reconcile: granted? → decide → fetch → output → status
//!  watch (outputs) ──────┼─▶ objects, queue ──┤
//!  poll (vaults' lists) ─┘                    └─▶ … one at a time per object, vaults apart
//! ```
//!
//! [`Controller`] is the whole program as a value; `main` only parses arguments.

mod app;
pub mod args;
mod background;
pub mod config;
mod definition;
pub mod doctor;
pub mod events;
mod expiry;
mod grants;
mod health;
mod http;
mod identity;
mod lead;
mod leader;
mod lists;
mod metrics;
mod names;
pub mod namespaces;
mod objects;
mod orphans;
pub mod output;
mod phase;
mod poll;
mod process;
mod queue;
mod reconcile;
mod sight;
mod term;
pub mod variables;
mod watch;

pub use app::Controller;

/// What the controller decides without a client, for programs that show it: `kubectl akv2k8s plan`.
pub mod decisions {
    pub use crate::objects::{id, wanted};
    pub use crate::reconcile::desired;
}

use std::process::ExitCode;

use akv2k8s_program::traces::Traces;
use akv2k8s_program::{logging, stop_signal};
use akv2k8s_shared::environment::Environment;
use args::{Args, Command};
use config::Config;

/// Does what `args` ask for, until done or told to stop by a signal; gives the exit code.
///
/// # Errors
/// A configuration nobody can work with, or a lost lease: the process should exit with a failure.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    match args.command.clone() {
        Some(Command::Crd) => {
            print!("{}", akv2k8s_shared::api::crd_yaml());
            Ok(ExitCode::SUCCESS)
        }
        Some(Command::Doctor(doctor)) => {
            let config = Config::new(args, Environment::from_process())?;
            Ok(doctor::run(&doctor, &config).await)
        }
        None => work(args).await.map(|()| ExitCode::SUCCESS),
    }
}

/// Works until told to stop by a signal.
async fn work(args: Args) -> anyhow::Result<()> {
    let environment = Environment::from_process();
    let traces = Traces::from_environment(&environment, env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));
    logging::init("akv2k8s_controller", args.logging_format, args.verbosity, &traces);
    let config = Config::new(args, environment)?;
    tracing::info!(
        program = env!("CARGO_PKG_VERSION"),
        deployment = config.args.version,
        "starting"
    );
    traces.tell();
    let stop = stop_signal()?;
    let run = async { Box::pin(Controller::new(config).await?.run(stop)).await };
    let ended = Box::pin(run).await;
    traces.end().await;
    ended
}
