//! Conformance: Microsoft's own SDKs run the list of `tests/conformance/checks.json` against the emulator, or against a real vault.
//!
//! The lists are Python and JavaScript (`tests/conformance/README.md`); this is what prepares and starts them.

mod issuer;
mod material;
mod sdk;
mod target;
mod tokens;
mod vectors;

use std::env;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::Args;
use serde_json::json;

pub use sdk::{Installation, Language, Outcome, Program};

use self::target::EmulatorTarget;
use crate::controlplane::ControlPlane;

/// What the list is run against, and with.
#[derive(Args, Debug, Default)]
pub struct Options {
    /// Run the list in this language only
    #[arg(long)]
    language: Option<Language>,
}

/// The list against a real vault.
#[derive(Args, Debug)]
pub struct LiveOptions {
    /// Name of the vault, or its whole address for other clouds (`https://NAME.vault.azure.cn`)
    #[arg(long)]
    vault: String,
    /// Run the list in this language only
    #[arg(long)]
    language: Option<Language>,
}

/// Runs the list against an emulator of its own, and with tokens of a real API server too, then makes vectors there and
/// compares what this project's library makes of the same objects; fails when a check failed or something differs.
pub async fn run(options: Options) -> anyhow::Result<()> {
    let installations = prepare(options.language).await?;
    let cluster = ControlPlane::shared().await?;
    let mut outcomes = Vec::new();
    for (_, installation) in installations {
        let target = EmulatorTarget::start(cluster).await?;
        let ca = target.ca_file();
        outcomes.push(installation.run(Program::Checks, &[&target.file()], Some(&ca)).await?);
        outcomes.push(vectors::compare(&installation, &target).await?);
    }
    conclude(&outcomes)
}

/// Makes the vectors that the library's own tests use, one file for each language.
pub async fn write_vectors(options: Options) -> anyhow::Result<()> {
    let installations = prepare(options.language).await?;
    let cluster = ControlPlane::shared().await?;
    for (_, installation) in installations {
        let target = EmulatorTarget::start(cluster).await?;
        vectors::commit(&installation, &target).await?;
    }
    Ok(())
}

/// Runs the part of the list that makes sense there against a real vault, as whoever the caller's environment says;
/// fails when a check failed.
pub async fn live(options: LiveOptions) -> anyhow::Result<()> {
    let installations = prepare(options.language).await?;
    let folder = tempfile::tempdir().context("create a temporary folder")?;
    let material = material::Material::create(folder.path()).await?;
    let vault = vault_url(&options.vault);
    let target = json!({
        "live": true,
        "resource": resource_of(&vault)?,
        "vaults": { "main": vault },
        "imports": material.imports(),
    });
    let file = folder.path().join("target.json");
    fs::write(&file, target.to_string()).context("write the target file")?;
    let mut outcomes = Vec::new();
    for (_, installation) in installations {
        outcomes.push(installation.run(Program::Checks, &[&file], None).await?);
    }
    conclude(&outcomes)
}

async fn prepare(only: Option<Language>) -> anyhow::Result<Vec<(Language, Installation)>> {
    let cache = cache_folder();
    let mut installations = Vec::new();
    for language in Language::ALL
        .into_iter()
        .filter(|language| only.is_none_or(|only| only == *language))
    {
        installations.push((language, Installation::prepare(language, &cache).await?));
    }
    Ok(installations)
}

/// Prints the closing lines of all lists together.
fn conclude(outcomes: &[Outcome]) -> anyhow::Result<()> {
    println!("conformance with Microsoft's SDKs:");
    for outcome in outcomes {
        println!("  {}", outcome.closing_line);
    }
    if outcomes.iter().any(|outcome| !outcome.passed) {
        bail!("the conformance list did not pass");
    }
    Ok(())
}

/// A name stands for a vault of the public cloud.
fn vault_url(vault: &str) -> String {
    if vault.starts_with("https://") {
        vault.to_owned()
    } else {
        format!("https://{vault}.vault.azure.net")
    }
}

/// What tokens for a vault are asked for: its address without its own name, `https://vault.azure.net`.
fn resource_of(vault: &str) -> anyhow::Result<String> {
    let (_, parent) = vault
        .trim_end_matches('/')
        .split_once('.')
        .with_context(|| format!("{vault} is not the address of a vault (https://NAME.vault.azure.net)"))?;
    Ok(format!("https://{parent}"))
}

/// `$XDG_CACHE_HOME/akv2k8s-rs`, or the same below `$HOME/.cache`.
fn cache_folder() -> PathBuf {
    let set = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("XDG_CACHE_HOME")
        .or_else(|| set("HOME").map(|home| home.join(".cache")))
        .unwrap_or_else(env::temp_dir)
        .join("akv2k8s-rs")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_name_is_a_vault_of_the_public_cloud() {
        assert_eq!(vault_url("mine"), "https://mine.vault.azure.net");
        assert_eq!(vault_url("https://mine.vault.azure.cn"), "https://mine.vault.azure.cn");
    }

    #[test]
    fn tokens_are_for_what_is_above_the_vault() {
        assert_eq!(
            resource_of("https://mine.vault.azure.net/").unwrap(),
            "https://vault.azure.net"
        );
        let error = resource_of("https://localhost").unwrap_err().to_string();
        assert!(error.contains("https://NAME.vault.azure.net"), "{error}");
    }
}
