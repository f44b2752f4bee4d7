//! Running the wrapper with an environment of our own.

use std::ffi::OsStr;
use std::process::{Output, Stdio};
use std::time::Duration;

use akv2k8s_testbed::stack::wrapper_program;
use tokio::process::{Child, Command};

/// Longer than any busy machine takes to start a program.
pub(crate) const LONG: Duration = Duration::from_mins(2);

/// The wrapper with these variables and no others.
pub(crate) async fn wrapper(variables: &[(&str, &str)]) -> Command {
    let program = tokio::task::spawn_blocking(wrapper_program).await.unwrap().unwrap();
    let mut command = Command::new(program);
    command
        .env_clear()
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// How it ended.
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Self {
            code: output.status.code(),
            out: text(output.stdout),
            err: text(output.stderr),
        }
    }
}

/// Runs the wrapper to its end.
pub(crate) async fn run(variables: &[(&str, &str)], arguments: &[impl AsRef<OsStr>]) -> Ended {
    let child = wrapper(variables).await.args(arguments).spawn().unwrap();
    end(child).await
}

/// Waits for the end of one that was started.
pub(crate) async fn end(child: Child) -> Ended {
    let output = tokio::time::timeout(LONG, child.wait_with_output()).await;
    output.expect("the wrapper or its program hangs").unwrap().into()
}

/// The values of `names` in the output of `env`, in the order of the environment.
pub(crate) fn value<'o>(ended: &'o Ended, name: &str) -> Option<&'o str> {
    let mut lines = ended.out.lines();
    lines.find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
}
