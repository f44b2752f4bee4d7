//! `kubectl-akv2k8s`, which kubectl also runs as `kubectl akv2k8s`: parses the command line, runs, and tells by its exit code.

use std::process::ExitCode;

use akv2k8s_cli::args::Args;
use akv2k8s_shared::environment::Environment;
use clap::Parser;

/// A check failed.
const FINDINGS: u8 = 1;
/// The checks could not be made.
const COULD_NOT_RUN: u8 = 2;

fn main() -> ExitCode {
    let args = Args::parse();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("cannot start: {error}");
            return COULD_NOT_RUN.into();
        }
    };
    match runtime.block_on(akv2k8s_cli::run(&args, &Environment::from_process())) {
        Ok(report) => {
            print!("{}", args.output.render(&report));
            if report.healthy() {
                ExitCode::SUCCESS
            } else {
                FINDINGS.into()
            }
        }
        Err(error) => {
            eprintln!("{error:#}");
            COULD_NOT_RUN.into()
        }
    }
}
