//! The command line: an option of the wrapper's own in the first place, or the program and its arguments.

use std::ffi::OsString;
use std::path::PathBuf;

/// What the wrapper is asked to do.
#[derive(Debug, PartialEq, Eq)]
pub enum Invocation {
    /// Start a program: its name, then its arguments.
    Run(Vec<OsString>),
    /// `--check`: resolve everything, print names and lengths.
    Check,
    /// `--copy DIR`: put this file into a folder.
    Copy(PathBuf),
    /// `--version`
    Version,
    /// Nothing that can be done; why.
    Unusable(String),
}

/// The options, each with what follows it, and what they do: no other is understood. `cargo testbed docs` writes them into a page.
pub const OPTIONS: [(&str, &str); 3] = [
    (
        "--check",
        "Resolves everything and prints each variable's name, reference and the length of its value",
    ),
    (
        "--copy DIRECTORY",
        "Puts itself there as `azure-keyvault-env`, mode 0555, in one step; for the init container",
    ),
    ("--version", "Prints the version"),
];

/// How it is called, for messages.
pub(crate) const USAGE: &str = "azure-keyvault-env [--] PROGRAM [ARGUMENT]... | --check | --copy DIRECTORY | --version";

/// Reads the arguments, without the wrapper's own name. Options stand first only, so no program's name or option is taken for one;
/// `--` ends them.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Invocation {
    let mut arguments = arguments.into_iter();
    let Some(first) = arguments.next() else {
        return Invocation::Unusable("no program is given".to_owned());
    };
    let rest: Vec<_> = arguments.collect();
    match (first.to_str(), rest.as_slice()) {
        (Some("--"), []) => Invocation::Unusable("no program is given".to_owned()),
        (Some("--"), _) => Invocation::Run(rest),
        (Some(option), _) if option.starts_with('-') && !is_known(option) => {
            Invocation::Unusable(format!("there is no option {option:?}"))
        }
        (Some("--check"), []) => Invocation::Check,
        (Some("--version"), []) => Invocation::Version,
        (Some("--copy"), [directory]) => Invocation::Copy(PathBuf::from(directory)),
        (Some("--copy"), _) => Invocation::Unusable("--copy takes one directory".to_owned()),
        (Some(option @ ("--check" | "--version")), _) => Invocation::Unusable(format!("{option} takes no argument")),
        _ => Invocation::Run(std::iter::once(first).chain(rest).collect()),
    }
}

fn is_known(option: &str) -> bool {
    OPTIONS
        .iter()
        .any(|(form, _)| form.split_once(' ').map_or(*form, |(name, _)| name) == option)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(arguments: &[&str]) -> Invocation {
        parse(arguments.iter().map(OsString::from))
    }

    fn program(arguments: &[&str]) -> Invocation {
        Invocation::Run(arguments.iter().map(OsString::from).collect())
    }

    #[test]
    fn options_are_only_looked_for_in_the_first_place() {
        for (arguments, expected) in [
            (&["app"][..], program(&["app"])),
            (&["app", "--check", "--copy"], program(&["app", "--check", "--copy"])),
            (&["--", "--check"], program(&["--check"])),
            (&["--", "app", "--"], program(&["app", "--"])),
            (&[""], program(&[""])),
            (&["--check"], Invocation::Check),
            (&["--version"], Invocation::Version),
            (&["--copy", "/d"], Invocation::Copy(PathBuf::from("/d"))),
        ] {
            assert_eq!(parsed(arguments), expected, "{arguments:?}");
        }
    }

    #[test]
    fn every_option_of_the_table_does_something_and_is_in_the_usage() {
        let forms: Vec<_> = OPTIONS.iter().map(|(form, _)| *form).collect();
        for form in &forms {
            let found = parsed(&form.split(' ').collect::<Vec<_>>());
            let is_done = !matches!(found, Invocation::Run(_) | Invocation::Unusable(_));
            assert!(is_done, "{form}: {found:?}");
        }
        let (_, usage) = USAGE.split_once(" | ").unwrap();
        assert_eq!(usage, forms.join(" | "));
    }

    #[test]
    fn what_cannot_be_done_is_said() {
        for (arguments, why) in [
            (&[][..], "no program"),
            (&["--"], "no program"),
            (&["--copy"], "one directory"),
            (&["--copy", "a", "b"], "one directory"),
            (&["--check", "app"], "no argument"),
            (&["-x", "app"], "no option"),
        ] {
            let Invocation::Unusable(said) = parsed(arguments) else {
                unreachable!("{arguments:?} is unusable");
            };
            assert!(said.contains(why), "{said}");
        }
    }
}
