//! Completion by kubectl itself, which asks a program `kubectl_complete-akv2k8s` in the `PATH` how the words behind `kubectl akv2k8s` go on.
//!
//! The answer is that of cobra, by which kubectl reads command lines: a candidate on each line, with a tab and a description behind it, and
//! at the end a colon and what the shell does besides.

use std::ffi::OsString;
use std::path::Path;

use clap::{Arg, Command, CommandFactory, ValueHint};

use crate::args::Args;

/// The name under which kubectl calls the program.
const NAME: &str = "kubectl_complete-akv2k8s";
/// The same as a command, for a script of that name.
const COMMAND: &str = "__complete";

/// What the shell does besides: bits of cobra's `ShellCompDirective`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Besides {
    /// It offers files, where there is no candidate.
    Files = 0,
    /// Nothing.
    Nothing = 4,
}

/// How a line may go on.
#[derive(Debug, PartialEq, Eq)]
struct Offer {
    /// Words, and what they mean.
    candidates: Vec<(String, String)>,
    besides: Besides,
}

/// What to print, when `line`, which begins with the program's own name, asks how a command line goes on.
pub fn answer(line: &[OsString]) -> Option<String> {
    let (program, words) = line.split_first()?;
    let is_called = Path::new(program).file_name().is_some_and(|name| name == NAME);
    let words = match words.split_first() {
        Some((command, words)) if !is_called && command == COMMAND => words,
        _ if is_called => words,
        _ => return None,
    };
    let words: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
    let words: Vec<_> = words.iter().map(|word| &**word).collect();
    let mut root = Args::command();
    root.build();
    Some(offer(&root, &words).text())
}

/// How the last of `words` goes on: it is the one that is being typed, and empty when it is yet to begin.
fn offer(root: &Command, words: &[&str]) -> Offer {
    let (last, before) = words
        .split_last()
        .map_or(("", &[][..]), |(last, before)| (*last, before));
    let place = before.iter().fold(Place::at(root), |place, word| place.after(word));
    if let Some(option) = place.option {
        return Offer::values(option, last);
    }
    if place.is_foreign {
        return Offer::of([], Besides::Files);
    }
    if let Some((name, value)) = last.split_once('=')
        && let Some(option) = option(place.command, name)
    {
        return Offer::values(option, value);
    }
    if last.starts_with('-') {
        return Offer::of(options(place.command), Besides::Nothing).that_begin_with(last);
    }
    place.words().that_begin_with(last)
}

/// Where in a command line a word stands.
struct Place<'c> {
    command: &'c Command,
    /// Arguments of the command before it that are no options.
    arguments: usize,
    /// The option whose value it is.
    option: Option<&'c Arg>,
    /// Whether it belongs to the program that `run` starts.
    is_foreign: bool,
}

impl<'c> Place<'c> {
    fn at(command: &'c Command) -> Self {
        Self {
            command,
            arguments: 0,
            option: None,
            is_foreign: false,
        }
    }

    /// The place behind `word`.
    fn after(mut self, word: &str) -> Self {
        let is_value = self.option.take().is_some();
        if is_value || self.is_foreign {
            self
        } else if word == "--" {
            self.is_foreign = true;
            self
        } else if word.starts_with('-') {
            self.option = option(self.command, word);
            self
        } else if let Some(command) = self.command.find_subcommand(word) {
            Self::at(command)
        } else {
            self.arguments += 1;
            self
        }
    }

    /// Commands, or values of the argument whose turn it is.
    fn words(&self) -> Offer {
        let mut arguments = self.command.get_positionals().filter(|it| !it.is_last_set());
        if let Some(argument) = arguments.nth(self.arguments) {
            return Offer::values(argument, "");
        }
        let commands = self.command.get_subcommands().filter(|it| !it.is_hide_set());
        let commands = commands.map(|it| (it.get_name().to_owned(), it.get_about().map(ToString::to_string)));
        Offer::of(commands.filter(|_| self.arguments == 0), Besides::Nothing)
    }
}

/// The option with a value that `word` names, dashes included.
fn option<'c>(command: &'c Command, word: &str) -> Option<&'c Arg> {
    let mut with_value = command.get_arguments().filter(|it| it.get_action().takes_values());
    with_value.find(|it| names(it).any(|name| name == word))
}

/// The names of all options, and what they are for.
fn options(command: &Command) -> impl Iterator<Item = (String, Option<String>)> {
    let shown = command.get_arguments().filter(|it| !it.is_hide_set());
    shown.flat_map(|it| names(it).map(|name| (name, it.get_help().map(ToString::to_string))))
}

/// The long name of an option, and the short one; none of a positional argument.
fn names(argument: &Arg) -> impl Iterator<Item = String> {
    let long = argument.get_long().map(|long| format!("--{long}"));
    let short = argument.get_short().map(|short| format!("-{short}"));
    long.into_iter().chain(short)
}

