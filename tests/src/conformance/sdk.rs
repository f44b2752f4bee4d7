//! Microsoft's SDKs: installed once into the cache, and the lists run with them.

use std::env;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Instant;

use anyhow::{Context, bail};
use clap::ValueEnum;
use sha2::{Digest, Sha256};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

/// The lists, and what pins the SDKs.
const SOURCES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/conformance");
/// Written when an installation is complete.
const COMPLETE: &str = ".complete";

/// A language that Microsoft has an SDK for and the list is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Language {
    /// Packages `azure-identity` and `azure-keyvault-{secrets,keys,certificates}`.
    Python,
    /// Packages `@azure/identity` and `@azure/keyvault-{secrets,keys,certificates}`.
    #[value(name = "javascript")]
    JavaScript,
}

impl Language {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Python, Self::JavaScript];

    /// As the lists' closing lines have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Python => "python",
            Self::JavaScript => "javascript",
        }
    }

    fn interpreter(self) -> &'static str {
        match self {
            Self::Python => "python3",
            Self::JavaScript => "node",
        }
    }

    /// How to get what is missing.
    fn how_to_install(self) -> &'static str {
        match self {
            Self::Python => "install Python 3.10 or later with venv (Debian: apt-get install python3 python3-venv)",
            Self::JavaScript => "install Node.js 20 or later with npm (https://nodejs.org/)",
        }
    }

    fn sources(self) -> PathBuf {
        Path::new(SOURCES).join(match self {
            Self::Python => "python",
            Self::JavaScript => "node",
        })
    }

    /// The file that pins every package with its checksum.
    fn pins(self) -> PathBuf {
        self.sources().join(match self {
            Self::Python => "requirements.txt",
            Self::JavaScript => "package-lock.json",
        })
    }
}

/// A program that each language has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// `run TARGET`: the list of checks.
    Checks,
    /// `vectors TARGET OUT`: makes test vectors.
    Vectors,
}

impl Program {
    /// The file, without the language's extension.
    fn name(self) -> &'static str {
        match self {
            Self::Checks => "run",
            Self::Vectors => "vectors",
        }
    }
}

/// An SDK that is installed.
pub struct Installation {
    language: Language,
    folder: PathBuf,
}

/// How a list ended.
pub struct Outcome {
    /// The last line of what it printed, such as `python: 80 passed, 0 failed`.
    pub closing_line: String,
    /// Whether every check passed.
    pub passed: bool,
}

impl Installation {
    /// Installs the pinned packages of `language` below `cache`, unless they are there. What a broken installation left
    /// is replaced.
    pub async fn prepare(language: Language, cache: &Path) -> anyhow::Result<Self> {
        let version = version_of(language).await?;
        let pins = fs::read(language.pins()).with_context(|| format!("read {}", language.pins().display()))?;
        let key = short_digest(&[version.as_bytes(), &pins]);
        let folder = cache.join(format!("sdk-{}-{key}", language.name()));
        let installation = Self { language, folder };
        let folder = &installation.folder;
        if folder.join(COMPLETE).is_file() {
            println!("conformance: the {} SDK is in {}", language.name(), folder.display());
            return Ok(installation);
        }
        println!(
            "conformance: installing the {} SDK into {} (once)",
            language.name(),
            folder.display()
        );
        let start = Instant::now();
        if folder.exists() {
            fs::remove_dir_all(folder).with_context(|| format!("remove {}", folder.display()))?;
        }
        fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
        match language {
            Language::Python => installation.install_python().await?,
            Language::JavaScript => installation.install_javascript().await?,
        }
        fs::write(folder.join(COMPLETE), "").context("mark the installation as complete")?;
        println!("conformance: installed in {:.0} s", start.elapsed().as_secs_f32());
        Ok(installation)
    }

    /// What it is for.
    pub fn language(&self) -> Language {
        self.language
    }

