//! The running controller.

use super::launch::{Program, Running};
use super::program::controller_program;

/// How it is started.
pub(super) const PROGRAM: Program = Program {
    name: "akv2k8s-controller",
    path: controller_program,
    ports: 1,
};

/// A running controller program; dropping it kills it as `kill -9` would.
#[derive(Debug)]
pub struct Controller(pub(super) Running);

impl Controller {
    /// Everything it has logged until now.
    pub fn log(&self) -> String {
        self.0.log()
    }

    /// Its process id, as long as it runs.
    pub fn id(&self) -> Option<u32> {
        self.0.id()
    }

    /// Whether it has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        self.0.has_ended()
    }

    /// Asks it to stop, as the kubelet does, and waits until it has: the lease is given back.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        self.0.stop().await
    }

    /// Where its probes and metrics are: `http://127.0.0.1:PORT`.
    pub fn http(&self) -> &str {
        &self.0.http
    }
}