impl Offer {
    fn of(candidates: impl IntoIterator<Item = (String, Option<String>)>, besides: Besides) -> Self {
        let candidates = candidates.into_iter().map(|(word, about)| (word, one_line(about)));
        Self {
            candidates: candidates.collect(),
            besides,
        }
    }

    /// What `argument` may be, and begins with `start`.
    fn values(argument: &Arg, start: &str) -> Self {
        let is_path = matches!(
            argument.get_value_hint(),
            ValueHint::AnyPath | ValueHint::FilePath | ValueHint::DirPath
        );
        let besides = if is_path { Besides::Files } else { Besides::Nothing };
        let values = argument
            .get_possible_values()
            .into_iter()
            .filter(|it| !it.is_hide_set());
        let values = values.map(|it| (it.get_name().to_owned(), it.get_help().map(ToString::to_string)));
        Self::of(values, besides).that_begin_with(start)
    }

    fn that_begin_with(mut self, start: &str) -> Self {
        self.candidates.retain(|(word, _)| word.starts_with(start));
        self
    }

    fn text(&self) -> String {
        let line = |(word, about): &(String, String)| match about.as_str() {
            "" => format!("{word}\n"),
            about => format!("{word}\t{about}\n"),
        };
        let lines: String = self.candidates.iter().map(line).collect();
        format!("{lines}:{}\n", self.besides as u8)
    }
}

fn one_line(about: Option<String>) -> String {
    let about = about.unwrap_or_default();
    about.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn built() -> Command {
        let mut root = Args::command();
        root.build();
        root
    }

    fn words(line: &str) -> (Vec<String>, Besides) {
        let words: Vec<_> = line.split(' ').collect();
        let offer = offer(&built(), &words);
        let words = offer.candidates.into_iter().map(|(word, _)| word).collect();
        (words, offer.besides)
    }

    #[test]
    fn a_line_goes_on_with_commands_options_and_values() {
        for (line, expected) in [
            ("do", &["doctor"][..]),
            ("doctor ", &["akvs", "identity", "pod", "help"]),
            ("-n shop doctor ak", &["akvs"]),
            ("--namespace=shop doctor ak", &["akvs"]),
            ("doctor akvs ", &[]),
            ("get db ", &[]),
            ("get --sh", &["--show"]),
            ("doctor identity --s", &["--serviceaccount"]),
            ("plan --fi", &["--filename"]),
            ("plan -o ", &["text", "json", "yaml"]),
            ("plan -o j", &["json"]),
            ("--output y", &["yaml"]),
            ("top --output=j", &["json"]),
            ("convert --to ", &["akvs", "external-secret"]),
            ("completion z", &["zsh"]),
            ("completion zsh ", &[]),
            ("no-such-command ", &[]),
            ("run --context ", &[]),
            ("run a", &[]),
        ] {
            let expected = expected.iter().map(|word| (*word).to_owned()).collect();
            assert_eq!(words(line), (expected, Besides::Nothing), "{line}");
        }
    }

    #[test]
    fn files_are_offered_where_one_is_due_and_behind_the_dashes_of_run() {
        for line in [
            "plan -f ",
            "plan --filename=manif",
            "--kubeconfig ",
            "man ",
            "run -- ",
            "run -- app --output ",
        ] {
            assert_eq!(words(line), (Vec::new(), Besides::Files), "{line}");
        }
    }

    #[test]
    fn every_command_and_every_option_is_offered_with_what_it_is_for() {
        let root = built();
        let offered = offer(&root, &[""]);
        for command in Args::command().get_subcommands() {
            let name = command.get_name();
            assert!(
                offered
                    .candidates
                    .iter()
                    .any(|(word, about)| word == name && !about.is_empty()),
                "{name}"
            );
            let options = offer(&root, &[name, "-"]).candidates;
            for argument in command
                .get_arguments()
                .filter_map(Arg::get_long)
                .chain(["kubeconfig", "output"])
            {
                let option = format!("--{argument}");
                assert!(
                    options.iter().any(|(word, about)| *word == option && !about.is_empty()),
                    "{name} {option}"
                );
            }
        }
    }

    #[test]
    fn the_answer_is_for_who_asks_under_that_name_or_by_the_command() {
        let ask = |line: &[&str]| answer(&line.iter().map(OsString::from).collect::<Vec<_>>());
        let expected = "json\tFor programs; the shape is documented and stable\n:4\n";
        for line in [
            ["/usr/bin/kubectl_complete-akv2k8s", "get", "db", "-o", "j"].as_slice(),
            &["kubectl-akv2k8s", "__complete", "get", "db", "-o", "j"],
        ] {
            assert_eq!(ask(line).as_deref(), Some(expected), "{line:?}");
        }
        assert_eq!(
            ask(&["kubectl_complete-akv2k8s", "plan", "-f", ""]).as_deref(),
            Some(":0\n")
        );
        for line in [&["kubectl-akv2k8s", "get", "__complete"][..], &["kubectl-akv2k8s"], &[]] {
            assert_eq!(ask(line), None, "{line:?}");
        }
    }
}
