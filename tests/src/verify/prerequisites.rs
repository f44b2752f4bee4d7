//! The programs that the tests use and that nobody can build for them.

use std::process::Command;

/// A program, how to ask for its version, and where it comes from.
struct Prerequisite {
    program: &'static str,
    version: &'static str,
    purpose: &'static str,
    install: &'static str,
}

const PREREQUISITES: &[Prerequisite] = &[
    Prerequisite {
        program: "go",
        version: "version",
        purpose: "builds the Kubernetes programs, Helm and the health check of Flux",
        install: "https://go.dev/dl/, 1.26 or later",
    },
    Prerequisite {
        program: "python3",
        version: "--version",
        purpose: "runs Microsoft's SDK for Python against the emulator",
        install: "apt-get install python3 python3-venv, or https://www.python.org/downloads/",
    },
    Prerequisite {
        program: "node",
        version: "--version",
        purpose: "runs Microsoft's SDK for JavaScript against the emulator",
        install: "apt-get install nodejs npm, or https://nodejs.org/, 20 or later",
    },
    Prerequisite {
        program: "npm",
        version: "--version",
        purpose: "fetches that SDK",
        install: "apt-get install npm; it comes with https://nodejs.org/ too",
    },
    Prerequisite {
        program: "openssl",
        version: "version",
        purpose: "makes and reads the certificates that tests compare with ours",
        install: "apt-get install openssl",
    },
    Prerequisite {
        program: "prometheus",
        version: "--version",
        purpose: "reads the programs' metrics",
        install: "apt-get install prometheus",
    },
    Prerequisite {
        program: "promtool",
        version: "--version",
        purpose: "checks alerts and their tests",
        install: "apt-get install prometheus",
    },
    Prerequisite {
        program: "cargo-fuzz",
        version: "--version",
        purpose: "feeds the parsers",
        install: "cargo install cargo-fuzz --locked",
    },
    // A machine of arm64 has both by itself.
    #[cfg(target_arch = "x86_64")]
    Prerequisite {
        program: "aarch64-linux-gnu-gcc",
        version: "--version",
        purpose: "compiles the C of programs for arm64",
        install: "apt-get install gcc-aarch64-linux-gnu libc6-dev-arm64-cross",
    },
    #[cfg(target_arch = "x86_64")]
    Prerequisite {
        program: "qemu-aarch64",
        version: "--version",
        purpose: "runs programs for arm64",
        install: "apt-get install qemu-user",
    },
];

/// Programs that are absent, with what they are for and how to install them.
#[derive(Debug, thiserror::Error)]
#[error("missing:\n  {}", .0.join("\n  "))]
pub struct Missing(Vec<String>);

/// Asks every program for its version and gives the answers, or all that are absent at once.
pub(super) fn check() -> Result<Vec<String>, Missing> {
    check_all(PREREQUISITES)
}

fn check_all(prerequisites: &[Prerequisite]) -> Result<Vec<String>, Missing> {
    let (mut found, mut missing) = (Vec::new(), Vec::new());
    for Prerequisite {
        program,
        version,
        purpose,
        install,
    } in prerequisites
    {
        match Command::new(program).arg(version).output() {
            Ok(output) if output.status.success() => {
                let answer = String::from_utf8_lossy(&output.stdout);
                found.push(format!("{program}: {}", answer.lines().next().unwrap_or_default()));
            }
            _ => missing.push(format!("{program} ({purpose}); to install: {install}")),
        }
    }
    if missing.is_empty() {
        Ok(found)
    } else {
        Err(Missing(missing))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_is_absent_is_named_at_once_with_the_way_to_get_it() {
        let absent = |program| Prerequisite {
            program,
            version: "",
            purpose: "does a thing",
            install: "get it",
        };
        let present = Prerequisite {
            program: "rustc",
            version: "--version",
            purpose: "compiles",
            install: "",
        };
        let error = check_all(&[absent("no-such-program"), present, absent("nor-this")]).expect_err("two are absent");
        assert_eq!(
            error.to_string(),
            "missing:\n  no-such-program (does a thing); to install: get it\n  nor-this (does a thing); to install: get it"
        );
    }

    #[test]
    fn what_is_present_is_reported_with_its_version() {
        let present = Prerequisite {
            program: "rustc",
            version: "--version",
            purpose: "compiles",
            install: "",
        };
        let found = check_all(&[present]).expect("rustc built this test");
        assert!(found[0].starts_with("rustc: rustc 1."), "{found:?}");
    }
}
