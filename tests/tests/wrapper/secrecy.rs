//! A value is nowhere but in the program's environment.

use std::fs::File;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::Stdio;

use akv2k8s_shared::injection::names;
use akv2k8s_testbed::{capability, wait};
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::bed::{LONG, end, run, wrapper};
use crate::stub::{Says, Stub, borrowed};

const CANARY: &str = "canary-7f3a";

fn canary() -> Says {
    Says::Values(vec![("db@azurekeyvault", CANARY.as_bytes().to_vec())])
}

#[tokio::test]
async fn no_failure_after_the_value_is_there_tells_it() {
    for program in ["no-such-program", "/", "/etc/passwd"] {
        let stub = Stub::start([canary()]).await;
        for level in ["info", "debug", "trace"] {
            let variables = stub.variables(&[("DB", "db@azurekeyvault"), ("ENV_INJECTOR_LOG_LEVEL", level)]);
            let ended = run(&borrowed(&variables), &[program]).await;
            assert!(matches!(ended.code, Some(126 | 127)), "{program}: {}", ended.err);
            assert!(
                !ended.err.contains(CANARY) && !ended.out.contains(CANARY),
                "{}",
                ended.err
            );
        }
    }
}

#[tokio::test]
async fn a_broken_answer_with_a_value_in_it_is_not_quoted() {
    for body in [
        format!(r#"{{"values":{{"db@azurekeyvault":"{CANARY}""#),
        CANARY.to_owned(),
    ] {
        let stub = Stub::start([Says::Status(200, body, None)]).await;
        let variables = stub.variables(&[("DB", "db@azurekeyvault"), ("ENV_INJECTOR_RETRIES", "0")]);
        let ended = run(&borrowed(&variables), &["env"]).await;
        assert_eq!(ended.code, Some(1));
        assert!(
            !ended.err.contains(CANARY) && ended.err.contains("BrokerUnavailable"),
            "{}",
            ended.err
        );
    }
}

/// While it waits for values, the process belongs to root in `/proc`, whoever runs it: no core dump, no tracing by its own user
/// (`PR_SET_DUMPABLE`, proc(5)). The program itself is as open as any other.
#[tokio::test]
async fn while_values_are_fetched_the_process_cannot_be_dumped_and_the_program_can() {
    let stub = Stub::start([Says::Nothing]).await;
    let variables = stub.variables(&[("DB", "db@azurekeyvault"), ("ENV_INJECTOR_START_BUDGET", "600")]);
    let (waiting, owner, _folder) = spawn(&variables, &["sleep", "600"]).await;
    wait::until("the request", LONG, async || (!stub.asked().is_empty()).then_some(()))
        .await
        .unwrap();
    assert_eq!(owner_of(waiting.id().unwrap()), 0);

    let stub = Stub::start([canary()]).await;
    let variables = stub.variables(&[("DB", "db@azurekeyvault")]);
    let (mut running, owner_again, _folder) = spawn(&variables, &["sleep", "600"]).await;
    assert_eq!(owner, owner_again);
    let id = running.id().unwrap();
    let is_sleep = async || {
        let line = std::fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
        line.starts_with(b"sleep\0").then_some(line)
    };
    let line = wait::until("the program", LONG, is_sleep).await.unwrap();
    assert_eq!(line, b"sleep\x00600\0", "and no value is in its arguments");
    assert_eq!(owner_of(id), owner);
    running.kill().await.unwrap();
    end(running).await;
}

#[tokio::test]
async fn a_crash_while_values_are_fetched_leaves_no_core_dump_and_one_of_the_program_does() {
    let stub = Stub::start([Says::Nothing]).await;
    let waiting = stub.variables(&[("DB", "db@azurekeyvault"), ("ENV_INJECTOR_START_BUDGET", "600")]);
    let is_waiting = async |_| !stub.asked().is_empty();
    assert_eq!(crash(&waiting, is_waiting).await, (Some(ABORT), false));

    let stub = Stub::start([canary()]).await;
    let is_started = async |id| std::fs::read(format!("/proc/{id}/comm")).is_ok_and(|name| name == b"sleep\n");
    let (signal, dumped) = crash(&stub.variables(&[("DB", "db@azurekeyvault")]), is_started).await;
    assert_eq!(signal, Some(ABORT));
    // Without this the first half would show nothing.
    assert!(dumped, "programs dump no core here: see core_pattern in core(5)");
}

/// What a panic ends with; Rust catches SEGV for a moment.
const ABORT: i32 = 6;

/// Starts `sleep` in the wrapper, lets it crash when it is `ready`, and tells by which signal it ended and whether the kernel dumped it.
async fn crash(variables: &[(String, String)], ready: impl AsyncFn(u32) -> bool) -> (Option<i32>, bool) {
    let folder = TempDir::new().unwrap();
    let program = wrapper(&[]).await.as_std().get_program().to_owned();
    let mut command = Command::new("sh");
    command
        .args(["-c", "ulimit -c unlimited && exec \"$0\" sleep 600"])
        .arg(program);
    command
        .env_clear()
        .envs(borrowed(variables))
        .current_dir(folder.path())
        .kill_on_drop(true);
    let mut child = command.spawn().unwrap();
    let id = child.id().unwrap();
    wait::until("the moment", LONG, async || ready(id).await.then_some(()))
        .await
        .unwrap();
    let killed = Command::new("kill")
        .args(["-ABRT", &id.to_string()])
        .status()
        .await
        .unwrap();
    assert!(killed.success());
    let status = child.wait().await.unwrap();
    (status.signal(), status.core_dumped())
}

/// The first answer, with a canary in it, is over when the second does not come: no byte of it may be left, in whatever buffer it was.
#[tokio::test]
async fn memory_that_is_given_back_is_overwritten() {
    if !capability::has(capability::FOREIGN_MEMORY) {
        return;
    }
    let stub = Stub::start([Says::LastStatus(503, CANARY.repeat(1000)), Says::Nothing]).await;
    let marker = "marker-19c4";
    let variables = stub.variables(&[
        ("DB", "db@azurekeyvault"),
        ("ENV_INJECTOR_START_BUDGET", "600"),
        ("MARKER", marker),
    ]);
    let mut child = wrapper(&borrowed(&variables))
        .await
        .args(["sleep", "600"])
        .spawn()
        .unwrap();
    wait::until("the second request", LONG, async || {
        (stub.asked().len() == 2).then_some(())
    })
    .await
    .unwrap();
    let memory = memory_of(child.id().unwrap());
    assert!(contains(&memory, marker), "its memory can be read");
    assert!(!contains(&memory, CANARY), "a value was left in memory");
    child.kill().await.unwrap();
}

fn contains(memory: &[u8], text: &str) -> bool {
    memory.windows(text.len()).any(|window| window == text.as_bytes())
}

/// All memory of a process that it can write to.
fn memory_of(process: u32) -> Vec<u8> {
    let maps = std::fs::read_to_string(format!("/proc/{process}/maps")).unwrap();
    let file = File::open(format!("/proc/{process}/mem")).unwrap();
    let mut memory = Vec::new();
    for line in maps.lines().filter(|line| line.contains(" rw-p ")) {
        let (range, _) = line.split_once(' ').unwrap();
        let (start, end) = range.split_once('-').unwrap();
        let [start, end] = [start, end].map(|text| u64::from_str_radix(text, 16).unwrap());
        let mut part = vec![0; usize::try_from(end - start).unwrap()];
        // Some mappings are the kernel's own.
        if file.read_exact_at(&mut part, start).is_ok() {
            memory.append(&mut part);
        }
    }
    memory
}

/// Runs the wrapper as somebody who is not root, and tells who. The folder must outlive it.
async fn spawn(variables: &[(String, String)], arguments: &[&str]) -> (Child, u32, TempDir) {
    const SOMEBODY: u32 = 65534;
    let folder = TempDir::new().unwrap();
    let mut command = wrapper(&borrowed(variables)).await;
    let me = std::fs::metadata("/proc/self").unwrap().uid();
    if me != 0 {
        return (command.args(arguments).spawn().unwrap(), me, folder);
    }
    // Where tests run as root, somebody else needs a copy of the program and a token that he can read.
    let (program, token) = (folder.path().join("azure-keyvault-env"), folder.path().join("token"));
    std::fs::copy(command.as_std().get_program(), &program).unwrap();
    std::fs::write(&token, "the-token").unwrap();
    for path in [folder.path(), &program] {
        std::fs::set_permissions(path, PermissionsExt::from_mode(0o755)).unwrap();
    }
    let mut command = Command::new(&program);
    command
        .env_clear()
        .envs(borrowed(variables))
        .env(names::AUTH_SERVICE_TOKEN_FILE, &token);
    command.as_std_mut().uid(SOMEBODY);
    let child = command
        .args(arguments)
        .kill_on_drop(true)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    (child, SOMEBODY, folder)
}

fn owner_of(process: u32) -> u32 {
    std::fs::metadata(format!("/proc/{process}/environ")).unwrap().uid()
}
