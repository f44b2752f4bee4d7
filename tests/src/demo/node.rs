//! `cargo demo --node`: the env injector on a real node.

use std::io::Write;

use anyhow::ensure;

use super::{NAMESPACE, Stage, VAULT, example, injection, seed};
use crate::installation::Installation;
use crate::node::{self, Node, guest};
use crate::provision::{Locations, Program, provision};

/// Installs the env injector as users do, and lets the node run a Deployment whose program gets a value.
pub(super) async fn run(out: &mut impl Write) -> anyhow::Result<()> {
    node::probe_machine()?;
    provision(
        &Locations::from_env(),
        &[Program::CONTROL_PLANE, Program::NODE].concat(),
        out,
    )?;
    writeln!(
        out,
        "\n== Starting a node (kubelet, kube-proxy, containerd) and installing the env injector with examples/injector; the first time \
         its programs are compiled"
    )?;
    let node = Node::start().await?;
    let installation = Installation::new(&node).await?;
    seed::fill(&installation.vault(VAULT))?;
    let mut stage = Stage {
        cluster: &node.cluster,
        out,
    };
    stage.note(&format!(
        "the node was up in {:.1} s",
        node.startup_time().as_secs_f32()
    ))?;
    stage
        .kubectl(&["-n", "akv2k8s", "get", "deployments,pods,services"])
        .await?;

    stage.say("A Deployment whose variable DB_PASSWORD is secret-sync@azurekeyvault: examples/injector/app.yaml, with an image of ours")?;
    stage.kubectl(&["create", "namespace", NAMESPACE]).await?;
    stage
        .kubectl(&["label", "namespace", NAMESPACE, injection::LABEL])
        .await?;
    crate::stack::prepares(stage.cluster, NAMESPACE).await?;
    stage
        .kubectl(&["-n", NAMESPACE, "apply", "-f", &example("sync/01-secret.yaml")])
        .await?;
    node.cluster
        .kubectl_with_input(&["-n", NAMESPACE, "apply", "-f", "-"], &app()?)
        .await?
        .success()?;
    stage
        .kubectl(&["-n", NAMESPACE, "rollout", "status", "deployment/app", "--timeout=180s"])
        .await?;
    stage.kubectl(&["-n", NAMESPACE, "get", "pods"]).await?;
    let pod = injection::pod_of(&stage).await?;
    let line = ["-n", NAMESPACE, "logs", &pod];
    let printed = async || {
        let log = node.cluster.kubectl(&line).await.ok()?.success().ok()?;
        crate::installation::environment(&log).ok()
    };
    let variables = crate::wait::until("the program to start", super::LIMIT, printed).await?;
    ensure!(
        variables.get("DB_PASSWORD").is_some_and(|it| it == seed::FIRST_VALUE),
        "the program did not get the vault's value"
    );
    stage.note("the program's DB_PASSWORD is equal to the vault's value")
}

/// The example, with the program that every node of the test bed has.
fn app() -> anyhow::Result<String> {
    let text = include_str!("../../../examples/injector/app.yaml");
    let mut app: serde_json::Value = serde_yaml::from_str(text)?;
    let container = &mut app["spec"]["template"]["spec"]["containers"][0];
    container["image"] = guest::IMAGE.into();
    container["command"] = serde_json::json!([guest::PATH, "live"]);
    Ok(app.to_string())
}
