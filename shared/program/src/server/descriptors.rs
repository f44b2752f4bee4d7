//! File descriptors: each connection takes one, and container runtimes start programs with 1,024 unless they ask for more.

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tracing::{info, warn};

/// Lets the process have as many as the system allows it.
pub fn raise_limit() {
    let raised = getrlimit(Resource::RLIMIT_NOFILE).and_then(|(soft, hard)| {
        if soft < hard {
            setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
        }
        Ok((soft, hard))
    });
    match raised {
        Ok((before, limit)) => info!(before, limit, "file descriptors"),
        Err(error) => warn!(%error, "the limit of file descriptors stays as it is"),
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// Set for the process that is allowed few.
    const CHILD: &str = "AKV2K8S_TEST_FEW_DESCRIPTORS";

    #[test]
    fn a_process_that_is_given_few_takes_what_it_may_have() {
        if std::env::var_os(CHILD).is_some() {
            raise_limit();
            println!("limit: {}", getrlimit(Resource::RLIMIT_NOFILE).unwrap().0);
            return;
        }
        let name = "server::descriptors::tests::a_process_that_is_given_few_takes_what_it_may_have";
        let line = "ulimit -S -n 100 && ulimit -H -n 300 && exec \"$0\" --exact \"$1\" --nocapture";
        let child = Command::new("sh")
            .args(["-c", line])
            .arg(std::env::current_exe().unwrap())
            .arg(name)
            .env(CHILD, "1")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&child.stdout);
        assert!(
            said.contains("limit: 300"),
            "{said}{}",
            String::from_utf8_lossy(&child.stderr)
        );
    }
}
