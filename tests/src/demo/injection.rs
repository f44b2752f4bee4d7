//! The last act: a program that starts with a value in its environment.

use std::io::Write;

use anyhow::{Context, ensure};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};

use super::{LIMIT, NAMESPACE, Stage, example, seed};
use crate::container::Container;
use crate::installation::names_of;
use crate::stack::{Injector, Stack, prepares};
use crate::wait::until;

/// The label by which a namespace asks for injection.
pub(super) const LABEL: &str = "azure-key-vault-env-injection=enabled";
/// What tells whose pods are those of the example.
const SELECTOR: &str = "app=app";

/// Starts the env injector, lets the API server create the example's pod, and starts its program as the kubelet would. Gives the env
/// injector, which runs on.
pub(super) async fn play<W: Write>(stage: &mut Stage<'_, W>, stack: &Stack) -> anyhow::Result<Injector> {
    stage.say("Starting akv2k8s-envinjector: the API server shows it the pods that ask for values")?;
    let injector = stack.injector(&[]).await?;
    stage.kubectl(&["label", "namespace", NAMESPACE, LABEL]).await?;
    prepares(stage.cluster, NAMESPACE).await?;

    stage.say(
        "Applying examples/injector/app.yaml: a Deployment whose variable DB_PASSWORD is secret-sync@azurekeyvault",
    )?;
    let apply = ["-n", NAMESPACE, "apply", "-f", &example("injector/app.yaml")];
    stage.kubectl(&apply).await?;
    let name = pod_of(stage).await?;
    let template = "jsonpath={.spec.initContainers[0].name}: {.spec.containers[0].command} {.spec.containers[0].args}";
    stage
        .kubectl(&["-n", NAMESPACE, "get", "pod", &name, "-o", template])
        .await?;
    let pod = stage
        .cluster
        .kubectl(&["-n", NAMESPACE, "get", "pod", &name, "-o", "json"])
        .await?
        .success()?;
    ensure!(!pod.contains(seed::ROTATED_VALUE), "the pod holds the value");
    stage.note("the pod holds the reference and no value")?;

    stage.say("Starting its program as a node would: azure-keyvault-env asks the broker with the pod's token, and becomes the program")?;
    let pod: Value = serde_json::from_str(&pod)?;
    let container = Container::new(stage.cluster, &injector, &pod, "app").await?;
    let mut program = container.command().spawn()?;
    let output = program.stdout.take().context("its output is a pipe")?;
    let mut lines = BufReader::new(output).lines();
    let line = tokio::time::timeout(LIMIT, lines.next_line()).await??;
    let line = line.context("it ended without a word")?;
    writeln!(stage.out, "   {line}")?;
    let expected = format!("DB_PASSWORD has {} characters", seed::ROTATED_VALUE.len());
    ensure!(line == expected, "{expected:?} was expected");
    program.kill().await?;
    stage.note("as many as the vault's value has")?;
    Ok(injector)
}

/// The name of the example's pod, once there is one.
pub(super) async fn pod_of<W: Write>(stage: &Stage<'_, W>) -> anyhow::Result<String> {
    let pod = async || {
        names_of(stage.cluster, NAMESPACE, SELECTOR)
            .await
            .ok()?
            .into_iter()
            .next()
    };
    Ok(until("the example's pod", LIMIT, pod).await?)
}
