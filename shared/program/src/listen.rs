//! Ports.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use anyhow::Context;
use tokio::net::TcpListener;

/// Listens on `port` of every address; 0 lets the system choose. Without IPv6, on every IPv4 address.
/// `variable` is where the port is set.
///
/// # Errors
/// The port is in use, or not for us.
pub async fn listen(port: u16, variable: &str) -> anyhow::Result<TcpListener> {
    let listener = match TcpListener::bind(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port))).await {
        Ok(listener) => listener,
        Err(_) => TcpListener::bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)))
            .await
            .with_context(|| format!("cannot listen on port {port}: set {variable} to a free one"))?,
    };
    tracing::info!("listening on port {} ({variable})", listener.local_addr()?.port());
    Ok(listener)
}
