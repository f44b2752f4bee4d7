//! `docs/quick-start.md` is followed to the letter, but for what needs Azure: each block of commands goes to a shell.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use akv2k8s_testbed::emulator::SecretOptions;
use akv2k8s_testbed::installation::environment;
use akv2k8s_testbed::node::{self, guest};
use akv2k8s_testbed::provision::{Locations, Program};
use akv2k8s_testbed::stack::cli_program;
use akv2k8s_testbed::wait::until;
use anyhow::{Context, ensure};
use tempfile::TempDir;
use tokio::process::Command;

use crate::MACHINE;
use crate::world::{PATIENCE, World};

const PAGE: &str = include_str!("../../../docs/quick-start.md");
const CHAPTER: &str = "## On AKS, with workload identity";

/// The blocks of commands of the chapter, in their order.
fn blocks() -> Vec<&'static str> {
    let chapter = PAGE.split_once(CHAPTER).map_or("", |(_, chapter)| chapter);
    let fenced = chapter.split("```sh\n").skip(1);
    fenced
        .filter_map(|it| it.split_once("```").map(|(block, _)| block))
        .collect()
}

/// A shell in which kubectl, its plugin and Helm are there, as on a user's machine.
struct Shell {
    programs: TempDir,
    kubeconfig: PathBuf,
}

impl Shell {
    fn new(world: &World) -> anyhow::Result<Self> {
        let programs = TempDir::new()?;
        let kubectl = world.node.cluster.kubectl_program().to_owned();
        let helm = Locations::from_env().find(Program::Helm4)?;
        for (name, program) in [
            ("kubectl", kubectl),
            ("helm", helm),
            ("kubectl-akv2k8s", cli_program()?),
        ] {
            symlink(program, programs.path().join(name))?;
        }
        Ok(Self {
            programs,
            kubeconfig: world.node.cluster.kubeconfig().to_owned(),
        })
    }

    async fn run(&self, commands: &str) -> anyhow::Result<String> {
        let path = format!("{}:/usr/bin:/bin", self.programs.path().display());
        let output = Command::new("bash")
            .args(["-euo", "pipefail", "-c", commands])
            .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."))
            .env("PATH", path)
            .env("HOME", self.programs.path())
            .env("KUBECONFIG", &self.kubeconfig)
            .stdin(Stdio::null())
            .output()
            .await?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let complaint = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.success(),
            "{commands}: {}: {said}{complaint}",
            output.status
        );
        Ok(said)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_quick_start_ends_with_a_program_that_has_its_value() -> anyhow::Result<()> {
    if !node::available(1) {
        return Ok(());
    }
    let _alone = MACHINE.lock().await;
    let world = World::new(Program::Helm4).await?;
    let shell = tokio::task::block_in_place(|| Shell::new(&world))?;
    world
        .vault("my-vault")
        .set_secret("db-password", "s3cret", SecretOptions::default())?;
    let values = shell.programs.path().join("values.json");
    std::fs::write(&values, world.of_this_node().await?.to_string())?;

    let [at_azure, install, secret, variable, doctor] = blocks()[..] else {
        anyhow::bail!("the chapter has {} blocks", blocks().len());
    };
    ensure!(
        at_azure.starts_with("az "),
        "the first block is Azure's, which the emulator stands for"
    );
    let here = format!("helm install akv2k8s charts/akv2k8s --values {}", values.display());
    let install = install
        .replace("helm install akv2k8s charts/akv2k8s", &here)
        .replace("CLIENT_ID", world.client_id())
        .replace("REGISTRY", "ghcr.io/akv2k8s-rs");
    if let Err(error) = shell.run(&install).await {
        return Err(error.context(world.pods().await?));
    }

    ensure!(shell.run(secret).await?.contains("db-password"));
    let read = "kubectl get secret db-password --output jsonpath='{.data.password}' | base64 --decode";
    let written = async || (shell.run(read).await.ok()? == "s3cret").then_some(());
    until("the Secret", PATIENCE, written).await?;

    world.injects().await?;
    let variable = variable
        .replace("IMAGE", guest::IMAGE)
        .replace("PROGRAM", &format!("{} live", guest::PATH));
    shell.run(&variable).await?;
    let printed = async || environment(&world.node.log_now("default", "app").await.ok()?).ok();
    let printed = until("the program", PATIENCE, printed).await?;
    ensure!(printed.get("DB_PASSWORD").context("it has the variable")? == "s3cret");
    let said = shell.run(doctor).await?;
    println!("{said}");
    Ok(())
}
