//! A value is nowhere but in the program's environment.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::process::Stdio;

use akv2k8s_shared::injection::names;
use akv2k8s_testbed::wait;
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
