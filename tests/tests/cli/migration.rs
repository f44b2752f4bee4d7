//! The examples of migration: what `convert` makes of other projects' manifests, and what it says of it. What becomes of that in a cluster is
//! tested with the pages' commands (`docs/commands`).

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};

use crate::bed::{Said, program};

fn example(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../examples/migration")
        .join(file)
}

fn read(file: &str) -> anyhow::Result<String> {
    std::fs::read_to_string(example(file)).with_context(|| file.to_owned())
}

async fn convert(file: &str) -> anyhow::Result<Said> {
    let file = example(file).display().to_string();
    program(&["convert", "-f", &file], Path::new("/does/not/exist")).await
}

#[tokio::test]
async fn the_examples_are_what_convert_prints_to_the_byte_and_what_is_lost_is_said() -> anyhow::Result<()> {
    let csi = convert("csi/secret-provider-class.yaml").await?;
    ensure!(csi.out == read("csi/akvs.yaml")?, "{}", csi.out);
    let lost = "✗ SecretProviderClass web: my-setting: a file in a volume has no equivalent; its AKVS serves the env injector: \
                web-my-setting@azurekeyvault";
    ensure!(
        csi.code == Some(2) && csi.err.lines().any(|line| line == lost),
        "{csi:?}"
    );

    let external = convert("external-secrets/external-secret.yaml").await?;
    ensure!(external.out == read("external-secrets/akvs.yaml")?, "{}", external.out);
    ensure!(external.code == Some(0) && !external.err.contains('✗'), "{external:?}");
    Ok(())
}
