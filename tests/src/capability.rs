//! What a test needs of the machine and may not find: most often root.

use std::env;
use std::process::Command;

/// A mount namespace, and something mounted in it.
pub const OWN_MOUNTS: &[&str] = &["unshare", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt"];
/// Another root directory.
pub const OWN_ROOT: &[&str] = &["/usr/sbin/chroot", "--userspec=54321:54321", "/", "true"];
/// A look into the memory of a process that is not to be dumped: `CAP_SYS_PTRACE`, number 19 of capabilities(7).
pub const FOREIGN_MEMORY: &[&str] = &[
    "sh",
    "-c",
    r"test $((0x$(sed -n 's/^CapEff:\s*//p' /proc/self/status) >> 19 & 1)) = 1",
];

/// Whether `command`, which does something harmless of that kind, succeeds here. Where it does not, says that a test is not run, and why;
/// where the variable `CI` is set, that is a failure.
///
/// # Panics
/// In CI.
pub fn has(command: &[&str]) -> bool {
    let tried = Command::new(command[0]).args(&command[1..]).output();
    let why = match tried {
        Ok(output) if output.status.success() => return true,
        Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        Err(error) => format!("{error}; to install: apt-get install coreutils util-linux mount"),
    };
    let why = format!(
        "`{}` fails here: {why}; run the tests as root, in a container with CAP_SYS_ADMIN and CAP_SYS_PTRACE",
        command.join(" ")
    );
    assert!(env::var_os("CI").is_none_or(|it| it.is_empty()), "{why}");
    println!("NOT RUN 1: {why}");
    false
}
