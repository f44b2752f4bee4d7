//! The pages of reference name everything that there is, and nothing else: flags of the programs, commands of the CLI, fields of the resource.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use akv2k8s_shared::api::crd;
use akv2k8s_testbed::stack::{Profile, cli_program, controller_program, injector_program};
use serde_json::Value;

use crate::page::root;

fn page(name: &str) -> String {
    fs::read_to_string(root().join("docs").join(name)).unwrap()
}

fn help(program: PathBuf) -> String {
    let output = Command::new(program).arg("--help").output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// Long flags in a help text: the first word of a line, or the second after a short one.
fn flags(help: &str) -> BTreeSet<String> {
    let words = help.lines().filter_map(|line| {
        line.split_whitespace()
            .find(|word| word.starts_with("--"))
            .filter(|word| line.trim_start().starts_with('-') && line.contains(*word))
    });
    let names = words.map(|word| {
        word.split(['=', '[', ','])
            .next()
            .unwrap_or_default()
            .trim_end_matches('>')
            .to_owned()
    });
    names.filter(|name| name != "--help").collect()
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
fn every_flag_of_both_programs_is_in_its_page() {
    for (program, name) in [
        (controller_program(Profile::Dev).unwrap(), "controller.md"),
        (injector_program(Profile::Dev).unwrap(), "env-injector.md"),
    ] {
        let flags = flags(&help(program));
        println!("{name}: {} flags", flags.len());
        assert!(flags.len() >= 5, "{flags:?}");
        assert_eq!(missing(&flags, &page(name)), Vec::<String>::new(), "{name}");
    }
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

/// Names of all properties below a schema.
fn properties(schema: &Value, found: &mut BTreeSet<String>) {
    if let Some(members) = schema["properties"].as_object() {
        for (name, schema) in members {
            found.insert(name.clone());
            properties(schema, found);
        }
    }
    for inner in ["items", "additionalProperties"] {
        if schema[inner].is_object() {
            properties(&schema[inner], found);
        }
    }
}

#[test]
fn every_field_of_the_resource_is_in_its_page() {
    let crd = serde_json::to_value(crd()).unwrap();
    let schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"];
    let page = page("azurekeyvaultsecret.md");
    let mut fields = BTreeSet::new();
    properties(&schema["spec"], &mut fields);
    properties(&schema["status"], &mut fields);
    let words: BTreeSet<_> = page.split(|c: char| !c.is_alphanumeric()).collect();
    let missing: Vec<_> = fields.iter().filter(|it| !words.contains(it.as_str())).collect();
    println!("{} fields", fields.len());
    assert!(fields.len() > 20 && missing.is_empty(), "{missing:?}");
}
