//! Somebody who follows a page command by command, so that a test can look at what came of each.

use std::collections::VecDeque;

use akv2k8s_testbed::shell::Shell;
use anyhow::{Context, ensure};

use super::shell::commands;
use super::{Look, look};

/// What a page has left to run.
pub(crate) struct Reader<'s> {
    page: &'static str,
    shell: &'s Shell,
    left: VecDeque<String>,
}

impl<'s> Reader<'s> {
    /// At the first command of this page.
    pub(crate) fn of(page: &'static str, shell: &'s Shell) -> Self {
        let left = commands().into_iter().filter(|it| it.page == page);
        Self {
            page,
            shell,
            left: left.map(|it| it.command).collect(),
        }
    }

    /// Runs the next command, which begins so and has to end well; gives what it printed.
    pub(crate) async fn runs(&mut self, start: &str) -> anyhow::Result<String> {
        self.ends_with(start, 0).await
    }

    /// The same with an exit code that says something.
    pub(crate) async fn ends_with(&mut self, start: &str, code: i32) -> anyhow::Result<String> {
        let command = self.next(start)?;
        let said = self.shell.run(&command, |ended| ended == code).await;
        said.with_context(|| format!("{}, where {code} was expected", self.page))
    }

    /// Passes over the next command, which begins so and is Azure's: the test does what it would do.
    pub(crate) fn passes_over(&mut self, start: &str) -> anyhow::Result<()> {
        let command = self.next(start)?;
        ensure!(look(&command) == Look::Azure, "{}: {command} can be run", self.page);
        Ok(())
    }

    fn next(&mut self, start: &str) -> anyhow::Result<String> {
        let next = self.left.pop_front();
        let next = next.with_context(|| format!("{} has no command {start} any more", self.page))?;
        ensure!(
            next.starts_with(start),
            "{}: {next}, where {start} was expected",
            self.page
        );
        Ok(next)
    }

    /// The page has no more commands.
    pub(crate) fn ends(self) -> anyhow::Result<()> {
        ensure!(
            self.left.is_empty(),
            "{} goes on, and nobody looks at that: {:?}",
            self.page,
            self.left
        );
        Ok(())
    }
}
