//! The one HTTP client of every program here: hyper, rustls on ring, and a DNS resolver of its own.

use std::time::Duration;

use crate::diagnosis::{Code, Diagnosis};
use crate::environment::Environment;

/// Limits of the client.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Longest time to resolve, connect and finish the TLS handshake.
    pub connect: Duration,
    /// Longest time until the whole answer is there, and longest silence within it.
    pub read: Duration,
    /// Idle connections kept per host.
    pub idle_per_host: usize,
    /// Largest body that is read, in bytes.
    pub body: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            read: Duration::from_secs(15),
            idle_per_host: 32,
            body: 4 * 1024 * 1024,
        }
    }
}

/// A pool of connections with one policy for trust, names, proxies and limits. Cheap to clone.
#[derive(Debug, Clone)]
pub struct HttpClient {
    _limits: Limits,
}

impl HttpClient {
    /// Builds the client from `SSL_CERT_FILE`, `SSL_CERT_DIR`, `HTTPS_PROXY`, `NO_PROXY` and the system's resolver files.
    pub fn from_environment(_environment: &Environment, _limits: Limits) -> Result<Self, Box<Diagnosis>> {
        Err(Box::new(Diagnosis::new(
            Code::VaultUnavailable,
            "The HTTP client is not there yet.",
            "It is being written.",
            "Wait for its author.",
        )))
    }
}
