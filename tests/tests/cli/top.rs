//! `top`: the real controller's metrics, through the API server's proxy to its pod.

use std::path::Path;

use akv2k8s_testbed::emulator::SecretOptions;
use akv2k8s_testbed::stack::{Stack, install_controller_pod};
use akv2k8s_testbed::stage::PATIENCE;
use akv2k8s_testbed::wait::until;
use anyhow::Context;
use serde_json::{Value, json};

use crate::bed::program;

const DB: &str = "apiVersion: spv.no/v2beta1\nkind: AzureKeyVaultSecret\nmetadata: {name: NAME, namespace: default}\n\
    spec: {vault: {name: kv1, object: {name: db, type: secret}}, output: {secret: {name: NAME, dataKey: v}}}\n";

#[tokio::test(flavor = "multi_thread")]
async fn each_vaults_calls_budget_and_price_are_those_of_the_controller_that_leads() -> anyhow::Result<()> {
    let stack = Stack::start().await?;
    let vault = stack.vault("kv1");
    vault.set_secret("db", "canary", SecretOptions::default())?;
    install_controller_pod(&stack.cluster, None).await?;
    for name in ["a", "b"] {
        stack.cluster.kubectl_apply(&DB.replace("NAME", name)).await?;
    }
    let kubeconfig = stack.cluster.kubeconfig();
    let nobody = program(&["top", "--health-port", "1"], kubeconfig).await?;
    assert_eq!(nobody.code, Some(1), "{nobody:?}");
    assert!(nobody.err.contains("METRICS_ENABLED"), "{nobody:?}");

    let controller = stack.controller().arg("--azure-resync-period=1").start().await?;
    let (_, port) = controller.http().rsplit_once(':').context("an address has a port")?;
    let arguments = ["top", "--health-port", port, "-o", "json"];
    let top = until("the controller to have read both", PATIENCE, async || {
        let said = program(&arguments, kubeconfig).await.ok()?;
        let top: Value = serde_json::from_str(&said.out).ok()?;
        // One read for both, and at least one list.
        let calls = &top["vaults"][0]["calls"];
        (calls["getSecret"].as_u64()? >= 2 && calls["listSecrets"].as_u64()? >= 1).then_some(top)
    });
    let top = top.await?;
    let kv1 = &top["vaults"][0];
    assert_eq!((&kv1["vault"], &kv1["objects"]), (&json!("kv1"), &json!(2)), "{top:#}");
    assert!(
        kv1["budgetPer10s"].as_f64().is_some_and(|budget| budget > 0.0),
        "{top:#}"
    );
    // The challenge is a call, and no operation that Azure counts.
    let seconds = top["seconds"].as_f64().unwrap_or_default().max(1.0);
    let calls: f64 = kv1["calls"]
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(_, count)| count.as_f64())
        .sum();
    let month = kv1["callsPerMonth"].as_f64().unwrap_or_default();
    let counted = month * seconds / (365.25 / 12.0 * 86_400.0);
    assert!((counted - (calls - 1.0)).abs() < 0.01, "{counted} of {calls}: {top:#}");
    is_told_as_yaml(&top, &["top", "--health-port", port, "-o", "yaml"], kubeconfig).await?;
    let text = program(&["top", "--health-port", port, "--price", "2"], kubeconfig).await?;
    assert!(
        text.out.starts_with("VAULT") && text.out.contains("2 US$ for 10,000 operations (your price)"),
        "{text:?}"
    );
    controller.stop().await?;
    Ok(())
}

/// In YAML there is what is in `top`, whose numbers grow.
async fn is_told_as_yaml(top: &Value, arguments: &[&str], kubeconfig: &Path) -> anyhow::Result<()> {
    let said = program(arguments, kubeconfig).await?;
    let yaml: Value = serde_yaml::from_str(&said.out).with_context(|| format!("{said:?}"))?;
    assert!(
        serde_json::from_str::<Value>(&said.out).is_err(),
        "it is no JSON: {said:?}"
    );
    assert_eq!(shape(&yaml), shape(top));
    Ok(())
}

/// `value` with all numbers alike.
fn shape(value: &Value) -> Value {
    match value {
        Value::Number(_) => json!(0),
        Value::Array(all) => all.iter().map(shape).collect(),
        Value::Object(all) => all.iter().map(|(name, it)| (name.clone(), shape(it))).collect(),
        other => other.clone(),
    }
}
