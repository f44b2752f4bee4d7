//! What the API server is told to trust.

use std::sync::atomic::Ordering;

use akv2k8s_envinjector::pki::{Options, Pki};
use akv2k8s_shared::diagnosis::Code;
use akv2k8s_testbed::controlplane::ControlPlane;
use akv2k8s_testbed::wait::until;
use futures::future::join_all;
use jiff::SignedDuration;
use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use kube::api::{DeleteParams, PostParams};
use kube::{Api, ResourceExt};
use serde_json::json;

use crate::bed::{Bed, DAY, PATIENCE};

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

fn paths(found: &MutatingWebhookConfiguration) -> Vec<String> {
    let urls = found
        .webhooks
        .iter()
        .flatten()
        .map(|it| it.client_config.url.clone().unwrap());
    urls.map(|it| it.strip_prefix("https://127.0.0.1:9").unwrap().to_owned())
        .collect()
}

/// A replica that looks after the configuration `name`.
async fn replica(bed: &Bed, name: &str) -> Pki {
    let options = Options {
        webhook_configuration: Some(name.to_owned()),
        ..bed.options()
    };
    Pki::open(bed.client.clone(), options).await.unwrap()
}

#[tokio::test]
async fn the_api_server_is_told_a_secret_path_which_all_replicas_know() {
    let bed = Bed::new("path").await.unwrap();
    let name = bed.namespace.name().to_owned();
    let (one, other) = (replica(&bed, &name).await, replica(&bed, &name).await);
    assert!(!one.admits("/pods").await.unwrap(), "nobody can be told to call it so");

    let api = Api::<MutatingWebhookConfiguration>::all(bed.client.clone());
    api.create(&PostParams::default(), &configuration(&name)).await.unwrap();
    // The first request by the manifest's path has the path exchanged, and is answered.
    assert!(one.admits("/pods").await.unwrap());
    let written = api.get(&name).await.unwrap();
    let secret = paths(&written)[0].clone();
    assert_eq!(paths(&written), [secret.clone(), secret.clone()]);
    assert_ne!(secret, "/pods");
    for replica in [&one, &other] {
        assert!(replica.admits(&secret).await.unwrap());
        // The API server's own copy is late, and the other replica has never seen the configuration as it was.
        assert!(replica.admits("/pods").await.unwrap());
        assert!(!replica.admits("/pods/x").await.unwrap());
    }
    other.look().await.unwrap();
    assert_eq!(
        paths(&api.get(&name).await.unwrap()),
        paths(&written),
        "it is theirs in common"
    );

    bed.advance(SignedDuration::from_mins(2));
    for replica in [&one, &other] {
        assert!(!replica.admits("/pods").await.unwrap());
        assert!(replica.admits(&secret).await.unwrap());
    }
    bed.advance(SignedDuration::from_hours(1));
    assert!(other.admits(&secret).await.unwrap(), "nobody has exchanged it yet");
    other.look().await.unwrap();
    assert_ne!(paths(&api.get(&name).await.unwrap())[0], secret);
    assert!(one.admits(&secret).await.unwrap(), "the hour before counts");
    bed.advance(SignedDuration::from_hours(1));
    assert!(!one.admits(&secret).await.unwrap());
    let now = paths(&api.get(&name).await.unwrap())[0].clone();
    assert!(one.admits(&now).await.unwrap(), "what is in force counts, however old");
    api.delete(&name, &DeleteParams::default()).await.unwrap();
}

#[tokio::test]
async fn many_strangers_cost_the_api_server_one_look_in_a_second() {
    let bed = Bed::new("strangers").await.unwrap();
    let name = bed.namespace.name().to_owned();
    let (client, requests) = bed.counted_client();
    let options = Options {
        webhook_configuration: Some(name),
        ..bed.options()
    };
    let pki = Pki::open(client, options).await.unwrap();
    let before = requests.load(Ordering::SeqCst);
    let start = std::time::Instant::now();
    let admitted = join_all((0..500).map(|_| pki.admits("/pods"))).await;
    assert!(admitted.into_iter().all(|it| !it.unwrap()));
    let looks = requests.load(Ordering::SeqCst) - before;
    assert!((1..=1 + start.elapsed().as_secs()).contains(&looks), "{looks} looks");
}

#[tokio::test]
async fn a_change_that_the_cluster_does_not_allow_is_told() {
    let bed = Bed::new("refused").await.unwrap();
    let name = bed.namespace.name().to_owned();
    let api = Api::<MutatingWebhookConfiguration>::all(bed.client.clone());
    api.create(&PostParams::default(), &configuration(&name)).await.unwrap();
    let policy = format!(
        "
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {{name: frozen-{name}}}
spec:
  matchConstraints:
    resourceRules:
      - {{apiGroups: [admissionregistration.k8s.io], apiVersions: [v1], operations: [UPDATE], resources: [mutatingwebhookconfigurations], resourceNames: [{name}]}}
  validations: [{{expression: 'false', message: webhooks are frozen}}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {{name: frozen-{name}}}
spec: {{policyName: frozen-{name}, validationActions: [Deny]}}
"
    );
    ControlPlane::shared()
        .await
        .unwrap()
        .kubectl_apply(&policy)
        .await
        .unwrap();
    let problem = until("the policy to take effect", PATIENCE, async || {
        // Each time it would be due again.
        bed.advance(SignedDuration::from_hours(3));
        replica(&bed, &name).await.look().await.err()
    })
    .await
    .unwrap();
    assert_eq!(problem.code, Code::WebhookConfigurationRefused, "{problem}");
    assert!(
        problem.cause.contains("webhooks are frozen") && problem.what.contains(&name),
        "{problem}"
    );
    // No pod is lost by it: what the configuration says is still how the API server calls.
    let path = paths(&api.get(&name).await.unwrap())[0].clone();
    assert!(replica(&bed, &name).await.admits(&path).await.unwrap());
}

#[tokio::test]
async fn ca_bundle_is_written_when_it_differs_and_only_then() {
    let bed = Bed::new("cabundle").await.unwrap();
    let name = bed.namespace.name().to_owned();
    let pki = replica(&bed, &name).await;
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
    api.delete(&name, &DeleteParams::default()).await.unwrap();
}
