//! The env injector's webhook: prepares the pods that ask for values from Azure Key Vault, and gives these values to them.
//!
//! ```text
//!  API server ──AdmissionReview──▶ server ─▶ admission: mutate(pod, facts) → JSON Patch
//!                                                                    ▲
//!                               cluster (AKVS, labels) ──────────────┤
//!                               registry (what images start) ────────┤
//!                               pki (authorities of the broker) ─────┘
//!  wrapper ──references, token──▶ server ─▶ broker: whose pod, and what may it have → values
//! ```
//!
//! [`EnvInjector`] is the whole program as a value; `main` only parses arguments.

pub mod admission;
mod app;
pub mod args;
pub mod broker;
pub mod cluster;
pub mod config;
#[cfg(fuzzing)]
pub mod fuzzing;
pub mod label;
mod likeness;
mod metrics;
pub mod pki;
pub mod registry;
mod routes;
pub mod server;
pub mod variables;

use akv2k8s_program::server::raise_limit;
use akv2k8s_program::traces::Traces;
use akv2k8s_program::{logging, stop_signal};
use akv2k8s_shared::environment::Environment;

pub use app::EnvInjector;
use args::Args;
use config::Config;

/// Runs as `args` and the environment say, until told to stop by a signal.
///
/// # Errors
/// A configuration nobody can work with: the process should exit with a failure.
pub async fn run(args: Args) -> anyhow::Result<()> {
    let environment = Environment::from_process();
    let traces = Traces::from_environment(&environment, env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));
    logging::init("akv2k8s_envinjector", args.logging_format, args.verbosity, &traces);
    let config = Config::new(args, environment)?;
    tracing::info!(
        program = env!("CARGO_PKG_VERSION"),
        deployment = config.args.version,
        "starting"
    );
    raise_limit();
    let stop = stop_signal()?;
    traces.tell();
    let run = async { Box::pin(EnvInjector::new(config).await?.run(stop)).await };
    let ended = Box::pin(run).await;
    traces.end().await;
    ended
}
