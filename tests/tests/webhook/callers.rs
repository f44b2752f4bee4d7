//! Who is answered on the webhook's port: the API server, by the path that it was told, and nobody else.

use akv2k8s_testbed::wait::until;
use serde_json::{Value, json};

use crate::bed::{Bed, PATIENCE, WRAPPER, app, pod};

/// A review of a pod in `namespace` with a slip of the pen, to which the webhook answers with the names that there are.
fn review(namespace: &str) -> Vec<u8> {
    let review = json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": "1", "kind": {"group": "", "version": "v1", "kind": "Pod"}, "namespace": namespace,
            "operation": "CREATE", "object": pod("x", &json!([app("db-pasword@azurekeyvault")])),
        },
    });
    review.to_string().into_bytes()
}

/// The status line, and the answer's JSON if it is one.
fn read(answer: &str) -> (&str, Value) {
    let status = answer.get(9..12).unwrap_or_default();
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    (status, serde_json::from_str(body).unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_learn_nothing_while_the_api_server_is_answered() -> anyhow::Result<()> {
    let bed = Bed::new("strangers", &[]).await?;
    bed.apply_akvs("db-password", "secret").await?;
    let namespace = bed.namespace.name();
    let secret = bed.path().await?;
    assert!(secret.starts_with("/pods/") && secret.len() == 70, "{secret}");
    // The minute in which the API server may still know the manifest's path only.
    until("the plain path to be closed", PATIENCE, async || {
        let answer = bed.ask("POST /pods", &review(namespace)).await.ok()?;
        answer.starts_with("HTTP/1.1 403").then_some(())
    })
    .await?;
    let refused = bed.count("admission_requests_refused").await?;
    let guess = format!("/pods/{}", "0".repeat(64));
    let nearly = format!("{}{}", &secret[..69], if secret.ends_with('0') { '1' } else { '0' });
    let paths = ["/pods", "/", &guess, &nearly];
    for path in paths {
        let answer = bed.ask(&format!("POST {path}"), &review(namespace)).await?;
        assert!(
            answer.starts_with("HTTP/1.1 403") && answer.contains("WebhookCallerUnknown"),
            "{path}: {answer}"
        );
        assert!(
            !answer.contains("db-pas") && !answer.contains(namespace),
            "{path}: {answer}"
        );
    }
    assert_eq!(
        bed.count("admission_requests_refused").await?,
        refused + paths.len() as u64
    );

    let answer = bed.ask(&format!("POST {secret}"), &review(namespace)).await?;
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.contains("db-password"),
        "{answer}"
    );
    let (created, after, said) = bed
        .create(&pod("shop", &json!([app("probe@azurekeyvault")])), &[])
        .await?;
    assert!(created, "{said}");
    assert_eq!(after["spec"]["containers"][0]["command"], json!([WRAPPER]));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_that_is_applied_again_costs_no_pod() -> anyhow::Result<()> {
    let bed = Bed::new("upgrade", &[]).await?;
    let secret = bed.path().await?;
    for number in 0..20 {
        if number % 5 == 2 {
            bed.install().await?;
        }
        let name = format!("shop-{number}");
        let (created, after, said) = bed
            .create(&pod(&name, &json!([app("probe@azurekeyvault")])), &[])
            .await?;
        assert!(created, "{name}: {said}");
        assert_eq!(after["spec"]["containers"][0]["command"], json!([WRAPPER]), "{name}");
    }
    // Within its hour, or the next one.
    until("the path to be secret again", PATIENCE, async || {
        let path = bed.path().await.ok()?;
        (path.len() == secret.len()).then_some(())
    })
    .await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn another_label_of_namespaces_counts_in_place_of_the_usual_one() -> anyhow::Result<()> {
    let bed = Bed::new("relabelled", &[("INJECTION_NAMESPACE_LABEL", "inject=yes")]).await?;
    let (created, after, said) = bed
        .create(&pod("shop", &json!([app("probe@azurekeyvault")])), &[])
        .await?;
    assert!(created, "{said}");
    assert_eq!(after["spec"]["containers"][0]["command"], json!([WRAPPER]));
    // The usual label stays, and the API server goes on calling.
    let line = ["label", "namespace", bed.namespace.name(), "inject-"];
    bed.cluster.kubectl(&line).await?.success()?;
    until("injection to be off", PATIENCE, async || {
        let probe = pod("plain", &json!([app("probe@azurekeyvault")]));
        let (_, _, said) = bed.create(&probe, &["--dry-run=server"]).await.ok()?;
        said.contains("does not have the label inject=yes").then_some(())
    })
    .await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_namespace_without_the_label_nothing_is_told_until_it_is_labelled() -> anyhow::Result<()> {
    let bed = Bed::new("unlabelled", &[]).await?;
    let other = bed.cluster.namespace("other").await?;
    let akvs = json!({
        "apiVersion": "spv.no/v2beta1", "kind": "AzureKeyVaultSecret",
        "metadata": {"name": "db-password", "namespace": other.name()},
        "spec": {"vault": {"name": "kv1", "object": {"name": "db-password", "type": "secret"}}},
    });
    bed.cluster.kubectl_apply(&akvs.to_string()).await?;
    let reviews = format!("POST {}", bed.path().await?);
    for namespace in [other.name(), "no-such-namespace"] {
        let answer = bed.ask(&reviews, &review(namespace)).await?;
        let (status, body) = read(&answer);
        assert_eq!(
            (status, &body["response"]["allowed"]),
            ("200", &json!(true)),
            "{answer}"
        );
        assert_eq!(body["response"]["patch"], Value::Null);
        assert!(
            !answer.contains("db-password") && answer.contains("does not have the label"),
            "{answer}"
        );
    }
    // No moment in which a pod would start unprepared: the API server may see the label before our watch does.
    let label = [
        "label",
        "namespace",
        other.name(),
        "azure-key-vault-env-injection=enabled",
    ];
    bed.cluster.kubectl(&label).await?.success()?;
    let answer = bed.ask(&reviews, &review(other.name())).await?;
    assert!(read(&answer).1["response"]["patch"].is_string(), "{answer}");
    Ok(())
}
