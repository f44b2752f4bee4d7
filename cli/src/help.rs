//! `completion` and `man`: made from the command line's own description.

use std::path::Path;

use akv2k8s_shared::secret::SecretBytes;
use anyhow::Context;
use clap::CommandFactory;
use clap_complete::Shell;

use crate::args::Args;

/// The program's name.
const NAME: &str = "kubectl-akv2k8s";

/// The script by which `shell` completes the program's command line.
pub(crate) fn completion(shell: Shell) -> SecretBytes {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), NAME, &mut script);
    SecretBytes::new(script)
}

/// Writes a page for each command into `folder`, which is made when it is not there.
///
/// # Errors
/// The folder cannot be written to.
pub(crate) fn man(folder: &Path) -> anyhow::Result<()> {
    let shown = folder.display();
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make {shown}"))?;
    clap_mangen::generate_to(Args::command(), folder).with_context(|| format!("cannot write to {shown}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shell_gets_a_script_that_knows_the_commands() {
        for shell in [Shell::Bash, Shell::Elvish, Shell::Fish, Shell::PowerShell, Shell::Zsh] {
            let script = completion(shell);
            let text = script.expose_str().unwrap();
            for command in Args::command().get_subcommands() {
                assert!(text.contains(command.get_name()), "{shell}: {}", command.get_name());
            }
        }
    }

    #[test]
    fn every_command_gets_a_page() {
        let folder = tempfile::tempdir().unwrap();
        man(&folder.path().join("man1")).unwrap();
        for command in Args::command().get_subcommands() {
            let page = folder
                .path()
                .join(format!("man1/kubectl-akv2k8s-{}.1", command.get_name()));
            let text = std::fs::read_to_string(&page).unwrap_or_else(|error| panic!("{}: {error}", page.display()));
            assert!(text.contains(".SH NAME"), "{text}");
        }
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert!(man(&file).unwrap_err().to_string().contains("cannot make"));
    }
}
