//! This process: what it is called, and how it is told to stop.

use std::hash::{BuildHasher, Hasher};

use tokio::signal::unix::{SignalKind, signal};

/// A name no other process has: the pod's name (its host name) and a random part.
pub(crate) fn name() -> String {
    let host = std::fs::read_to_string("/etc/hostname").unwrap_or_default();
    let host = host.trim();
    let random = std::collections::hash_map::RandomState::new().build_hasher().finish();
    format!("{}_{random:016x}", if host.is_empty() { "controller" } else { host })
}

/// Resolves on SIGTERM or SIGINT; a second signal ends the process at once with exit code 1.
///
/// # Errors
/// The handlers cannot be installed.
pub fn stop_signal() -> std::io::Result<impl Future<Output = ()> + Send> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let (told, stop) = tokio::sync::oneshot::channel();
    tokio::spawn(async move {
        tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
        // The receiver is gone only when nothing runs any more.
        let _ = told.send(());
        tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
        std::process::exit(1);
    });
    Ok(async move {
        let _ = stop.await;
    })
}
