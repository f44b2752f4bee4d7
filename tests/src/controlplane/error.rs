//! Why there is no control plane.

use std::io;

use crate::provision::NotProvisioned;
use crate::wait::TimedOut;

/// Why a control plane could not be started or used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A program is absent.
    #[error(transparent)]
    NotProvisioned(#[from] NotProvisioned),
    /// A program ended, or did not become ready in time.
    #[error("{program} did not start: {why}; the last lines of its log:\n{tail}")]
    NotStarted {
        /// Which program.
        program: &'static str,
        /// What was seen of it.
        why: String,
        /// The end of its log.
        tail: String,
    },
    /// The operating system refused something.
    #[error("could not {what}")]
    Io {
        /// What was tried.
        what: String,
        /// Why it failed.
        source: io::Error,
    },
    /// A kubeconfig could not be used.
    #[error("could not use the kubeconfig {path}")]
    Kubeconfig {
        /// Its path.
        path: String,
        /// What is wrong with it.
        source: kube::config::KubeconfigError,
    },
    /// The API server answered with an error.
    #[error("could not {what}")]
    Api {
        /// What was tried.
        what: String,
        /// What the server, or the way to it, said.
        source: Box<kube::Error>,
    },
    /// Something awaited did not come.
    #[error(transparent)]
    TimedOut(#[from] TimedOut),
    /// `kubectl` ended with another exit code than 0.
    #[error("`kubectl {arguments}` failed ({status}): {stderr}")]
    Kubectl {
        /// Its arguments.
        arguments: String,
        /// How it ended.
        status: String,
        /// What it said.
        stderr: String,
    },
    /// Only a cluster of our own can do this.
    #[error("cannot {0} of a cluster that the test bed did not start; unset AKV2K8S_TEST_KUBECONFIG")]
    NotOurs(&'static str),
    /// The one control plane of this process failed to start earlier.
    #[error(transparent)]
    Shared(&'static Self),
}

impl Error {
    pub(super) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }

    pub(super) fn api(what: impl Into<String>) -> impl FnOnce(kube::Error) -> Self {
        let what = what.into();
        move |source| Self::Api {
            what,
            source: Box::new(source),
        }
    }
}
