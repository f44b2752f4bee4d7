//! The source of this work tree in another folder: whoever builds it there has to get the same bytes.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, ensure};
use tempfile::TempDir;

use super::{Architecture, Program, build_from, program, workspace};

/// A copy of the source, in a folder that this work tree knows nothing of. What is built there goes with it.
pub struct Elsewhere(TempDir);

impl Elsewhere {
    /// Copies all files that git knows of or would add, as they are now.
    ///
    /// # Errors
    /// git is not there, or files cannot be copied.
    pub fn new() -> anyhow::Result<Self> {
        let folder = TempDir::with_prefix("another-folder-of-a-longer-name-")?;
        copy(folder.path())?;
        Ok(Self(folder))
    }

    /// The bytes of a program, if they are the same here and there.
    ///
    /// # Errors
    /// As [`program`], or they differ.
    pub fn same(&self, architecture: Architecture, what: Program) -> anyhow::Result<Vec<u8>> {
        let there = fs::read(build_from(self.0.path(), architecture, what)?)?;
        let here = fs::read(program(architecture, what)?)?;
        ensure!(
            here == there,
            "{} for {} has {} bytes here and {} in {}, and they differ",
            what.1,
            architecture.of_images(),
            here.len(),
            there.len(),
            self.0.path().display()
        );
        Ok(here)
    }
}

fn copy(to: &Path) -> anyhow::Result<()> {
    let root = workspace();
    let mut git = Command::new("git");
    git.arg("-C").arg(&root);
    let files = git.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
    let files = files
        .output()
        .context("missing: git; to install: apt-get install git")?;
    ensure!(
        files.status.success(),
        "git: {}",
        String::from_utf8_lossy(&files.stderr)
    );
    for file in String::from_utf8(files.stdout)?.split_terminator('\0') {
        // What was removed and is not committed yet is listed.
        let Ok(content) = fs::read(root.join(file)) else {
            continue;
        };
        let to = to.join(file);
        fs::create_dir_all(to.parent().context("a file is in a folder")?)?;
        fs::write(&to, content).with_context(|| to.display().to_string())?;
    }
    Ok(())
}
