//! The commands of the pages (blocks marked `sh`): what they name is there, and ours take what they are given.

mod argocd;
mod credential;
mod csi;
mod external_secrets;
mod migration;
mod reader;
mod running;
mod shell;
mod transcripts;

use std::process::Command;

use akv2k8s_testbed::helm::Helm;
use akv2k8s_testbed::stack::Profile;
use akv2k8s_testbed::stack::{cli_program, controller_program};

use self::shell::{Found, commands};
use crate::page::{all, root};

/// How a command is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Look {
    /// Azure's, which no test reaches.
    Azure,
    /// Helm renders the chart with just these flags.
    Chart,
    /// Our program reads the command line, up to the question for help behind it.
    Ours,
    /// The files it applies are there.
    Files,
    /// Somebody else's program, with nothing in it that is ours to check.
    Others,
}

fn look(command: &str) -> Look {
    let words: Vec<_> = command
        .split_whitespace()
        .filter(|word| !word.contains('=') || word.starts_with('-'))
        .collect();
    let apply = command.starts_with("kubectl apply -f ") && !command.contains("-f - ");
    match words[..] {
        ["az", ..] => Look::Azure,
        ["for", ..] if command.contains(" az ") => Look::Azure,
        ["helm", "install" | "upgrade", ..] => Look::Chart,
        ["kubectl", "akv2k8s", ..]
        | ["kubectl-akv2k8s" | "akv2k8s-controller", ..]
        | ["cargo", "testbed" | "demo" | "verify", ..] => Look::Ours,
        _ if command.contains(" -- akv2k8s-controller ") => Look::Ours,
        _ if apply => Look::Files,
        _ => Look::Others,
    }
}

/// The arguments of our program in a command, and the program.
fn ours(command: &str) -> (std::path::PathBuf, Vec<String>) {
    let mut words: Vec<_> = command
        .split_whitespace()
        .map(|it| it.trim_matches('\'').to_owned())
        .collect();
    if let Some(at) = words.iter().position(|it| it == "akv2k8s-controller") {
        return (controller_program(Profile::Dev).unwrap(), words.split_off(at + 1));
    }
    if words[0] == "cargo" {
        let rest = words.split_off(1);
        let rest = if rest[0] == "testbed" { rest[1..].to_vec() } else { rest };
        return (env!("CARGO_BIN_EXE_testbed").into(), rest);
    }
    let at = words
        .iter()
        .position(|it| it == "akv2k8s" || it == "kubectl-akv2k8s")
        .unwrap();
    let rest = words.split_off(at + 1);
    // What is behind is another program's.
    let rest = rest.into_iter().take_while(|it| it != "--" && it != ">").collect();
    (cli_program().unwrap(), rest)
}

fn check(command: &str) -> Result<(), String> {
    match look(command) {
        Look::Azure | Look::Others => Ok(()),
        Look::Files => {
            let words: Vec<_> = command.split_whitespace().collect();
            let files = words.windows(2).filter(|it| it[0] == "-f").map(|it| it[1]);
            let missing: Vec<_> = files.filter(|file| !root().join(file).exists()).collect();
            if missing.is_empty() {
                Ok(())
            } else {
                Err(format!("{missing:?} are not there"))
            }
        }
        Look::Chart => {
            // The reader's own values are not here.
            let command = command.replace("--values values.yaml", "");
            let command = command.replace(" examples/", &format!(" {}/examples/", root().display()));
            let words: Vec<_> = command.split_whitespace().skip(3).collect();
            let flags = words
                .iter()
                .filter(|it| !matches!(**it, "charts/akv2k8s" | "--wait" | "--create-namespace" | "--skip-crds"));
            let line: Vec<_> = ["template", "akv2k8s", "CHART"]
                .into_iter()
                .chain(flags.copied())
                .collect();
            let helm = Helm::both().map_err(|error| error.to_string())?;
            helm.iter()
                .try_for_each(|helm| helm.run(&line, "").map(drop))
                .map_err(|error| error.to_string())
        }
        Look::Ours => {
            // A variable of the page's.
            let (program, arguments) = ours(&command.replace("$HOST", "127.0.0.1"));
            let output = Command::new(program).args(arguments).arg("--help").output().unwrap();
            if output.status.success() {
                Ok(())
            } else {
                Err(String::from_utf8_lossy(&output.stderr).into_owned())
            }
        }
    }
}

#[test]
fn commands_of_the_pages_name_what_is_there() {
    let commands = commands();
    let mut counts = std::collections::BTreeMap::new();
    let mut wrong = Vec::new();
    for Found { page, command } in &commands {
        *counts.entry(look(command)).or_insert(0) += 1;
        if let Err(why) = check(command) {
            wrong.push(format!("{page}: {command}\n{why}"));
        }
    }
    println!("{} commands: {counts:?}", commands.len());
    assert!(
        counts[&Look::Ours] >= 8 && counts[&Look::Chart] >= 2 && counts[&Look::Files] >= 3 && counts[&Look::Azure] >= 3
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What a line has as code and is a command: it would be run by nobody.
fn inline_commands(line: &str) -> Vec<&str> {
    let code = line.split('`').skip(1).step_by(2);
    let starts = ["kubectl ", "helm ", "jq "];
    code.filter(|it| starts.iter().any(|start| it.starts_with(start)))
        .collect()
}

#[test]
fn runbooks_have_their_commands_in_blocks() {
    let pages = all();
    let runbooks: Vec<_> = pages.iter().filter(|it| it.path.starts_with("docs/runbooks")).collect();
    for page in &runbooks {
        for (number, line) in page.prose() {
            let found = inline_commands(line);
            assert!(found.is_empty(), "{}:{number}: {found:?}", page.path.display());
        }
    }
    assert!(runbooks.len() >= 16);
    assert_eq!(inline_commands("1. `kubectl get akvs`: `up`."), ["kubectl get akvs"]);
}

#[test]
fn what_is_not_there_is_noticed() {
    for wrong in [
        "kubectl akv2k8s diagnose",
        "kubectl akv2k8s plan --no-such-flag",
        "cargo testbed nothing",
        "kubectl apply -f examples/none.yaml",
        "helm install akv2k8s charts/akv2k8s --set controler.image.tag=1",
        "kubectl exec -n akv2k8s deployment/akv2k8s-controller -- akv2k8s-controller docter",
    ] {
        assert!(check(wrong).is_err(), "{wrong}");
    }
}
