//! `kubectl akv2k8s <TAB>`: kubectl itself asks the program. A shell's own script shows what `kubectl __complete` prints.

use akv2k8s_testbed::controlplane::ControlPlane;
use akv2k8s_testbed::provision::Program;
use akv2k8s_testbed::shell::Shell;

/// As docs/cli.md has them.
const LINK: &str = r#"ln -sf kubectl-akv2k8s "$(dirname "$(command -v kubectl-akv2k8s)")/kubectl_complete-akv2k8s""#;
const SCRIPT: &str = "#!/bin/sh\nexec kubectl-akv2k8s __complete \"$@\"\n";

async fn shell() -> anyhow::Result<Shell> {
    let cluster = ControlPlane::shared().await?;
    tokio::task::block_in_place(|| Shell::new(cluster, Program::Helm4, &[]))
}

/// What a shell is told when `words` are typed; the last one is not complete.
async fn completed(shell: &Shell, words: &str) -> anyhow::Result<Vec<String>> {
    let said = shell
        .run(&format!("kubectl __complete akv2k8s {words}"), |code| code == 0)
        .await?;
    Ok(said.lines().map(str::to_owned).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_completes_commands_options_and_their_values() -> anyhow::Result<()> {
    let shell = shell().await?;
    let nothing = completed(&shell, "do").await?;
    assert!(
        !nothing.iter().any(|line| line.starts_with("doctor")),
        "nobody is there to ask: {nothing:?}"
    );

    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/cli.md"))?;
    assert!(page.contains(LINK) && page.contains(SCRIPT), "the page has them");
    let programs = shell.folder().join("programs");
    for set_up in ["link", "script"] {
        let asked = programs.join("kubectl_complete-akv2k8s");
        if set_up == "link" {
            shell.run(LINK, |code| code == 0).await?;
        } else {
            std::fs::remove_file(&asked)?;
            std::fs::write(&asked, SCRIPT)?;
            shell
                .run("chmod +x programs/kubectl_complete-akv2k8s", |code| code == 0)
                .await?;
        }
        for (words, expected) in [
            (
                "do",
                &[
                    "doctor\tLooks for the first cause of a failure, and names its fix",
                    ":4",
                ][..],
            ),
            ("-n shop doctor ak", &["akvs\tAn AzureKeyVaultSecret", ":4"]),
            (
                "plan --fil",
                &[
                    "--filename\tFile or folder of manifests, or - for standard input; may be repeated",
                    ":4",
                ],
            ),
            (
                "get db -o j",
                &["json\tFor programs; the shape is documented and stable", ":4"],
            ),
            ("get db --output=y", &["yaml\tThe same as YAML", ":4"]),
            ("plan -f ''", &[":0"]),
        ] {
            assert_eq!(completed(&shell, words).await?, expected, "{set_up}: {words}");
        }
        let commands = completed(&shell, "''").await?;
        assert!(
            commands.iter().any(|line| line.starts_with("support\t")),
            "{set_up}: {commands:?}"
        );
    }
    Ok(())
}
