//! The page of the CLI names all of its commands, and no program reads a variable past the tables that the page of variables is made of. What
//! `cargo testbed docs` writes is compared with the code where it is made.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use akv2k8s_testbed::stack::cli_program;

use crate::page::root;

fn page(name: &str) -> String {
    fs::read_to_string(root().join("docs").join(name)).unwrap()
}

fn help(program: PathBuf) -> String {
    let output = Command::new(program).arg("--help").output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// What is quoted as code in a page.
fn quoted(page: &str) -> BTreeSet<String> {
    let quoted = page.split('`').skip(1).step_by(2);
    quoted
        .flat_map(|it| it.split(|c: char| c.is_whitespace() || matches!(c, '=' | ',' | '|')))
        .map(str::to_owned)
        .collect()
}

fn missing(wanted: &BTreeSet<String>, page: &str) -> Vec<String> {
    let quoted = quoted(page);
    wanted.iter().filter(|it| !quoted.contains(*it)).cloned().collect()
}

#[test]
fn every_command_of_the_cli_is_in_its_page() {
    let help = help(cli_program().unwrap());
    let listed = help
        .split_once("Commands:")
        .unwrap()
        .1
        .lines()
        .skip(1)
        .take_while(|line| !line.trim().is_empty());
    let commands: BTreeSet<_> = listed
        .filter_map(|line| line.split_whitespace().next())
        .filter(|it| *it != "help")
        .map(str::to_owned)
        .collect();
    assert!(commands.len() >= 8, "{commands:?}");
    assert_eq!(missing(&commands, &page("cli.md")), Vec::<String>::new());
}

/// Files below `folder` that have one of `words` in them, seen from the root.
fn with_any(words: &[&str], folder: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            with_any(words, &path, found);
        } else if path.extension().is_some_and(|it| it == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            if words.iter().any(|word| text.contains(word)) {
                let path = path.strip_prefix(root()).unwrap();
                found.insert(path.display().to_string());
            }
        }
    }
}

#[test]
fn programs_read_variables_by_their_tables_only() {
    let mut readers = BTreeSet::new();
    let mut makers = BTreeSet::new();
    for folder in ["shared", "controller", "env-injector", "cli"] {
        with_any(&["env::var", "env::{"], &root().join(folder), &mut readers);
        with_any(&["of_table"], &root().join(folder), &mut makers);
    }
    let expected = [
        // When it is compiled.
        "env-injector/exec/build.rs",
        // What it hands on to the program.
        "env-injector/exec/src/environment.rs",
        // In a test, for itself.
        "shared/program/src/server/descriptors.rs",
        "shared/src/environment/mod.rs",
    ];
    assert!(readers.iter().eq(expected), "{readers:?}");
    assert!(makers.iter().eq(["shared/src/environment/variable.rs"]), "{makers:?}");
}
