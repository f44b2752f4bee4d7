//! What the program sees of its start: nothing that the wrapper changed, but the values.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Stdio;

use akv2k8s_testbed::capability;
use akv2k8s_testbed::stack::guest_program;
use tempfile::TempDir;
use tokio::process::Command;

use crate::bed::{LONG, end, run, wrapper};
use crate::stub::{Says, Stub, borrowed};

const PATH: (&str, &str) = ("PATH", "/usr/bin:/bin");

fn script(folder: &Path, name: &str, content: &[u8], mode: u32) -> String {
    let path = folder.join(name);
    std::fs::write(&path, content).unwrap();
    std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
    path.to_str().unwrap().to_owned()
}

/// A broker, and the variables of a container that has one value from it.
async fn with_a_value() -> (Stub, Vec<(String, String)>) {
    let stub = Stub::start([Says::Values(vec![("db@azurekeyvault", b"\xffvalue".to_vec())])]).await;
    let variables = stub.variables(&[("DB", "db@azurekeyvault")]);
    (stub, variables)
}

#[tokio::test]
async fn the_program_has_the_wrappers_process_and_its_own_exit_code() {
    let (_stub, variables) = with_a_value().await;
    for variables in [borrowed(&variables), vec![PATH]] {
        let child = wrapper(&variables)
            .await
            .args(["sh", "-c", "echo $$; exit 42"])
            .spawn()
            .unwrap();
        let id = child.id().unwrap();
        let ended = end(child).await;
        assert_eq!((ended.code, ended.out.trim()), (Some(42), id.to_string().as_str()));
    }
}

#[tokio::test]
async fn name_arguments_and_environment_arrive_byte_for_byte_in_their_order() {
    let odd = OsStr::from_bytes(b"\xff \n'");
    let (_stub, variables) = with_a_value().await;
    for variables in [borrowed(&variables), vec![PATH]] {
        // A link to cat, so that the name it was called by is another than its file's.
        let mut command = wrapper(&variables).await;
        command
            .env("ODD", odd)
            .arg("cat")
            .arg("/proc/self/cmdline")
            .arg("--")
            .arg(odd);
        let output = command.output().await.unwrap();
        assert_eq!(output.stdout, b"cat\0/proc/self/cmdline\0--\0\xff \n'\0");
        let mut command = wrapper(&variables).await;
        let output = command
            .env("ODD", odd)
            .args(["cat", "/proc/self/environ"])
            .output()
            .await
            .unwrap();
        let entries: Vec<_> = output
            .stdout
            .split(|byte| *byte == 0)
            .filter(|it| !it.is_empty())
            .collect();
        // The wrapper was started with variables in alphabetical order, and nothing may change that.
        let mut expected: Vec<Vec<u8>> = variables
            .iter()
            .filter(|(name, _)| !name.starts_with("ENV_INJECTOR_"))
            .map(|(name, value)| {
                if *name == "DB" {
                    b"DB=\xffvalue".to_vec()
                } else {
                    format!("{name}={value}").into_bytes()
                }
            })
            .chain([[b"ODD=", odd.as_bytes()].concat()])
            .collect();
        expected.sort();
        assert_eq!(entries, expected);
    }
}

#[tokio::test]
async fn signals_mask_and_descriptors_are_those_of_a_direct_start() {
    let look = "grep -E '^Sig(Blk|Ign)|^Threads' /proc/self/status; ls /proc/self/fd | wc -l; pwd; umask";
    let direct = Command::new("sh")
        .args(["-c", look])
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap();
    let (_stub, variables) = with_a_value().await;
    for variables in [borrowed(&variables), vec![PATH]] {
        let ended = run(&variables, &["sh", "-c", look]).await;
        assert_eq!(ended.out, String::from_utf8_lossy(&direct.stdout), "{}", ended.err);
    }
}

#[tokio::test]
async fn a_signal_that_was_ignored_stays_ignored() {
    let program = wrapper(&[]).await.as_std().get_program().to_owned();
    let (_stub, variables) = with_a_value().await;
    let mut shell = Command::new("sh");
    shell.env_clear().envs(borrowed(&variables));
    let look = "trap '' INT; exec \"$0\" grep SigIgn /proc/self/status";
    let output = shell
        .args([OsStr::new("-c"), OsStr::new(look), &program])
        .output()
        .await
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let set = u64::from_str_radix(text.trim_start_matches("SigIgn:").trim(), 16).expect("a set of signals");
    let is_ignored = |signal: u32| set >> (signal - 1) & 1 == 1;
    assert!(is_ignored(2), "INT stays ignored: {text}");
    assert!(
        !is_ignored(13) && !is_ignored(15),
        "PIPE, which the wrapper's runtime ignores, and TERM are not: {text}"
    );
}

