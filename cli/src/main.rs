//! `kubectl-akv2k8s`, which kubectl also runs as `kubectl akv2k8s`: parses the command line, runs, and tells by its exit code.

use std::alloc::System;
use std::ffi::OsString;
use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use akv2k8s_cli::args::Args;
use akv2k8s_cli::style::Style;
use akv2k8s_cli::{Outcome, complete, could_not};
use akv2k8s_shared::environment::Environment;
use clap::Parser;
use zeroizing_alloc::ZeroAlloc;

/// Values pass through buffers of HTTP, TLS and JSON, which nobody else would clear.
#[global_allocator]
static ALLOCATOR: ZeroAlloc<System> = ZeroAlloc(System);

/// The command line cannot be understood (`EX_USAGE` of sysexits(3)).
const USAGE: u8 = 64;

fn main() -> ExitCode {
    let line: Vec<OsString> = std::env::args_os().collect();
    if let Some(answer) = complete::answer(&line) {
        // Nobody is left to be told when the stream is closed.
        let _ = std::io::stdout().write_all(answer.as_bytes());
        return ExitCode::SUCCESS;
    }
    let args = match Args::try_parse_from(line) {
        Ok(args) => args,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() {
                USAGE.into()
            } else {
                ExitCode::SUCCESS
            };
        }
    };
    let failed = |error: &dyn std::fmt::Display| {
        eprintln!("{error}");
        could_not(&args).into()
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&format_args!("cannot start: {error}")),
    };
    let environment = Environment::from_process();
    let mut out = std::io::stdout();
    let style = Style::of(&environment, out.is_terminal());
    let outcome = match runtime.block_on(akv2k8s_cli::run(&args, &environment, style)) {
        Ok(outcome) => outcome,
        Err(error) => return failed(&format_args!("{error:#}")),
    };
    // Its threads end here: what follows may be another program.
    drop(runtime);
    match outcome {
        Outcome::Start(start) => {
            drop(environment);
            start.now()
        }
        Outcome::Said { out: text, code } => match out.write_all(text.expose()).and_then(|()| out.flush()) {
            // Whoever closes the pipe has read enough.
            Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
                failed(&format_args!("cannot print: {error}"))
            }
            _ => code.into(),
        },
    }
}
