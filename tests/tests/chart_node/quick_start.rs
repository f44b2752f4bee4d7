//! `docs/quick-start.md` is followed to the letter, but for what needs Azure: each block of commands goes to a shell.

use akv2k8s_testbed::emulator::SecretOptions;
use akv2k8s_testbed::installation::environment;
use akv2k8s_testbed::node::{self, guest};
use akv2k8s_testbed::provision::Program;
use akv2k8s_testbed::shell::Shell;
use akv2k8s_testbed::wait::until;
use anyhow::{Context, ensure};

use crate::MACHINE;
use crate::world::{PATIENCE, World};

const PAGE: &str = include_str!("../../../docs/quick-start.md");
pub(crate) const CHAPTER: &str = "\n## On AKS, with workload identity\n";

/// Pages that run the controller's program in its pod.
const PAGES: [&str; 7] = [
    include_str!("../../../docs/authentication.md"),
    include_str!("../../../docs/coming-from-akv2k8s.md"),
    include_str!("../../../docs/doctor.md"),
    include_str!("../../../docs/network.md"),
    include_str!("../../../docs/runbooks/Akv2k8sObjectsNotSynced.md"),
    include_str!("../../../docs/runbooks/Akv2k8sTokensFailing.md"),
    include_str!("../../../docs/runbooks/Akv2k8sVaultSilent.md"),
];

/// Their commands that do so.
fn in_the_pod() -> Vec<&'static str> {
    let lines = PAGES.iter().flat_map(|page| page.lines().map(str::trim));
    lines
        .filter(|line| {
            line.starts_with("kubectl ") && line.contains(" exec ") && line.contains(" -- akv2k8s-controller ")
        })
        .collect()
}

/// The blocks of commands of a chapter, in their order.
pub(crate) fn blocks(chapter: &str) -> Vec<&'static str> {
    let chapter = PAGE.split_once(chapter).map_or("", |(_, rest)| rest);
    let chapter = chapter.split("\n## ").next().unwrap_or_default();
    let fenced = chapter.split("```sh\n").skip(1);
    fenced
        .filter_map(|it| it.split_once("```").map(|(block, _)| block))
        .collect()
}

/// Runs a block, all of which has to go well; gives what it printed.
pub(crate) async fn run(shell: &Shell, block: &str) -> anyhow::Result<String> {
    shell.run(block, |code| code == 0).await
}

/// The step with a variable: a program of this node's image has the vault's value.
pub(crate) async fn the_variable_arrives(world: &World, shell: &Shell, block: &str) -> anyhow::Result<()> {
    world.injects().await?;
    let block = block
        .replace("IMAGE", guest::IMAGE)
        .replace("PROGRAM", &format!("{} live", guest::PATH));
    run(shell, &block).await?;
    let printed = async || environment(&world.node.log_now("default", "app").await.ok()?).ok();
    let printed = until("the program", PATIENCE, printed).await?;
    ensure!(printed.get("DB_PASSWORD").context("it has the variable")? == "s3cret");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_quick_start_ends_with_a_program_that_has_its_value() -> anyhow::Result<()> {
    if !node::available(1) {
        return Ok(());
    }
    let _alone = MACHINE.lock().await;
    let world = World::new(Program::Helm4).await?;
    let shell = tokio::task::block_in_place(|| Shell::new(&world.node.cluster, Program::Helm4, &[]))?;
    world
        .vault("my-vault")
        .set_secret("db-password", "s3cret", SecretOptions::default())?;
    let values = shell.folder().join("values.json");
    let mut of_this_node = world.of_this_node().await?;
    // What Azure's webhook would say.
    of_this_node["workloadIdentity"]["tenantId"] = world.tenant_id().into();
    std::fs::write(&values, of_this_node.to_string())?;

    let [images, at_azure, install, secret, variable, doctor] = blocks(CHAPTER)[..] else {
        anyhow::bail!("the chapter has {} blocks", blocks(CHAPTER).len());
    };
    ensure!(
        images.starts_with("cargo testbed images\n"),
        "the node has them already, without a registry"
    );
    ensure!(
        at_azure.starts_with("az "),
        "the first block is Azure's, which the emulator stands for"
    );
    let here = format!("helm install akv2k8s charts/akv2k8s --values {}", values.display());
    let install = install
        .replace("helm install akv2k8s charts/akv2k8s", &here)
        .replace("CLIENT_ID", world.client_id())
        .replace("REGISTRY", "ghcr.io/akv2k8s-rs");
    if let Err(error) = run(&shell, &install).await {
        return Err(error.context(world.pods().await?));
    }

    ensure!(run(&shell, secret).await?.contains("db-password"));
    let read = "kubectl get secret db-password --output jsonpath='{.data.password}' | base64 --decode";
    let written = async || (run(&shell, read).await.ok()? == "s3cret").then_some(());
    until("the Secret", PATIENCE, written).await?;

    the_variable_arrives(&world, &shell, variable).await?;
    let said = run(&shell, doctor).await?;
    println!("{said}");

    ensure!(in_the_pod().len() == PAGES.len(), "{:?}", in_the_pod());
    for command in in_the_pod() {
        let command = command.replace("--vault VAULT", "--vault my-vault");
        let said = shell.run(&command, |code| code == 0).await?;
        println!("{command}\n{said}");
        ensure!(said.contains('✓'), "{command}: {said}");
    }
    Ok(())
}
