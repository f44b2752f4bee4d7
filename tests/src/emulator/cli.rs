//! `testbed emulator`: the emulator as a program of its own.

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};

use super::{Emulator, Names, Options, Seed};

/// Run the Key Vault, Entra and IMDS emulator until Ctrl-C.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// State to begin with (YAML, see docs/emulator.md)
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where vaults, Entra and the admin API listen; port 0 picks a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8443")]
    listen: SocketAddr,
    /// Where the managed identity endpoints listen; port 0 picks a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8444")]
    imds_listen: SocketAddr,
    /// Names of Services in a cluster's namespace `vault`, in the place of those below .localhost
    #[arg(long)]
    cluster: bool,
    /// Where the authority (ca.pem) and the cloud file (cloud.json) are written
    #[arg(long, value_name = "DIRECTORY", default_value = ".emulator")]
    directory: PathBuf,
    /// Seed of faults that strike a share of requests
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    seed: u64,
}

/// Starts the emulator, writes its files, prints its addresses to `out` and waits for a signal.
pub async fn run(args: Args, out: &mut dyn Write) -> anyhow::Result<()> {
    let seed = match &args.config {
        None => Seed::default(),
        Some(path) => {
            let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
            Seed::parse(&text).with_context(|| path.display().to_string())?
        }
    };
    let options = Options {
        listen: args.listen,
        imds_listen: args.imds_listen,
        names: if args.cluster { Names::Cluster } else { Names::Localhost },
        seed: args.seed,
    };
    let emulator = Emulator::start(options).await?;
    let applied = emulator.apply(seed).await?;
    std::fs::create_dir_all(&args.directory).with_context(|| format!("cannot make {}", args.directory.display()))?;
    let (ca, cloud) = (args.directory.join("ca.pem"), args.directory.join("cloud.json"));
    emulator.write_ca_file(&ca)?;
    emulator.write_cloud_file(&cloud)?;

    let port = emulator.port();
    writeln!(out, "vaults      https://NAME.{}", emulator.vault_suffix())?;
    writeln!(
        out,
        "entra       {}  tenant {}",
        emulator.authority_host(),
        emulator.entra().tenant_id()
    )?;
    writeln!(out, "identities  {}", emulator.imds().endpoint())?;
    writeln!(out, "admin       https://admin.localhost:{port}/")?;
    writeln!(out, "trust       SSL_CERT_FILE={}", ca.display())?;
    writeln!(
        out,
        "cloud       AZURE_ENVIRONMENT=AzureStackCloud AZURE_ENVIRONMENT_FILEPATH={}",
        cloud.display()
    )?;
    for (name, principal) in &applied.principals {
        writeln!(
            out,
            "principal   {name}  client {}  object {}",
            principal.client_id, principal.object_id
        )?;
    }
    writeln!(out, "ready")?;
    out.flush()?;

    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted?,
        _ = terminate.recv() => {}
    }
    Ok(())
}
