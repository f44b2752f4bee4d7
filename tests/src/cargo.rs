//! Running cargo from a program that cargo runs.

use std::env;
use std::ffi::OsString;
use std::process::Command;

/// The cargo that runs us, in a clean environment. `cargo run` describes its package to us in variables which our child must
/// not inherit: the build script of ring watches them, so ring and all that stands on it would be compiled again.
pub fn command() -> Command {
    clean(Command::new(program()))
}

/// The same, which gives way to others.
pub fn nice_command() -> Command {
    let mut command = Command::new("nice");
    command.arg("-n10").arg(program());
    clean(command)
}

fn program() -> OsString {
    env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

fn clean(mut command: Command) -> Command {
    for (name, _) in env::vars_os() {
        if name.to_str().is_some_and(describes_a_package) {
            command.env_remove(name);
        }
    }
    // What `.cargo/config.toml` sets, cargo sets again.
    for set_again in [
        "JEMALLOC_SYS_WITH_MALLOC_CONF",
        "CC_x86_64_unknown_linux_musl",
        "CC_aarch64_unknown_linux_musl",
    ] {
        command.env_remove(set_again);
    }
    command
}

/// Whether `cargo run` sets this variable to something that differs from package to package.
fn describes_a_package(variable: &str) -> bool {
    ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_"]
        .iter()
        .any(|prefix| variable.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_describes_a_package_is_removed_and_what_the_user_set_is_kept() {
        // `cargo test` sets these for us as `cargo run` does.
        assert!(env::var_os("CARGO_PKG_NAME").is_some() && env::var_os("CARGO_MANIFEST_DIR").is_some());
        let command = command();
        let removed: Vec<_> = command
            .get_envs()
            .filter(|(_, value)| value.is_none())
            .map(|(name, _)| name)
            .collect();
        assert!(removed.contains(&"CARGO_PKG_NAME".as_ref()) && removed.contains(&"CARGO_MANIFEST_DIR".as_ref()));
        for kept in ["CARGO_HOME", "CARGO_TARGET_DIR", "CARGO_TERM_COLOR", "CARGO"] {
            assert!(!describes_a_package(kept), "{kept}");
        }
    }
}