    async fn install_python(&self) -> anyhow::Result<()> {
        let mut venv = Command::new("python3");
        venv.args(["-m", "venv"]).arg(&self.folder);
        succeed(&mut venv)
            .await
            .with_context(|| self.language.how_to_install())?;
        let mut pip = Command::new(self.folder.join("bin/python"));
        pip.args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--require-hashes",
            "-r",
        ])
        .arg(self.language.pins());
        succeed(&mut pip)
            .await
            .context("packages from PyPI (is pypi.org, or the mirror pip is configured for, in reach?)")
    }

    async fn install_javascript(&self) -> anyhow::Result<()> {
        for file in ["package.json", "package-lock.json"] {
            fs::copy(self.language.sources().join(file), self.folder.join(file))
                .with_context(|| format!("copy {file}"))?;
        }
        let mut npm = Command::new("npm");
        npm.args(["ci", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"])
            .current_dir(&self.folder);
        succeed(&mut npm)
            .await
            .context("packages from npm (is registry.npmjs.org, or the configured mirror, in reach?)")
    }

    /// Runs a program of the list's folder with these files as arguments, printing its lines as they come.
    /// `ca` is what the emulator's certificate is signed by; without it the target is Azure, reached with the caller's own environment.
    pub async fn run(&self, program: Program, arguments: &[&Path], ca: Option<&Path>) -> anyhow::Result<Outcome> {
        // Module resolution of Node starts at the importing file: its list is laid beside the packages for the run.
        let stage = tempfile::tempdir().context("create a temporary folder")?;
        let mut command = match self.language {
            Language::Python => self.python_command(program),
            Language::JavaScript => self.javascript_command(program, stage.path())?,
        };
        command.args(arguments);
        if let Some(ca) = ca {
            isolate(&mut command);
            command.env("REQUESTS_CA_BUNDLE", ca).env("NODE_EXTRA_CA_CERTS", ca);
        }
        let (status, last) = print_lines(command).await?;
        let closing_line = if last.starts_with(self.language.name()) {
            last
        } else {
            format!("{}: ended without a closing line ({status})", self.language.name())
        };
        Ok(Outcome {
            closing_line,
            passed: status.success(),
        })
    }

    fn python_command(&self, program: Program) -> Command {
        let mut command = Command::new(self.folder.join("bin/python"));
        command
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .arg(self.language.sources().join(format!("{}.py", program.name())));
        command
    }

    fn javascript_command(&self, program: Program, stage: &Path) -> anyhow::Result<Command> {
        let node = stage.join("node");
        copy_folder(&self.language.sources(), &node)?;
        fs::copy(Path::new(SOURCES).join("checks.json"), stage.join("checks.json")).context("copy checks.json")?;
        let modules = self.folder.join("node_modules");
        std::os::unix::fs::symlink(modules, node.join("node_modules")).context("link node_modules")?;
        let mut command = Command::new("node");
        command
            .args(["--no-deprecation", "--require"])
            .arg(node.join("resolve.cjs"))
            .arg(node.join(format!("{}.js", program.name())));
        Ok(command)
    }
}

/// Takes away what in the caller's environment would lead the SDKs elsewhere than to the emulator.
fn isolate(command: &mut Command) {
    const PREFIXES: [&str; 4] = ["AZURE_", "IDENTITY_", "MSI_", "IMDS_"];
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy().to_ascii_uppercase();
        if PREFIXES.iter().any(|prefix| text.starts_with(prefix)) || text.ends_with("_PROXY") {
            command.env_remove(&name);
        }
    }
}

/// Prints what the command writes to its standard output, line by line; gives how it ended and the last line.
async fn print_lines(mut command: Command) -> anyhow::Result<(ExitStatus, String)> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("start {}", command.as_std().get_program().display()))?;
    let output = child.stdout.take().context("the child has no standard output")?;
    let mut lines = BufReader::new(output).lines();
    let mut last = String::new();
    while let Some(line) = lines.next_line().await.context("read from the child")? {
        println!("{line}");
        last = line;
    }
    Ok((child.wait().await.context("wait for the child")?, last))
}

/// Runs a command to its end; when it fails, the error has what it wrote.
async fn succeed(command: &mut Command) -> anyhow::Result<()> {
    let name = command.as_std().get_program().to_os_string();
    let output = command
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .with_context(|| format!("start {}", Path::new(&name).display()))?;
    if output.status.success() {
        return Ok(());
    }
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    bail!(
        "{:?}: {}\n{}{}",
        command.as_std(),
        output.status,
        text(&output.stdout),
        text(&output.stderr)
    )
}

/// What the interpreter says its version is.
async fn version_of(language: Language) -> anyhow::Result<String> {
    let mut command = Command::new(language.interpreter());
    command.arg("--version").stdin(Stdio::null()).kill_on_drop(true);
    let output = command.output().await.with_context(|| {
        format!(
            "{} is not in PATH: {}",
            language.interpreter(),
            language.how_to_install()
        )
    })?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Twelve hex digits that change when any part does.
fn short_digest(parts: &[&[u8]]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.len().to_le_bytes());
        hash.update(part);
    }
    hash.finalize().iter().take(6).fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Copies a folder with everything below it, except packages that somebody installed by hand.
fn copy_folder(from: &Path, to: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(to).with_context(|| format!("create {}", to.display()))?;
    for entry in fs::read_dir(from).with_context(|| format!("read {}", from.display()))? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_name() == OsStr::new("node_modules") {
            continue;
        }
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), &target).with_context(|| format!("copy {}", entry.path().display()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_interpreter_or_another_pin_is_another_installation() {
        let digest = short_digest(&[b"Python 3.11.7", b"azure-identity==1"]);
        assert_eq!(digest.len(), 12);
        assert_eq!(digest, short_digest(&[b"Python 3.11.7", b"azure-identity==1"]));
        assert_ne!(digest, short_digest(&[b"Python 3.12.0", b"azure-identity==1"]));
        assert_ne!(digest, short_digest(&[b"Python 3.11.7", b"azure-identity==2"]));
        assert_ne!(digest, short_digest(&[b"Python 3.11.7azure", b"-identity==1"]));
    }

    #[tokio::test]
    async fn a_failing_command_is_reported_with_what_it_wrote() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo out; echo err >&2; exit 3"]);
        let message = format!("{:#}", succeed(&mut command).await.unwrap_err());
        for part in ["exit status: 3", "out\n", "err\n"] {
            assert!(message.contains(part), "{part:?} is not in: {message}");
        }
    }

    #[tokio::test]
    async fn the_last_line_and_the_exit_status_are_kept() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo ok a; echo 'python: 1 passed, 1 failed'; exit 1"]);
        let (status, last) = print_lines(command).await.unwrap();
        assert_eq!((status.code(), last.as_str()), (Some(1), "python: 1 passed, 1 failed"));
    }
}
