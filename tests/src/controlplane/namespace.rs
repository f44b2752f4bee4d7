//! A namespace per test.

use std::fmt;
use std::process::{Command, Stdio};

use super::kubectl::Kubectl;

/// A fresh namespace. In a cluster that the test bed did not start it is deleted when this is dropped; in one of our own it goes
/// with the cluster.
#[derive(Debug)]
pub struct Namespace {
    name: String,
    delete_with: Option<Kubectl>,
}

impl Namespace {
    pub(super) fn new(name: String, delete_with: Option<Kubectl>) -> Self {
        Self { name, delete_with }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl AsRef<str> for Namespace {
    fn as_ref(&self) -> &str {
        &self.name
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let Some(Kubectl {
            program,
            kubeconfig,
            cache,
        }) = &self.delete_with
        else {
            return;
        };
        let mut command = Command::new(program);
        command
            .arg("--cache-dir")
            .arg(cache)
            .args(["delete", "namespace", &self.name, "--wait=false"]);
        // Best effort: the test has ended, and its result must not depend on the tidying up.
        let _ = command
            .env("KUBECONFIG", kubeconfig)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
    }
}
