//! `cargo testbed static`: the programs as users get them, in `target/static/amd64` and `target/static/arm64`.
//!
//! A static program needs no file of the image it runs in. Whether it is one is read from its ELF headers ([`elf`]).

mod elf;
mod elsewhere;

use std::collections::HashMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, OnceLock, PoisonError};

use anyhow::{Context, bail, ensure};

pub use self::elsewhere::Elsewhere;
use crate::stack::build_in;

/// Package and binary.
pub type Program = (&'static str, &'static str);

/// What starts users' programs.
pub const WRAPPER: Program = ("akv2k8s-exec", "azure-keyvault-env");
/// Webhook and broker.
pub const INJECTOR: Program = ("akv2k8s-envinjector", "akv2k8s-envinjector");
/// The controller.
pub const CONTROLLER: Program = ("akv2k8s-controller", "akv2k8s-controller");
/// kubectl's plugin.
pub const CLI: Program = ("akv2k8s-cli", "kubectl-akv2k8s");

/// What the test bed starts in containers.
const GUEST: Program = ("akv2k8s-guest", "guest");
/// What cargo's alias `static`, which is for this machine only, asks for on any.
const STATIC: &str = "--config=target.'cfg(target_os = \"linux\")'.rustflags = ['-Ctarget-feature=+crt-static']";

/// All there is for users.
const PROGRAMS: [Program; 4] = [WRAPPER, INJECTOR, CONTROLLER, CLI];

/// The wrapper is copied into every container that has a reference: 4 MiB.
pub const WRAPPER_LIMIT: usize = 4 * 1024 * 1024;

/// What to build.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// The wrapper alone
    #[arg(long)]
    wrapper: bool,
    /// Only what tests start, for the architectures they start it on
    #[arg(long, conflicts_with = "wrapper")]
    tested: bool,
}

impl Options {
    fn include(&self, architecture: Architecture, program: Program) -> bool {
        let is_tested = architecture == Architecture::here() && program != CLI;
        program == WRAPPER || !self.wrapper && (is_tested || !self.tested)
    }
}

/// What programs are built for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
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

    /// That of images and of Go: `amd64`, `arm64`.
    pub fn of_images(self) -> &'static str {
        match self {
            Self::X86_64 => "amd64",
            Self::Aarch64 => "arm64",
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
        for program in PROGRAMS.into_iter().filter(|it| options.include(architecture, *it)) {
            tell(out, &self::program(architecture, program)?)?;
        }
    }
    if options.tested {
        tell(out, &guest()?)?;
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
/// As [`program`], or it is larger than [`WRAPPER_LIMIT`].
pub fn wrapper(architecture: Architecture) -> anyhow::Result<PathBuf> {
    program(architecture, WRAPPER)
}

/// The path of a program as users get it, built when it is not up to date.
///
/// # Errors
/// Something that builds it is absent (the error says how to install it), or it needs files of the system.
pub fn program(architecture: Architecture, program: Program) -> anyhow::Result<PathBuf> {
    type Built = HashMap<(Architecture, Program), Result<PathBuf, String>>;
    static BUILT: Mutex<Option<Built>> = Mutex::new(None);
    // Tests ask for it side by side.
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    let built = built.get_or_insert_default().entry((architecture, program));
    let built = built.or_insert_with(|| build_and_install(architecture, program).map_err(|it| format!("{it:#}")));
    built.clone().map_err(anyhow::Error::msg)
}

fn build_and_install(architecture: Architecture, program: Program) -> anyhow::Result<PathBuf> {
    let built = build_from(&workspace(), architecture, program)?;
    if program == WRAPPER {
        let size = usize::try_from(built.metadata()?.len())?;
        ensure!(
            size <= WRAPPER_LIMIT,
            "{} has {size} bytes, {} more than its limit of {WRAPPER_LIMIT}",
            built.display(),
            size - WRAPPER_LIMIT
        );
    }
    install(&built, architecture)
}

/// Builds a program from the work tree in `folder`, and says where cargo left it. The same source gives the same bytes, wherever it is: the
/// folders of this machine are in none of them.
///
/// # Errors
/// As [`program`].
pub fn build_from(folder: &Path, architecture: Architecture, program: Program) -> anyhow::Result<PathBuf> {
    let target = target(architecture, program);
    check_prerequisites(architecture, &target)?;
    let flags = format!(
        "--config=target.{target}.rustflags = ['--remap-path-prefix={}=/cargo']",
        cargo_home()?
    );
    let target = format!("--target={target}");
    if program == WRAPPER || program == GUEST {
        return build_in(folder, &["build", "--profile=wrapper", &target, &flags], program);
    }
    let beside = beside(program).map(|it| ["--package", it.0, "--bin", it.1]);
    let beside = beside.as_ref().map_or(&[][..], |it| it);
    if architecture == Architecture::here() {
        return build_in(folder, &[&["static", &flags], beside].concat(), program);
    }
    let linker = format!(
        "--config={}.linker = '{}'",
        target.replacen("--target=", "target.", 1),
        architecture.compiler()
    );
    let line = ["build", "--release", &target, STATIC, &flags, &linker];
    build_in(folder, &[&line, beside].concat(), program)
}

/// What is always built along: cargo gives both the same features of the crates that both use, and so compiles those once. What a program
/// consists of must not depend on which of the two was asked for.
pub(crate) fn beside(program: Program) -> Option<Program> {
    match program {
        CONTROLLER => Some(INJECTOR),
        INJECTOR => Some(CONTROLLER),
        _ => None,
    }
}

/// Where cargo unpacks the crates: the paths of their sources are in what it compiles.
fn cargo_home() -> anyhow::Result<String> {
    if let Ok(folder) = std::env::var("CARGO_HOME") {
        return Ok(folder);
    }
    let home = std::env::var("HOME").context("neither CARGO_HOME nor HOME is set")?;
    Ok(format!("{home}/.cargo"))
}

/// What Rust calls what a program is built for: the wrapper with musl, all else with glibc.
pub fn target(architecture: Architecture, program: Program) -> String {
    let system = if program == WRAPPER || program == GUEST {
        "musl"
    } else {
        "gnu"
    };
    format!("{}-unknown-linux-{system}", architecture.name())
}

/// The path of the test bed's guest, built as the wrapper is: most of what it takes is compiled already.
///
/// # Errors
/// Something that builds it is absent.
pub fn guest() -> anyhow::Result<PathBuf> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let built = || build_from(&workspace(), Architecture::here(), GUEST).map_err(|it| format!("{it:#}"));
    let built = BUILT.get_or_init(built);
    built.clone().map_err(anyhow::Error::msg)
}

/// Copies a program to where users find it, once it is known to be static.
fn install(built: &Path, architecture: Architecture) -> anyhow::Result<PathBuf> {
    let bytes = std::fs::read(built).with_context(|| built.display().to_string())?;
    ensure!(
        elf::is_static(&bytes)?,
        "{} needs files of the system it runs on",
        built.display()
    );
    let folder = workspace().join("target/static").join(architecture.of_images());
    std::fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    let to = folder.join(built.file_name().context("a program has a name")?);
    // In one step: a running program cannot be overwritten, and another process may be at the same.
    let partial = to.with_extension(format!("partial-{}", std::process::id()));
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

/// Where this work tree is.
pub(crate) fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
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
