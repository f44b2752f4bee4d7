//! What `/metrics` looks like, with nothing and with very much behind it.

use akv2k8s_shared::environment::Environment;
use akv2k8s_shared::http::{HttpClient, Limits as HttpLimits};
use akv2k8s_shared::identity::{AuthType, Provider};
use akv2k8s_shared::keyvault::{Priority, Settings};
use akv2k8s_shared::reference::{ObjectKind, ObjectName, ObjectRef, VaultName};
use serde_json::json;

use super::*;
use crate::queue::{Limits, Reasons};

/// A client and its environment. Nothing leaves this machine: port 1 refuses every connection.
fn client() -> (HttpClient, Environment) {
    let environment = Environment::from_iter([
        ("HTTPS_PROXY", "http://127.0.0.1:1"),
        ("AZURE_CLIENT_ID", "c"),
        ("AZURE_TENANT_ID", "t"),
        ("AZURE_CLIENT_SECRET", "s"),
    ]);
    let http = HttpClient::from_environment(&environment, HttpLimits::default()).unwrap();
    (http, environment)
}

fn metrics(objects: Arc<Objects>, queue: Queue<crate::objects::Key>) -> Metrics {
    let settings = Settings {
        retries: 0,
        ..Settings::default()
    };
    over(KeyVault::new(client().0, settings), objects, queue)
}

fn over(vault: KeyVault, objects: Arc<Objects>, queue: Queue<crate::objects::Key>) -> Metrics {
    let readings = Readings {
        health: Arc::default(),
        objects,
        queue: Arc::new(queue),
    };
    Metrics::new(vault, readings)
}

#[test]
fn every_help_text_ends_with_one_full_stop() {
    let metrics = metrics(Arc::default(), Queue::new(Limits::default()));
    metrics.synced(Cause::ADD, 0.1, Some("Throttled"));
    metrics.polled(None);
    let text = metrics.encode();
    let helps: Vec<_> = text.lines().filter(|line| line.starts_with("# HELP")).collect();
    assert!(helps.len() > 10, "{text}");
    for help in helps {
        assert!(help.ends_with('.') && !help.ends_with(".."), "{help}");
    }
}

#[test]
fn the_first_failure_is_an_increase() {
    let text = metrics(Arc::default(), Queue::new(Limits::default())).encode();
    for series in [
        r#"akv2k8s_syncs_failed_total{operation="sync",object="AzureKeyVault"} 0"#,
        r#"akv2k8s_syncs_failed_total{operation="add",object="AzureKeyVaultSecret"} 0"#,
        r#"akv2k8s_events_lost_total{reason="write"} 0"#,
    ] {
        assert!(text.contains(series), "{series} is not in {text}");
    }
}

/// A client that has asked so many vaults for a secret each, in vain.
async fn asked(vaults: usize) -> KeyVault {
    let (http, environment) = client();
    let provider = Provider::new(environment, AuthType::Environment, "/none".into(), http.clone());
    let identity = provider.identity().await.unwrap();
    let settings = Settings {
        retries: 0,
        ..Settings::default()
    };
    let client = KeyVault::new(http, settings);
    let ask = async |number: usize| {
        let object = ObjectRef {
            vault: VaultName::parse(&format!("kv{number}")).unwrap(),
            kind: ObjectKind::Secret,
            name: ObjectName::parse("canary").unwrap(),
            version: None,
        };
        assert!(client.get(&identity, &object, Priority::New).await.is_err());
    };
    futures::future::join_all((0..vaults).map(ask)).await;
    client
}

/// So many objects of four vaults that were asked, half of which are queued and all of which were synced, with one of three outcomes.
async fn many(number: usize) -> Metrics {
    let objects = Arc::new(Objects::default());
    let queue = Queue::new(Limits::default());
    let mut keys = Vec::new();
    for number in 0..number {
        let vault = format!("kv{}", number % 4);
        let reason = ["Synced", "ObjectNotFound", "ForbiddenByRbac"][number % 3];
        let akvs = json!({
            "apiVersion": "spv.no/v2beta1", "kind": "AzureKeyVaultSecret",
            "metadata": {"name": format!("canary-{number}"), "namespace": format!("team-{}", number % 100), "uid": number.to_string()},
            "spec": {
                "vault": {"name": vault, "object": {"name": format!("canary-{number}"), "type": "secret"}},
                "output": {"secret": {"name": format!("canary-{number}")}},
            },
            "status": {
                "expires": format!("3{:03}-01-01T00:00:00Z", number % 1000),
                "conditions": [{
                    "type": "Ready", "status": "True", "reason": reason, "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z",
                }],
            },
        });
        let (key, _) = objects.observe(serde_json::from_value(akvs).unwrap());
        if number % 2 == 0 {
            queue.add(key.clone(), &vault, Lane::New, Reasons::default());
        }
        keys.push((key, reason));
    }
    let metrics = over(asked(4).await, objects, queue);
    for (_, reason) in keys {
        metrics.synced(Cause::SYNC, 0.1, (reason != "Synced").then_some(reason));
    }
    metrics
}

fn series(text: &str) -> usize {
    text.lines().filter(|line| !line.starts_with('#')).count()
}

#[tokio::test]
async fn ten_thousand_objects_have_no_more_series_than_a_dozen() {
    let (few, much) = (many(12).await.encode(), many(10_000).await.encode());
    assert_eq!(series(&few), series(&much), "{much}");
    assert!(much.contains("akv2k8s_objects{reason=\"Synced\"} 3334.0\n"), "{much}");
    assert!(much.contains("akv2k8s_queue_depth{lane=\"new\"} 5000"), "{much}");
    let asked = r#"akv2k8s_vault_requests_total{vault="kv3.vault.azure.net",operation="getSecret",status="failed"} 1"#;
    assert!(much.contains(asked), "{much}");
    for name in ["canary", "team-"] {
        assert!(!much.contains(name), "{name} is in {much}");
    }
}

/// `docs/metrics.md` says so.
#[tokio::test]
async fn a_vault_that_was_asked_has_eight_series_at_most_and_one_for_each_operation_and_status() {
    const VAULTS: usize = 300;
    let of = async |vaults| series(&over(asked(vaults).await, Arc::default(), Queue::new(Limits::default())).encode());
    let (none, all) = (of(0).await, of(VAULTS).await);
    assert!(
        (VAULTS..=VAULTS * (8 + 1)).contains(&(all - none)),
        "{none} series become {all}"
    );
}
