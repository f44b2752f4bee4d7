//! `testbed up`.

use std::io::Write;

use tokio::signal::unix::{SignalKind, signal};

use super::{ControlPlane, Error};

/// Starts a control plane, prints `export KUBECONFIG=…` for a shell to `out`, and stops it when told to (Ctrl-C or SIGTERM).
pub async fn up(out: &mut impl Write) -> Result<(), Error> {
    let mut terminate = signal(SignalKind::terminate()).map_err(Error::io("listen for SIGTERM"))?;
    let control_plane = ControlPlane::start().await?;
    let seconds = control_plane.startup_time().as_secs_f32();
    writeln!(
        out,
        "# {} is up after {seconds:.1} s; Ctrl-C stops it",
        control_plane.server_url()
    )
    .and_then(|()| writeln!(out, "export KUBECONFIG={}", control_plane.kubeconfig().display()))
    .and_then(|()| out.flush())
    .map_err(Error::io("print the kubeconfig"))?;
    tokio::select! {
        _ = terminate.recv() => (),
        result = tokio::signal::ctrl_c() => result.map_err(Error::io("listen for Ctrl-C"))?,
    }
    Ok(())
}
