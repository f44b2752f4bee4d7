//! examples/injector/guard.yaml: pods that nobody prepared.

use akv2k8s_testbed::wait::until;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, PostParams};
use serde_json::{Value, json};

use crate::bed::{PATIENCE, WRAPPER, app, labelled, pod};

const GUARD: &str = include_str!("../../../examples/injector/guard.yaml");

#[tokio::test(flavor = "multi_thread")]
async fn with_failure_policy_ignore_no_pod_starts_with_a_reference_for_a_value() -> anyhow::Result<()> {
    let (cluster, namespace) = labelled("guarded").await?;
    // Of the one cluster of all tests, only this namespace.
    let selector = "azure-key-vault-env-injection: enabled\n";
    let only = format!("{selector}        kubernetes.io/metadata.name: {namespace}\n");
    let guard = GUARD.replace(selector, &only);
    cluster
        .kubectl_apply(&guard.replace("akv2k8s-envinjector-guard", &format!("guard-{namespace}")))
        .await?;
    let pods: Api<Pod> = Api::namespaced(cluster.client()?, namespace.name());
    let dry_run = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    let create = async |pod: Value| {
        let pod: Pod = serde_json::from_value(pod).map_err(|error| error.to_string())?;
        pods.create(&dry_run, &pod)
            .await
            .map(drop)
            .map_err(|error| error.to_string())
    };
    until("the policy to take effect", PATIENCE, async || {
        create(pod("probe", &json!([app("db@azurekeyvault")])))
            .await
            .is_err()
            .then_some(())
    })
    .await?;

    let in_init = |value: &str| {
        let mut pod = pod("x", &json!([{"name": "plain", "image": "plain"}]));
        let mut init = app(value);
        init["name"] = json!("init");
        pod["spec"]["initContainers"] = json!([init]);
        pod
    };
    for value in [
        "db@azurekeyvault",
        "a.b-C@azurekeyvault?",
        "db@azurekeyvault?tls.key-1",
        "azurekeyvault://kv1/secrets/db",
    ] {
        for pod in [
            pod("x", &json!([{"name": "plain", "image": "plain"}, app(value)])),
            in_init(value),
        ] {
            let refusal = create(pod).await.err().unwrap_or_default();
            assert!(
                refusal.contains("the env injector did not prepare this pod"),
                "{value}: {refusal}"
            );
        }
    }
    let mut prepared = app("db@azurekeyvault");
    prepared["command"] = json!([WRAPPER]);
    let mut from_image = app("a value");
    from_image["command"] = Value::Null;
    for container in [
        prepared,
        from_image,
        app("ops@azurekeyvault.example.org"),
        app("x db@azurekeyvault"),
        app("db@azurekeyvault?1"),
        json!({"name": "app", "image": "app", "env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]}),
    ] {
        assert_eq!(create(pod("x", &json!([container]))).await, Ok(()), "{container}");
    }
    // Within what CEL may cost, for pods as large as they come.
    let many: Vec<_> = (0..2000)
        .map(|number| json!({"name": format!("V{number}"), "value": "x".repeat(50)}))
        .collect();
    let large = json!([{"name": "app", "image": "app", "env": many}]);
    assert_eq!(create(pod("x", &large)).await, Ok(()));
    Ok(())
}