#[tokio::test]
async fn a_pipe_that_closes_ends_the_program_as_it_always_did() {
    let ended = run(&[PATH], &["sh", "-c", "yes | head -n 1; exit 0"]).await;
    assert_eq!(
        (ended.code, ended.out.as_str(), ended.err.as_str()),
        (Some(0), "y\n", "")
    );
}

#[tokio::test]
async fn standard_input_is_the_programs() {
    use tokio::io::AsyncWriteExt;
    let mut child = wrapper(&[PATH]).await.arg("cat").stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"through").await.unwrap();
    assert_eq!(end(child).await.out, "through");
}

/// The same wrapper, to which signals mean what they do by default: shells have what they start in the background ignore SIGINT, tests
/// included.
fn with_default_signals(wrapper: &Command) -> Command {
    let wrapper = wrapper.as_std();
    let mut command = Command::new("/usr/bin/env");
    command.arg("--default-signal").arg(wrapper.get_program()).env_clear();
    for (name, value) in wrapper.get_envs() {
        command.env(name, value.unwrap_or_default());
    }
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

#[tokio::test]
async fn terminate_and_interrupt_end_the_waiting_at_once() {
    for (signal, code) in [("-TERM", 143), ("-INT", 130)] {
        let stub = Stub::start([Says::Nothing]).await;
        let variables = stub.variables(&[("DB", "db@azurekeyvault")]);
        let child = with_default_signals(&wrapper(&borrowed(&variables)).await)
            .arg("env")
            .spawn()
            .unwrap();
        akv2k8s_testbed::wait::until("the request", LONG, async || (!stub.asked().is_empty()).then_some(()))
            .await
            .unwrap();
        let id = child.id().unwrap().to_string();
        assert!(
            Command::new("kill")
                .args([signal, &id])
                .status()
                .await
                .unwrap()
                .success()
        );
        // It ends with an exit code: the signal was caught, as it must be in a process that is number 1.
        let ended = end(child).await;
        assert_eq!(
            (ended.code, ended.out.as_str()),
            (Some(code), ""),
            "{signal}: {}",
            ended.err
        );
    }
}

#[tokio::test]
async fn a_program_that_cannot_be_started_is_127_or_126_with_the_reason() {
    let folder = TempDir::new().unwrap();
    let lost = script(folder.path(), "lost", b"#!/nowhere/python3\n", 0o755);
    let data = script(folder.path(), "data", b"no program", 0o755);
    let plain = script(folder.path(), "plain", b"#!/bin/sh\n", 0o644);
    let directory = folder.path().to_str().unwrap();
    for (program, code, reason) in [
        ("no-such-program", 127, "not found in PATH"),
        ("/nowhere/app", 127, "no such file"),
        ("", 127, "not found"),
        (lost.as_str(), 126, "/nowhere/python3"),
        (&data, 126, "neither a program nor a script"),
        (&plain, 126, "not executable"),
        (directory, 126, "directory"),
    ] {
        let ended = run(&[PATH], &[program]).await;
        assert_eq!(
            (ended.code, ended.err.lines().count()),
            (Some(code), 1),
            "{program}: {}",
            ended.err
        );
        assert!(
            ended.err.starts_with("azure-keyvault-env: ") && ended.err.contains(reason),
            "{program}: {}",
            ended.err
        );
    }
}

#[tokio::test]
async fn a_program_on_a_file_system_that_is_mounted_noexec_is_126_with_that_reason() {
    if !capability::has(capability::OWN_MOUNTS) {
        return;
    }
    let program = wrapper(&[]).await.as_std().get_program().to_owned();
    let mounted = "mount -t tmpfs -o noexec tmpfs /mnt && cp /usr/bin/true /mnt/app && exec \"$0\" /mnt/app";
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", mounted]).arg(program);
    let output = command.output().await.unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(
        (output.status.code(), said.as_ref()),
        (
            Some(126),
            "azure-keyvault-env: /mnt/app: its file system is mounted noexec\n"
        )
    );
}

/// Shells leave out what is no variable; the kernel does not.
#[tokio::test]
async fn an_entry_without_equals_stays_where_it_was() {
    let guest = tokio::task::spawn_blocking(guest_program).await.unwrap().unwrap();
    let (_stub, variables) = with_a_value().await;
    for variables in [borrowed(&variables), vec![PATH]] {
        let program = wrapper(&[]).await.as_std().get_program().to_owned();
        let mut command = Command::new(&guest);
        command
            .args(["bare", "no-variable"])
            .arg(program)
            .args(["cat", "/proc/self/environ"]);
        let output = command
            .env_clear()
            .envs(variables.iter().copied())
            .output()
            .await
            .unwrap();
        assert!(
            output.stdout.ends_with(b"\0no-variable\0"),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        assert!(
            output
                .stdout
                .split(|byte| *byte == 0)
                .any(|entry| entry.starts_with(b"PATH="))
        );
    }
}

#[tokio::test]
async fn the_programs_own_path_is_searched_after_its_values_are_there() {
    let folder = TempDir::new().unwrap();
    script(folder.path(), "app", b"#!/bin/sh\necho found\n", 0o755);
    let path = folder.path().to_str().unwrap().as_bytes().to_vec();
    let stub = Stub::start([Says::Values(vec![("path@azurekeyvault", path)])]).await;
    let ended = run(&borrowed(&stub.variables(&[("PATH", "path@azurekeyvault")])), &["app"]).await;
    assert_eq!((ended.code, ended.out.as_str()), (Some(0), "found\n"), "{}", ended.err);
}

#[tokio::test]
async fn more_than_the_kernel_takes_is_a_clear_error() {
    let long = "x".repeat(100_000);
    let arguments: Vec<OsString> = std::iter::once("env".into())
        .chain((0..70).map(|_| OsString::from(&long)))
        .collect();
    // The kernel would refuse to start the wrapper as well: a third of it comes as a value.
    let stub = Stub::start([Says::Values(vec![("db@azurekeyvault", vec![b'v'; 100_000])])]).await;
    let names: Vec<_> = (0..60).map(|number| format!("V{number}")).collect();
    let many: Vec<_> = names.iter().map(|name| (name.as_str(), "db@azurekeyvault")).collect();
    let ended = run(&borrowed(&stub.variables(&many)), &arguments[..10]).await;
    assert_eq!((ended.code, ended.out.as_str()), (Some(1), ""));
    assert!(
        ended.err.contains("EnvironmentTooLarge") && ended.err.contains("of arguments"),
        "{}",
        ended.err
    );
}

#[tokio::test]
async fn copy_puts_a_working_wrapper_into_a_folder() {
    let folder = TempDir::new().unwrap();
    let ended = run(&[], &["--copy", folder.path().to_str().unwrap()]).await;
    assert_eq!((ended.code, ended.out.as_str(), ended.err.as_str()), (Some(0), "", ""));
    let copied = folder.path().join("azure-keyvault-env");
    assert_eq!(copied.metadata().unwrap().permissions().mode() & 0o7777, 0o555);
    let output = Command::new(&copied).arg("--version").output().await.unwrap();
    assert!(String::from_utf8_lossy(&output.stdout).starts_with("azure-keyvault-env "));
    let ended = run(&[], &["--copy", "/nowhere"]).await;
    assert_eq!((ended.code, ended.err.lines().count()), (Some(1), 1), "{}", ended.err);
}

#[tokio::test]
async fn without_a_program_it_says_how_it_is_called() {
    for arguments in [&[][..], &["--"], &["--unknown"]] {
        let ended = run(&[], arguments).await;
        assert_eq!(ended.code, Some(1));
        assert!(ended.err.contains("Usage: "), "{}", ended.err);
    }
}

#[tokio::test]
async fn the_name_a_program_is_called_by_is_kept() {
    let mut command = wrapper(&[PATH]).await;
    command.as_std_mut().arg0("another-name");
    let output = command.args(["sh", "-c", "echo $0"]).output().await.unwrap();
    assert_eq!(output.stdout, b"sh\n", "the wrapper's own name is not the program's");
}

/// In akv2k8s the webhook signed the arguments, and this variable kept the wrapper from comparing them.
#[tokio::test]
async fn arguments_are_not_compared_whatever_the_variables_of_their_signature_say() {
    let (_stub, variables) = with_a_value().await;
    for variables in [borrowed(&variables), vec![PATH]] {
        for skip in ["true", "false", "perhaps", ""] {
            let signed = [
                ("ENV_INJECTOR_SKIP_ARGS_VALIDATION", skip),
                ("ENV_INJECTOR_ARGS_SIGNATURE", "of other arguments"),
                ("ENV_INJECTOR_ARGS_KEY", "no key"),
            ];
            let ended = run(
                &[&variables[..], &signed].concat(),
                &["sh", "-c", "echo \"$1\"; env", "sh", "a b"],
            )
            .await;
            assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""), "{skip:?}");
            assert!(
                ended.out.starts_with("a b\n") && !ended.out.contains("ENV_INJECTOR"),
                "{skip:?}: {}",
                ended.out
            );
        }
    }
}
