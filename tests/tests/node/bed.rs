//! One node for all tests of this binary, and pods on it.

use std::sync::OnceLock;

use akv2k8s_testbed::node::{self, Node, guest};
use anyhow::{Context, anyhow};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

/// The runtime that the node's own tasks live in: those of single tests end with their test.
fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| Runtime::new().expect("a runtime"))
}

/// Runs `test` on the shared node; says why not where no node can run.
pub(crate) fn on_node(test: impl AsyncFnOnce(&'static Node) -> anyhow::Result<()>) -> anyhow::Result<()> {
    static NODE: OnceLock<Result<Node, String>> = OnceLock::new();
    if !node::available(1) {
        return Ok(());
    }
    let start = || runtime().block_on(Node::start()).map_err(|error| format!("{error:#}"));
    let node = NODE.get_or_init(start).as_ref().map_err(|error| anyhow!("{error}"))?;
    runtime().block_on(test(node))
}

/// A pod that runs the guest once, with these arguments; `change` it before it is created.
pub(crate) fn pod(name: &str, arguments: &[&str]) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {
            "restartPolicy": "Never",
            "containers": [{"name": "guest", "image": guest::IMAGE, "args": arguments}],
        },
    })
}

/// Creates what a JSON document describes.
pub(crate) async fn create(node: &Node, namespace: &str, document: &Value) -> anyhow::Result<()> {
    let arguments = ["--namespace", namespace, "create", "-f", "-"];
    let output = node
        .cluster
        .kubectl_with_input(&arguments, &document.to_string())
        .await?;
    output.success()?;
    Ok(())
}

/// What the guest prints when it runs once with these arguments.
pub(crate) async fn said(node: &Node, namespace: &str, name: &str, arguments: &[&str]) -> anyhow::Result<String> {
    create(node, namespace, &pod(name, arguments)).await?;
    let phase = node.ended(namespace, name).await?;
    let log = node.log_now(namespace, name).await?;
    if phase != "Succeeded" {
        let described = node.describe(namespace, name).await;
        return Err(anyhow!("{described}")).with_context(|| format!("it {phase}, and said {log:?}"));
    }
    Ok(log)
}
