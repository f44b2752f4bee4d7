//! What the API server is told to trust.

use akv2k8s_envinjector::pki::Pki;
use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use kube::api::PostParams;
use kube::{Api, ResourceExt};
use serde_json::json;

use crate::bed::{Bed, DAY};

/// A configuration of two webhooks that matches nothing.
fn configuration(name: &str) -> MutatingWebhookConfiguration {
    let webhook = |name: &str| {
        json!({
            "name": name,
            "clientConfig": {"url": "https://127.0.0.1:9/pods"},
            "admissionReviewVersions": ["v1"],
            "sideEffects": "None",
            "rules": [{"operations": ["CREATE"], "apiGroups": ["akv2k8s.test"], "apiVersions": ["v1"], "resources": ["none"]}],
        })
    };
    let webhooks = [
        webhook("pods.env-injector.admission.spv.no"),
        webhook("second.env-injector.admission.spv.no"),
    ];
    serde_json::from_value(json!({"metadata": {"name": name}, "webhooks": webhooks})).unwrap()
}

fn bundles(found: &MutatingWebhookConfiguration) -> Vec<String> {
    let webhooks = found.webhooks.iter().flatten();
    webhooks
        .map(|it| it.client_config.ca_bundle.clone().map(|it| it.0).unwrap_or_default())
        .map(|it| String::from_utf8(it).unwrap())
        .collect()
}

#[tokio::test]
async fn ca_bundle_is_written_when_it_differs_and_only_then() {
    let bed = Bed::new("cabundle").await.unwrap();
    let name = bed.namespace.name().to_owned();
    let options = akv2k8s_envinjector::pki::Options {
        webhook_configuration: Some(name.clone()),
        ..bed.options()
    };
    let pki = Pki::open(bed.client.clone(), options).await.unwrap();
    pki.look().await.expect("one that is not installed yet is no failure");

    let api = Api::<MutatingWebhookConfiguration>::all(bed.client.clone());
    api.create(&PostParams::default(), &configuration(&name)).await.unwrap();
    pki.look().await.unwrap();
    let written = api.get(&name).await.unwrap();
    assert_eq!(bundles(&written), [pki.bundle(), pki.bundle()]);
    let webhook = &written.webhooks.as_ref().unwrap()[0];
    assert_eq!(webhook.rules.as_ref().unwrap().len(), 1, "all else stays");

    pki.look().await.unwrap();
    let version = |it: &MutatingWebhookConfiguration| it.resource_version();
    assert_eq!(version(&api.get(&name).await.unwrap()), version(&written));

    // After a promotion another replica may still serve what the former authority signed.
    let before = bed.kept("current.crt").await.unwrap();
    bed.advance(DAY * (5 * 365 - 100));
    pki.look().await.unwrap();
    let promoted = api.get(&name).await.unwrap();
    assert_eq!(bundles(&promoted)[0], pki.bundle() + &before);
    api.delete(&name, &kube::api::DeleteParams::default()).await.unwrap();
}
