//! What `/metrics` looks like, with nothing and with very much behind it.

use akv2k8s_shared::environment::Environment;
use akv2k8s_shared::http::{HttpClient, Limits as HttpLimits};
use akv2k8s_shared::keyvault::Settings;
use serde_json::json;

use super::*;
use crate::queue::{Limits, Reasons};

fn metrics(objects: Arc<Objects>, queue: Queue<crate::objects::Key>) -> Metrics {
    let http = HttpClient::from_environment(&Environment::default(), HttpLimits::default()).unwrap();
    let readings = Readings {
        health: Arc::default(),
        objects,
        queue: Arc::new(queue),
    };
    Metrics::new(KeyVault::new(http, Settings::default()), readings)
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

/// Ten thousand objects of four vaults, half of which are queued and all of which were synced, with one of three outcomes.
fn many(number: usize) -> Metrics {
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
    let metrics = metrics(objects, queue);
    for (_, reason) in keys {
        metrics.synced(Cause::SYNC, 0.1, (reason != "Synced").then_some(reason));
    }
    metrics
}

#[test]
fn ten_thousand_objects_have_no_more_series_than_a_dozen() {
    let series = |text: &str| text.lines().filter(|line| !line.starts_with('#')).count();
    let (few, much) = (many(12).encode(), many(10_000).encode());
    assert_eq!(series(&few), series(&much), "{much}");
    assert!(much.contains("akv2k8s_objects{reason=\"Synced\"} 3334.0\n"), "{much}");
    assert!(much.contains("akv2k8s_queue_depth{lane=\"new\"} 5000"), "{much}");
    for name in ["canary", "team-"] {
        assert!(!much.contains(name), "{name} is in {much}");
    }
}
