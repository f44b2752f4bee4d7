//! The wrapper for arm64, under an emulator of that processor.
//!
//! The programs that it starts are this machine's: `execve` is the kernel's, which knows nothing of the emulation.

use std::process::Stdio;

use akv2k8s_testbed::emulator::SecretOptions;
use akv2k8s_testbed::statics::{self, Architecture};
use tokio::process::Command;

use crate::bed::{Ended, end, value};
use crate::vault::Bed;

/// Runs the wrapper for arm64 to its end.
async fn run(variables: &[(&str, &str)], arguments: &[&str]) -> Ended {
    let program = tokio::task::spawn_blocking(|| statics::wrapper(Architecture::Aarch64))
        .await
        .unwrap();
    let mut command = match Architecture::here() {
        Architecture::Aarch64 => Command::new(program.unwrap()),
        Architecture::X86_64 => {
            let mut command = Command::new("qemu-aarch64");
            command.arg(program.unwrap());
            command
        }
    };
    command.args(arguments).env_clear().envs(variables.iter().copied());
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    end(command
        .spawn()
        .expect("qemu-aarch64 is there; install it: apt-get install qemu-user"))
    .await
}

#[tokio::test]
async fn it_starts_programs_with_their_exit_codes() {
    let path = [("PATH", "/usr/bin:/bin"), ("A", "1")];
    let ended = run(&path, &["--version"]).await;
    assert!(
        ended.code == Some(0) && ended.out.starts_with("azure-keyvault-env "),
        "{}",
        ended.err
    );
    let ended = run(&path, &["env"]).await;
    assert_eq!((ended.code, value(&ended, "A")), (Some(0), Some("1")), "{}", ended.err);
    for (arguments, code) in [
        (&["sh", "-c", "exit 42"][..], 42),
        (&["no-such-program"], 127),
        (&["/etc/passwd"], 126),
        (&[], 1),
    ] {
        let ended = run(&path, arguments).await;
        assert_eq!(ended.code, Some(code), "{arguments:?}: {}", ended.err);
    }
}

#[tokio::test]
async fn it_reads_a_vault() {
    let bed = Bed::start().await;
    bed.vault.set_secret("db", "s3cret", SecretOptions::default()).unwrap();
    let application = bed.application();
    let own = application.iter().map(|(name, value)| (*name, value.as_str()));
    let variables: Vec<_> = own
        .chain([
            ("AZURE_CLIENT_SECRET", bed.secret.as_str()),
            ("DB", "azurekeyvault://kv1/secrets/db"),
        ])
        .collect();
    let ended = run(&variables, &["env"]).await;
    assert_eq!(
        (ended.code, value(&ended, "DB")),
        (Some(0), Some("s3cret")),
        "{}",
        ended.err
    );
}
