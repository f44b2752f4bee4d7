//! `cargo testbed static`: the programs as users get them, in `target/static/ARCHITECTURE`.
//!
//! A static program needs no file of the image it runs in. Whether it is one is read from its ELF headers ([`elf`]).

mod elf;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context, bail, ensure};

use crate::stack::build_program;

/// Package and binary.
type Program = (&'static str, &'static str);

/// What starts users' programs.
pub const WRAPPER: Program = ("akv2k8s-exec", "azure-keyvault-env");

/// What runs in pods of its own, or on people's machines.
const PROGRAMS: &[Program] = &[
    ("akv2k8s-envinjector", "akv2k8s-envinjector"),
    ("akv2k8s-controller", "akv2k8s-controller"),
    ("akv2k8s-cli", "kubectl-akv2k8s"),
];

/// The wrapper is copied into every container that has a reference: 4 MiB.
pub const WRAPPER_LIMIT: usize = 4 * 1024 * 1024;

/// What to build.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// The wrapper alone
    #[arg(long)]
    wrapper: bool,
}

/// What programs are built for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Architecture {
    /// In images: `amd64`.
    X86_64,
    /// In images: `arm64`.
    Aarch64,
}

impl Architecture {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::X86_64, Self::Aarch64];

    /// That of this machine.
    pub fn here() -> Self {
        if cfg!(target_arch = "aarch64") {
            Self::Aarch64
        } else {
            Self::X86_64
        }
    }

    /// Rust's word for it, as in `std::env::consts::ARCH`.
    pub fn name(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Aarch64 => "aarch64",
        }
    }

    /// Debian's name of its C compiler, on whatever machine.
    fn compiler(self) -> String {
        format!("{}-linux-gnu-gcc", self.name())
    }

    /// How the compiler comes to a machine.
    fn compiler_package(self) -> &'static str {
        match self {
            Self::X86_64 => "gcc-x86-64-linux-gnu libc6-dev-amd64-cross",
            Self::Aarch64 => "gcc-aarch64-linux-gnu libc6-dev-arm64-cross",
        }
    }
}

/// Builds what is asked for, for every architecture, and prints the size of each program.
pub fn build(options: &Options, out: &mut dyn Write) -> anyhow::Result<()> {
    for architecture in Architecture::ALL {
        let path = wrapper(architecture)?;
        tell(out, &path)?;
        for program in PROGRAMS.iter().filter(|_| !options.wrapper) {
            let path = install(&build_for_pods(architecture, *program)?, architecture)?;
            tell(out, &path)?;
        }
    }
    Ok(())
}

fn tell(out: &mut dyn Write, path: &Path) -> anyhow::Result<()> {
    let bytes = path.metadata()?.len();
    writeln!(out, "{}: {bytes} bytes, {} KiB", path.display(), bytes.div_ceil(1024))?;
    Ok(())
}

/// The path of the wrapper as users get it, built when it is not up to date.
///
/// # Errors
/// Something that builds it is absent (the error says how to install it), it needs files of the system, or it is larger than
/// [`WRAPPER_LIMIT`].
pub fn wrapper(architecture: Architecture) -> anyhow::Result<PathBuf> {
    static BUILT: [OnceLock<Result<PathBuf, String>>; 2] = [OnceLock::new(), OnceLock::new()];
    // Tests ask for it side by side.
    let built =
        BUILT[architecture as usize].get_or_init(|| build_wrapper(architecture).map_err(|it| format!("{it:#}")));
    built.clone().map_err(anyhow::Error::msg)
}

fn build_wrapper(architecture: Architecture) -> anyhow::Result<PathBuf> {
    let target = format!("{}-unknown-linux-musl", architecture.name());
    check_prerequisites(architecture, &target)?;
    let built = build_program(&["wrapper", "--target", &target], WRAPPER).map_err(anyhow::Error::msg)?;
    let size = usize::try_from(built.metadata()?.len())?;
    ensure!(
        size <= WRAPPER_LIMIT,
        "{} has {size} bytes, {} more than its limit of {WRAPPER_LIMIT}",
        built.display(),
        size - WRAPPER_LIMIT
    );
    install(&built, architecture)
}

/// The path of the test bed's guest, built as the wrapper is: most of what it takes is compiled already.
///
/// # Errors
/// Something that builds it is absent.
pub fn guest() -> anyhow::Result<PathBuf> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let built = BUILT.get_or_init(|| build_guest().map_err(|it| format!("{it:#}")));
    built.clone().map_err(anyhow::Error::msg)
}

fn build_guest() -> anyhow::Result<PathBuf> {
    let architecture = Architecture::here();
    let target = format!("{}-unknown-linux-musl", architecture.name());
    check_prerequisites(architecture, &target)?;
    let command = ["build", "--profile=wrapper", "--target", &target];
    build_program(&command, ("akv2k8s-guest", "guest")).map_err(anyhow::Error::msg)
}

/// With glibc, linked statically; cargo's alias `static` does the same for this machine only.
fn build_for_pods(architecture: Architecture, program: Program) -> anyhow::Result<PathBuf> {
    let target = format!("{}-unknown-linux-gnu", architecture.name());
    check_prerequisites(architecture, &target)?;
    let flags = format!("target.{target}.rustflags = ['-Ctarget-feature=+crt-static']");
    let linker = format!("target.{target}.linker = '{}'", architecture.compiler());
    let command = [
        "build",
        "--release",
        "--target",
        &target,
        "--config",
        &flags,
        "--config",
        &linker,
    ];
    build_program(&command, program).map_err(anyhow::Error::msg)
}

/// Copies a program to where users find it, once it is known to be static.
fn install(built: &Path, architecture: Architecture) -> anyhow::Result<PathBuf> {
    let bytes = std::fs::read(built).with_context(|| built.display().to_string())?;
    ensure!(
        elf::is_static(&bytes)?,
        "{} needs files of the system it runs on",
        built.display()
    );
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let folder = workspace.join("target/static").join(architecture.name());
    std::fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    let to = folder.join(built.file_name().context("a program has a name")?);
    // In one step: a running program cannot be overwritten.
    let partial = to.with_extension("partial");
    std::fs::copy(built, &partial)
        .and_then(|_| std::fs::rename(&partial, &to))
        .with_context(|| to.display().to_string())?;
    Ok(to)
}

/// Rust's libraries for the target, and a C compiler for ring.
fn check_prerequisites(architecture: Architecture, target: &str) -> anyhow::Result<()> {
    let libraries = output("rustc", &["--print", "target-libdir", "--target", target]);
    if !libraries.is_some_and(|folder| Path::new(folder.trim()).is_dir()) {
        bail!("Rust cannot build for {target} here; to install: rustup target add {target}");
    }
    let compiler = architecture.compiler();
    ensure!(
        output(&compiler, &["--version"]).is_some(),
        "missing: {compiler} (compiles the C code of ring); to install: apt-get install {}",
        architecture.compiler_package()
    );
    Ok(())
}

fn output(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named_with_the_command_that_installs_it() {
        let error = check_prerequisites(Architecture::Aarch64, "aarch64-no-such-system").unwrap_err();
        assert!(
            error.to_string().ends_with("rustup target add aarch64-no-such-system"),
            "{error}"
        );
    }
}
