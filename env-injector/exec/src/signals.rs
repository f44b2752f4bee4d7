//! Signals while the wrapper waits, and as the program finds them.
//!
//! A signal that is caught is one that `execve` sets back to its default; one that was ignored stays ignored (execve(2)). So nothing has to
//! be restored: TERM and INT are caught only where they were not ignored, PIPE (which Rust's runtime ignores) always, and the
//! signal mask is never touched. As PID 1 in a container the wrapper would ignore TERM if it did not catch it.

use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// TERM and INT, caught.
pub(crate) struct Signals {
    terminate: Option<Signal>,
    interrupt: Option<Signal>,
}

impl Signals {
    /// Catches them. Must be called within a runtime.
    pub(crate) fn catch() -> Self {
        // A failure leaves the disposition as it was.
        let _ = signal(SignalKind::pipe());
        let ignored = ignored();
        let catch = |kind: SignalKind| {
            let is_ignored = ignored >> (kind.as_raw_value() - 1) & 1 == 1;
            (!is_ignored).then(|| signal(kind).ok()).flatten()
        };
        Self {
            terminate: catch(SignalKind::terminate()),
            interrupt: catch(SignalKind::interrupt()),
        }
    }

    /// The exit code for one that came and that nobody has waited for: the program would never learn of it.
    pub(crate) fn came(&mut self, runtime: &Runtime) -> Option<u8> {
        runtime.block_on(async {
            tokio::select! {
                biased;
                code = self.arrived() => Some(code),
                // Long enough for the runtime to look what the kernel has told it.
                () = tokio::task::yield_now() => None,
            }
        })
    }

    /// Waits for one of them, and gives the exit code that shells use for a program that it ended.
    pub(crate) async fn arrived(&mut self) -> u8 {
        let kind = tokio::select! {
            () = next(self.terminate.as_mut()) => SignalKind::terminate(),
            () = next(self.interrupt.as_mut()) => SignalKind::interrupt(),
        };
        u8::try_from(128 + kind.as_raw_value()).unwrap_or(u8::MAX)
    }
}

async fn next(signal: Option<&mut Signal>) {
    if let Some(signal) = signal
        && signal.recv().await.is_some()
    {
        return;
    }
    std::future::pending::<()>().await;
}

/// The set of ignored signals, one bit each (`SigIgn`, proc(5)); empty where there is no `/proc`.
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let set = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    set.and_then(|set| u64::from_str_radix(set.trim(), 16).ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn a_signal_that_came_while_nobody_waited_is_seen() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let mut signals = {
            let _inside = runtime.enter();
            Signals::catch()
        };
        assert_eq!(signals.came(&runtime), None);
        let me = std::process::id().to_string();
        assert!(Command::new("kill").args(["-TERM", &me]).status().unwrap().success());
        // The kernel delivers it to some thread, a moment later.
        let end = Instant::now() + Duration::from_secs(30);
        let mut came = None;
        while came.is_none() && Instant::now() < end {
            came = signals.came(&runtime);
        }
        assert_eq!(came, Some(143));
    }
}
