//! What becomes of pods.

use akv2k8s_testbed::wait::until;
use anyhow::ensure;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, ListParams};
use serde_json::{Value, json};

use crate::bed::{Bed, PATIENCE, WRAPPER, app, pod};

fn variable<'p>(container: &'p Value, name: &str) -> &'p Value {
    let env = container["env"].as_array().map(Vec::as_slice).unwrap_or_default();
    let found = env.iter().find(|it| it["name"] == name);
    found.map_or(&Value::Null, |it| &it["value"])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_is_prepared_even_where_only_restricted_pods_may_be() -> anyhow::Result<()> {
    let bed = Bed::new("prepared", &[]).await?;
    bed.apply_akvs("db", "secret").await?;
    let label = [
        "label",
        "namespace",
        bed.namespace.name(),
        "pod-security.kubernetes.io/enforce=restricted",
    ];
    bed.cluster.kubectl(&label).await?.success()?;
    let unrestricted = pod("unrestricted", &json!([app("a value")]));
    until("the standard to be enforced", PATIENCE, async || {
        let (_, _, said) = bed.create(&unrestricted, &["--dry-run=server"]).await.ok()?;
        said.contains("violates PodSecurity").then_some(())
    })
    .await?;
    let mut container = app("db@azurekeyvault");
    container["securityContext"] = json!({"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}});
    let mut before = pod(
        "shop",
        &json!([container, {"name": "plain", "image": "plain", "securityContext": container["securityContext"]}]),
    );
    before["metadata"] = json!({"generateName": "shop-"});
    before["spec"]["securityContext"] =
        json!({"runAsNonRoot": true, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}});

    let (created, after, said) = bed.create(&before, &[]).await?;
    ensure!(created && said.is_empty(), "{said}");
    let prepared = &after["spec"]["containers"][0];
    assert_eq!(prepared["command"], json!([WRAPPER]));
    assert_eq!(prepared["args"], json!(["app", "--serve"]));
    assert_eq!(variable(prepared, "DB"), "db@azurekeyvault");
    let broker = format!("https://akv2k8s-envinjector.{}.svc:9443", bed.namespace);
    assert_eq!(variable(prepared, "ENV_INJECTOR_AUTH_SERVICE"), &json!(broker));
    let bundle = variable(prepared, "ENV_INJECTOR_AUTH_SERVICE_CA")
        .as_str()
        .unwrap_or_default();
    assert_eq!(
        bundle.matches("BEGIN CERTIFICATE").count(),
        2,
        "the current authority and the next: {bundle}"
    );
    assert_eq!(after["spec"]["initContainers"][0]["name"], "copy-azurekeyvault-env");
    assert_eq!(after["spec"]["containers"][1]["command"], Value::Null);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_that_do_not_ask_never_reach_the_webhook() -> anyhow::Result<()> {
    let bed = Bed::new("bystanders", &[]).await?;
    let before = bed.reviews().await?;
    for number in 0..20 {
        let mut plain = pod(&format!("plain-{number}"), &json!([app("a value")]));
        plain["spec"]["initContainers"] = json!([{"name": "init", "image": "init"}]);
        plain["spec"]["containers"][0]["envFrom"] = json!([{"configMapRef": {"name": "settings"}}]);
        let (created, after, said) = bed.create(&plain, &[]).await?;
        ensure!(created, "{said}");
        assert_eq!(after["spec"]["containers"][0]["command"], json!(["app", "--serve"]));
    }
    assert_eq!(bed.reviews().await?, before);

    // Each of these asks, in one of the four ways.
    let reference = json!([{"name": "A", "value": "probe@azurekeyvault"}]);
    let mut init = pod("init", &json!([app("a value")]));
    init["spec"]["initContainers"] = json!([{"name": "init", "image": "init", "command": ["init"], "env": reference}]);
    let mut opted_in = pod("opted-in", &json!([app("a value")]));
    opted_in["metadata"]["labels"] = json!({"azure-key-vault-env-injection": "enabled"});
    opted_in["spec"]["containers"][0]["envFrom"] = json!([{"configMapRef": {"name": "settings"}}]);
    let direct = pod(
        "direct",
        &json!([{
            "name": "app", "image": "app", "command": ["app"],
            "env": [{"name": "A", "value": "azurekeyvault://kv1/secrets/db"}, {"name": "ENV_INJECTOR_DISABLE_AUTH_SERVICE", "value": "true"}],
        }]),
    );
    for (number, asking) in [
        pod("literal", &json!([app("probe@azurekeyvault")])),
        init,
        opted_in,
        direct,
    ]
    .iter()
    .enumerate()
    {
        let (created, after, said) = bed.create(asking, &[]).await?;
        ensure!(created, "{said}");
        assert_eq!(
            after["spec"]["initContainers"][0]["name"], "copy-azurekeyvault-env",
            "{after}"
        );
        assert_eq!(bed.reviews().await?, before + 1 + number as u64);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_shows_the_prepared_pod_and_leaves_nothing_behind() -> anyhow::Result<()> {
    let bed = Bed::new("dry-run", &[]).await?;
    let secrets: Api<Secret> = Api::namespaced(bed.cluster.client()?, bed.namespace.name());
    let count = async || anyhow::Ok(secrets.list(&ListParams::default()).await?.items.len());
    let before = count().await?;
    let (created, after, said) = bed
        .create(
            &pod("shop", &json!([app("probe@azurekeyvault")])),
            &["--dry-run=server"],
        )
        .await?;
    ensure!(created, "{said}");
    assert_eq!(after["spec"]["containers"][0]["command"], json!([WRAPPER]));
    assert!(bed.pods()?.get_opt("shop").await?.is_none());
    assert_eq!(count().await?, before);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_shows_a_slip_of_the_pen_with_the_nearest_name() -> anyhow::Result<()> {
    let bed = Bed::new("typo", &[]).await?;
    bed.apply_akvs("db-password", "secret").await?;
    bed.apply_akvs("web", "certificate").await?;
    for (number, (value, expected)) in [
        (
            "db-pasword@azurekeyvault",
            "has no AzureKeyVaultSecret 'db-pasword'; did you mean 'db-password'?",
        ),
        (
            "web@azurekeyvault?tls.kye",
            "the certificate 'web' has no 'tls.kye'; did you mean 'tls.key'?",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let (created, _, said) = bed
            .create(&pod(&format!("typo-{number}"), &json!([app(value)])), &[])
            .await?;
        assert!(
            created && said.contains("Warning: Variable DB of container 'app'") && said.contains(expected),
            "{said}"
        );
    }
    // An AKVS of the same breath is none, even if no watch has shown it yet.
    for number in 0..5 {
        let name = format!("new-{number}");
        bed.apply_akvs(&name, "secret").await?;
        let (created, _, said) = bed
            .create(&pod(&name, &json!([app(&format!("{name}@azurekeyvault"))])), &[])
            .await?;
        assert!(created && said.is_empty(), "{said}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_that_cannot_be_prepared_is_denied_in_words_that_help() -> anyhow::Result<()> {
    let bed = Bed::new("denied", &[]).await?;
    let mut setting = app("probe@azurekeyvault");
    let yes = json!({"name": "ENV_INJECTOR_DISABLE_AUTH_SERVICE", "value": "yes"});
    setting["env"] = json!([setting["env"][0], yes]);
    let mut silent = app("probe@azurekeyvault");
    silent["command"] = Value::Null;
    for (container, expected) in [
        (
            setting,
            "InjectionSettingInvalid: Variable ENV_INJECTOR_DISABLE_AUTH_SERVICE of container 'app' is no boolean.",
        ),
        (silent, "Set command in the container."),
        (
            app("azurekeyvault://kv1/db"),
            "ReferenceInvalid: Variable DB of container 'app'",
        ),
    ] {
        let (created, _, said) = bed.create(&pod("denied", &json!([container])), &[]).await?;
        assert!(
            !created && said.contains("denied the request") && said.contains(expected),
            "{said}"
        );
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_broker_specs_are_in_the_pod_and_a_missing_one_denies_it() -> anyhow::Result<()> {
    let bed = Bed::new("direct", &[("USE_AUTH_SERVICE", "false")]).await?;
    let shop = pod("shop", &json!([app("db@azurekeyvault")]));
    let (created, _, said) = bed.create(&shop, &[]).await?;
    assert!(
        !created && said.contains("AkvsNotFound: ") && said.contains("has no AzureKeyVaultSecret 'db'"),
        "{said}"
    );
    bed.apply_akvs("db", "secret").await?;
    let (created, after, said) = bed.create(&shop, &[]).await?;
    ensure!(created, "{said}");
    let specs = variable(&after["spec"]["containers"][0], "ENV_INJECTOR_SPECS")
        .as_str()
        .unwrap_or_default();
    let expected = json!({"db": {"vault": {"name": "kv1", "object": {"name": "db", "type": "secret"}}}});
    assert_eq!(serde_json::from_str::<Value>(specs)?, expected);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prepared_pod_that_is_created_again_stays_as_it_is() -> anyhow::Result<()> {
    let bed = Bed::new("restored", &[]).await?;
    let (created, mut prepared, said) = bed
        .create(&pod("shop", &json!([app("probe@azurekeyvault")])), &[])
        .await?;
    ensure!(created, "{said}");
    let metadata = json!({"name": "restored", "namespace": bed.namespace.name()});
    prepared["metadata"] = metadata;
    let (created, restored, said) = bed.create(&prepared, &[]).await?;
    ensure!(created, "{said}");
    assert_eq!(restored["spec"], prepared["spec"]);
    Ok(())
}
