//! Why an exchange gave no answer.

use std::error::Error;

use thiserror::Error;

use super::reach::NotOutward;
use super::resolve::NoSuchHost;

/// The kind of a [`Failure`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// DNS says that the name does not exist.
    NoSuchHost,
    /// No connection: refused, unreachable, DNS or proxy not answering.
    Connect,
    /// The TLS handshake failed: most often an untrusted certificate.
    Tls,
    /// Too slow.
    Timeout,
    /// The connection broke off in the middle.
    Broken,
    /// The body is larger than allowed.
    TooLarge,
    /// A token would have travelled without TLS; nothing was sent.
    NotEncrypted,
    /// The address is this machine's or its link's, and a stranger named it; nothing was sent.
    NotOutward,
    /// The request itself cannot be sent.
    Invalid,
}

/// An exchange without an answer. The text names the host, never a header or body.
#[derive(Debug, Clone, Error)]
#[error("{host}: {detail}")]
pub struct Failure {
    /// What kind of failure.
    pub kind: FailureKind,
    /// The host that was asked.
    pub host: String,
    /// What the layer that failed said.
    pub detail: String,
}

impl Failure {
    pub(super) fn new(kind: FailureKind, host: &str, detail: impl Into<String>) -> Self {
        Self {
            kind,
            host: host.to_owned(),
            detail: detail.into(),
        }
    }

    /// The request was never one: nothing was sent.
    pub(crate) fn unsendable(host: &str, error: &dyn Error) -> Self {
        Self::new(FailureKind::Invalid, host, error.to_string())
    }

    pub(super) fn of_request(host: &str, error: &hyper_util::client::legacy::Error) -> Self {
        let kind = if find::<NoSuchHost>(error).is_some() {
            FailureKind::NoSuchHost
        } else if find::<NotOutward>(error).is_some() {
            FailureKind::NotOutward
        } else if find::<rustls::Error>(error).is_some() {
            FailureKind::Tls
        } else if find::<std::io::Error>(error).is_some_and(|error| error.kind() == std::io::ErrorKind::TimedOut) {
            FailureKind::Timeout
        } else if error.is_connect() {
            FailureKind::Connect
        } else {
            FailureKind::Broken
        };
        Self::new(kind, host, innermost(error))
    }

    pub(super) fn of_body(host: &str, error: &(dyn Error + 'static), limit: usize) -> Self {
        if find::<http_body_util::LengthLimitError>(error).is_some() {
            return Self::new(FailureKind::TooLarge, host, format!("the answer exceeds {limit} bytes"));
        }
        Self::new(FailureKind::Broken, host, innermost(error))
    }
}

/// The first error of type `E` in the chain of sources. `std::io::Error` hides the error it wraps from `source()`, so it
/// is unwrapped here.
pub(crate) fn find<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        let wrapped = error
            .downcast_ref::<std::io::Error>()
            .and_then(std::io::Error::get_ref)
            .map(|inner| inner as &(dyn Error + 'static));
        next = wrapped.or_else(|| error.source());
    }
    None
}

fn innermost(error: &(dyn Error + 'static)) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}
