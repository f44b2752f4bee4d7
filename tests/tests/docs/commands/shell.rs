//! Commands as a shell reads them, and the shell that they go to.

use akv2k8s_testbed::controlplane::ControlPlane;
use akv2k8s_testbed::provision::Program;
use akv2k8s_testbed::shell::Shell;
use akv2k8s_testbed::stack::{Profile, Stack, controller_program};

use crate::page::all;

/// A command of a page: with what is behind `\`, with its document, or a whole loop.
pub(crate) struct Found {
    pub(crate) page: String,
    pub(crate) command: String,
}

/// The commands of all pages, in their order.
pub(crate) fn commands() -> Vec<Found> {
    let of = |page: &crate::page::Page| {
        let name = page.path.display().to_string();
        let found = page.blocks("sh").into_iter().flat_map(|block| split(&block));
        found
            .map(|command| Found {
                page: name.clone(),
                command,
            })
            .collect::<Vec<_>>()
    };
    all().iter().flat_map(of).collect()
}

/// The commands of a block, without comments.
fn split(block: &str) -> Vec<String> {
    let mut commands = Vec::new();
    // What is not over yet, and the line that ends it.
    let mut open: Option<(String, String)> = None;
    for line in block.replace("\\\n", " ").lines() {
        if let Some((mut text, end)) = open.take() {
            text.push('\n');
            text.push_str(line);
            if line.trim() == end {
                commands.push(text);
            } else {
                open = Some((text, end));
            }
            continue;
        }
        let line = line.split(" #").next().unwrap_or_default().trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        match line.split_once("<<'").and_then(|(_, rest)| rest.split_once('\'')) {
            Some((end, _)) => open = Some((line.to_owned(), end.to_owned())),
            None if line.starts_with("for ") => open = Some((line.to_owned(), "done".to_owned())),
            None => commands.push(line.to_owned()),
        }
    }
    commands
}

/// A shell with all that commands of pages start.
pub(crate) fn shell_for(cluster: &ControlPlane) -> anyhow::Result<Shell> {
    let further = [
        ("akv2k8s-controller", controller_program(Profile::Dev)?),
        ("testbed", env!("CARGO_BIN_EXE_testbed").into()),
    ];
    Shell::new(cluster, Program::Helm3, &further)
}

/// The same for the cluster of `stack`, whose vaults its commands read.
pub(crate) fn shell_of(stack: &Stack) -> anyhow::Result<Shell> {
    let mut shell = shell_for(&stack.cluster)?;
    for (name, value) in [
        ("AUTH_TYPE", "clientSecret"),
        ("AZURE_CLIENT_ID", stack.app.client_id()),
        ("AZURE_TENANT_ID", stack.emulator.entra().tenant_id()),
        ("AZURE_CLIENT_SECRET", &stack.app.add_secret()),
        ("AZURE_ENVIRONMENT", "AzureStackCloud"),
        (
            "AZURE_ENVIRONMENT_FILEPATH",
            &stack.file("cloud.json").display().to_string(),
        ),
        ("SSL_CERT_FILE", &stack.file("ca.pem").display().to_string()),
    ] {
        shell.set(name, value);
    }
    Ok(shell)
}

/// Runs a command until it ends, and fails unless it did what it is for.
pub(crate) async fn ends_well(shell: &Shell, command: &str) -> anyhow::Result<()> {
    shell.run(command, |code| is_answer(command, code)).await.map(drop)
}

/// Whether a command that ends so did what it is for: those of ours that find something out tell by their exit code what it was.
fn is_answer(command: &str, code: i32) -> bool {
    code == 0 || (command.contains("akv2k8s doctor") && code == 1) || (command.contains("akv2k8s convert") && code == 2)
}

#[test]
fn commands_are_split_as_a_shell_does() {
    let block =
        "# nothing\na --b \\\n  c   # why\n\nfor x in y; do\n  z $x\ndone\nk -f - <<'YAML'\na: 1 # kept\nYAML\nlast &";
    let expected = [
        "a --b    c",
        "for x in y; do\n  z $x\ndone",
        "k -f - <<'YAML'\na: 1 # kept\nYAML",
        "last &",
    ];
    assert_eq!(split(block), expected);
    assert!(
        is_answer("kubectl akv2k8s doctor", 1)
            && !is_answer("kubectl akv2k8s doctor", 2)
            && !is_answer("kubectl get", 1)
    );
}
