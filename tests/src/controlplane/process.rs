//! Child processes that never outlive this one.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

/// See the comment at its head.
const SUPERVISOR: &str = include_str!("supervise.sh");
/// How many of the last lines of a log an error shows.
const TAIL: usize = 15;

/// A running program of the control plane. It is stopped when this is dropped, and also when this process ends without dropping
/// anything: normally (statics are not dropped), by a panic, or killed. It has a process group of its own, so that Ctrl-C at
/// the terminal reaches us first and not the store below a running server.
#[derive(Debug)]
pub(crate) struct Process {
    supervisor: Child,
    program: PathBuf,
    /// The program lives as long as this pipe is open.
    lifeline: Option<ChildStdin>,
    log: PathBuf,
}

impl Process {
    /// Starts `program` with `arguments`. What it prints is appended to `NAME.log` in `folder`. When this process dies, the
    /// folder is removed after the program's end.
    pub(crate) fn start<A: AsRef<OsStr>>(
        program: &Path,
        arguments: impl IntoIterator<Item = A>,
        folder: &Path,
    ) -> io::Result<Self> {
        Self::start_behind(&[], program, arguments, [], folder)
    }

    /// As [`Self::start`], with words before the program (a command that starts it elsewhere), and with `variables` in its
    /// environment besides our own.
    pub(crate) fn start_behind<A: AsRef<OsStr>>(
        prefix: &[OsString],
        program: &Path,
        arguments: impl IntoIterator<Item = A>,
        variables: impl IntoIterator<Item = (String, String)>,
        folder: &Path,
    ) -> io::Result<Self> {
        let name = program.file_name().unwrap_or(program.as_os_str());
        let log = folder.join(name).with_extension("log");
        let output = File::options().create(true).append(true).open(&log)?;
        let mut supervisor = Command::new("sh")
            .args(["-c", SUPERVISOR, "sh"])
            .arg(folder)
            .args(prefix)
            .arg(program)
            .args(arguments)
            .envs(variables)
            .stdin(Stdio::piped())
            .stdout(output)
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()?;
        let lifeline = supervisor.stdin.take();
        Ok(Self {
            supervisor,
            program: program.to_owned(),
            lifeline,
            log,
        })
    }

    /// Whether the program has ended by itself.
    pub(crate) fn has_ended(&mut self) -> io::Result<bool> {
        Ok(self.supervisor.try_wait()?.is_some())
    }

    /// The program's own process id, as long as it runs.
    pub(crate) fn id(&self) -> Option<u32> {
        let supervisor = self.supervisor.id();
        let children = fs::read_to_string(format!("/proc/{supervisor}/task/{supervisor}/children")).ok()?;
        let program = self.program.canonicalize().ok()?;
        let runs_it = |child: &&str| fs::read_link(format!("/proc/{child}/exe")).is_ok_and(|exe| exe == program);
        children.split_whitespace().find(runs_it)?.parse().ok()
    }

    /// Everything the program has printed until now.
    pub(crate) fn log(&self) -> String {
        fs::read(&self.log)
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }

    /// The last lines of [`Self::log`].
    pub(crate) fn log_tail(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(TAIL)..].join("\n")
    }
}

impl Drop for Process {
    /// Kills the program at once, as a crash would, and waits until it is gone.
    fn drop(&mut self) {
        if let Some(mut lifeline) = self.lifeline.take() {
            // Fails only when the supervisor has gone, and the program with it.
            let _ = lifeline.write_all(b"stop\n");
            let _ = self.supervisor.wait();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wait::until;
    use std::time::Duration;

    const LIMIT: Duration = Duration::from_secs(10);

    /// Starts a shell that writes its process id to `pid` in `folder` and then sleeps for ever.
    async fn sleeper(folder: &Path) -> (Process, String) {
        let script = "echo $$ > pid.new; mv pid.new pid; exec sleep 1000000";
        let script = format!("cd '{}'; {script}", folder.display());
        let process = Process::start(Path::new("/bin/sh"), ["-c", &script], folder).expect("start");
        let pid = until("the program's start", LIMIT, async || {
            fs::read_to_string(folder.join("pid")).ok()
        })
        .await;
        (process, pid.expect("started").trim().to_owned())
    }

    fn is_alive(pid: &str) -> bool {
        Command::new("kill")
            .args(["-0", pid])
            .stderr(Stdio::null())
            .status()
            .expect("kill is everywhere")
            .success()
    }

    #[tokio::test]
    async fn dropping_stops_the_program_and_keeps_the_folder() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let (process, pid) = sleeper(folder.path()).await;
        assert!(is_alive(&pid));
        drop(process);
        assert!(!is_alive(&pid));
        assert!(folder.path().exists());
    }

    #[tokio::test]
    async fn the_end_of_the_owner_stops_the_program_and_removes_the_folder() {
        let folder = tempfile::tempdir().expect("temporary folder").keep();
        let (mut process, pid) = sleeper(&folder).await;
        // What the system does to our end of the pipe when we die.
        drop(process.lifeline.take());
        until("the folder's removal", LIMIT, async || (!folder.exists()).then_some(()))
            .await
            .expect("removed");
        assert!(!is_alive(&pid));
        process.supervisor.wait().expect("the supervisor has ended too");
    }

    #[tokio::test]
    async fn a_program_that_ends_by_itself_is_noticed_and_its_log_kept() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let mut process =
            Process::start(Path::new("/bin/sh"), ["-c", "echo reason; exit 3"], folder.path()).expect("start");
        until("the end", LIMIT, async || {
            process.has_ended().expect("status").then_some(())
        })
        .await
        .expect("ended");
        assert_eq!(process.log_tail(), "reason");
        drop(process);
        assert!(folder.path().exists());
    }
}
