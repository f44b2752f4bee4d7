//! The chapter of `docs/quick-start.md` about a cluster whose Azure is the emulator is followed to the letter, but for what needs Docker.

use akv2k8s_testbed::node;
use akv2k8s_testbed::provision::Program;
use akv2k8s_testbed::shell::Shell;
use akv2k8s_testbed::wait::until;
use anyhow::{Context, ensure};

use crate::MACHINE;
use crate::quick_start::{self, blocks, run, the_variable_arrives};
use crate::world::{PATIENCE, World};

const CHAPTER: &str = "\n## On kind, or any cluster, with the emulator\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_whose_azure_is_the_emulator_gets_its_first_secret_and_its_first_variable() -> anyhow::Result<()> {
    if !node::available(1) {
        return Ok(());
    }
    let _alone = MACHINE.lock().await;
    let world = World::new(Program::Helm3).await?;
    let cluster = &world.node.cluster;
    let testbed = [("testbed", env!("CARGO_BIN_EXE_testbed").into())];
    let mut shell = tokio::task::block_in_place(|| Shell::new(cluster, Program::Helm3, &testbed))?;

    let [kind, azure, names, install, secret] = blocks(CHAPTER)[..] else {
        anyhow::bail!("the chapter has {} blocks", blocks(CHAPTER).len());
    };
    ensure!(kind.starts_with("kind create cluster\n"), "the node stands for it");
    let (host, emulator) = azure.split_once('\n').context("two commands")?;
    ensure!(host.starts_with("HOST=$(docker "), "this machine has another address");
    shell.set("HOST", &world.node.gateway().to_string());
    let emulator = emulator.replace("cargo testbed", "exec testbed");
    let _running = shell.start(&emulator)?;
    let cloud = shell.folder().join(".emulator/cloud.json");
    until("the emulator", PATIENCE, async || cloud.exists().then_some(())).await?;

    run(&shell, names).await?;
    if let Err(error) = run(&shell, install).await {
        return Err(error.context(world.pods().await?));
    }
    if let Err(error) = run(&shell, secret).await {
        let status = run(&shell, "kubectl get akvs db-password -o yaml").await?;
        return Err(error.context(status));
    }
    let read = "kubectl get secret db-password --output jsonpath='{.data.password}' | base64 --decode";
    ensure!(run(&shell, read).await? == "s3cret");

    // It goes on with step 5 of the other chapter.
    let variable = blocks(quick_start::CHAPTER)
        .into_iter()
        .find(|it| it.starts_with("kubectl label namespace"));
    the_variable_arrives(&world, &shell, variable.context("step 5")?).await
}
