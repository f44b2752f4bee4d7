//! `testbed`: what tests, demo and benches need, on the command line.

use std::io;
use std::process::ExitCode;

use akv2k8s_testbed::provision::{Locations, Program};
use akv2k8s_testbed::{
    conformance, controlplane, demo, docs, emulator, fuzz, images, node, provision, statics, verify,
};
use clap::{Parser, Subcommand};

/// The test bed of akv2k8s-rs.
#[derive(Parser)]
#[command(version)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Build the Kubernetes programs that tests need, unless they are there
    Provision {
        /// Those of a real node too
        #[arg(long)]
        node: bool,
    },
    /// See a vault's objects become Secrets and ConfigMaps, on a real API server, in one go
    Demo(demo::Args),
    /// Start a control plane, print its kubeconfig, stop it on Ctrl-C
    Up,
    Emulator(emulator::cli::Args),
    /// Write the pages of the documentation that are made from the code
    Docs,
    /// Build every program for users into target/static, for amd64 and arm64, and check that each is static
    Static(statics::Options),
    /// Make the images that users get, for amd64 and arm64, with a bill of materials of each, in target/images
    Images(images::Options),
    /// Run every fuzz target for a short time, from its seeds
    Fuzz(fuzz::Options),
    /// Run the end-to-end tests with the chart's `profile: hardened`: all pass but those of what it is known to lose, and those fail
    Hardened,
    /// Check prerequisites, provision, run every test
    Verify,
    /// Say whether this machine can run a node; exit code 3 where it refuses, and installing programs would not help
    Probe,
    /// Run Microsoft's Python and JavaScript SDKs against the emulator
    Conformance(conformance::Options),
    /// Make the test vectors of `shared` anew with Microsoft's SDKs
    Vectors(conformance::Options),
    /// Run the part of the same list that suits a real vault, as whoever you are logged in as; removes what it created
    Live(conformance::LiveOptions),
}

/// The exit code that says that this machine can run no node, whatever is installed.
const REFUSED: u8 = 3;

fn main() -> ExitCode {
    let Args { command } = Args::parse();
    match run(command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("testbed: {error:#}");
            match error.downcast_ref::<node::Missing>() {
                Some(missing) if missing.is_refusal() => ExitCode::from(REFUSED),
                _ => ExitCode::FAILURE,
            }
        }
    }
}

#[tokio::main]
async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Provision { node } => {
            let nodes = if node { Program::NODE } else { &[] };
            let programs = [Program::of_tests().as_slice(), nodes].concat();
            provision::provision(&Locations::from_env(), &programs, &mut io::stdout())?;
        }
        Command::Demo(args) => demo::run(&args, &mut io::stdout()).await?,
        Command::Up => controlplane::cli::up(&mut io::stdout()).await?,
        Command::Emulator(args) => emulator::cli::run(args, &mut io::stdout()).await?,
        Command::Docs => docs::write()?,
        Command::Static(options) => statics::build(&options, &mut io::stdout())?,
        Command::Images(options) => images::make(&options, &mut io::stdout())?,
        Command::Fuzz(options) => fuzz::run(&options, &mut io::stdout())?,
        Command::Probe => node::probe_machine()?,
        Command::Hardened => verify::hardened(&mut io::stdout())?,
        Command::Verify => verify::verify(verify::STAGES, &mut io::stdout())?,
        Command::Conformance(options) => conformance::run(options).await?,
        Command::Vectors(options) => conformance::write_vectors(options).await?,
        Command::Live(options) => conformance::live(options).await?,
    }
    Ok(())
}
