use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use async_trait::async_trait;
use hyper::{Request, Response};
use kube::client::Body;
use prometheus_client::registry::Registry;
use serde_json::json;

use super::super::testing::{World, app, pod};
use super::super::{ImageQuery, deadline};
use super::*;

/// An API server that says after a while that the namespace is labelled, and answers questions about AKVS with this status, or never.
fn api_server(slow: Duration, akvs: Option<u16>) -> kube::Client {
    let answer = move |request: Request<Body>| async move {
        let (status, body) = if request.uri().path().contains("azurekeyvaultsecrets") {
            match akvs {
                Some(status) => (status, refusal(status)),
                None => std::future::pending().await,
            }
        } else {
            tokio::time::sleep(slow).await;
            (200, namespace())
        };
        Response::builder()
            .status(status)
            .body(Body::from(body.to_string().into_bytes()))
    };
    kube::Client::new(tower::service_fn(answer), "default")
}

fn namespace() -> Value {
    let labels = json!({"azure-key-vault-env-injection": "enabled"});
    json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": {"name": "shop", "labels": labels}})
}

fn refusal(code: u16) -> Value {
    let reason = match code {
        403 => "Forbidden",
        404 => "NotFound",
        _ => "ServiceUnavailable",
    };
    json!({"kind": "Status", "status": "Failure", "message": "no", "reason": reason, "code": code})
}

/// A registry that never answers.
#[derive(Default)]
struct Silent(AtomicUsize);

#[async_trait]
impl ImageLookup for Silent {
    async fn config(&self, _: &ImageQuery) -> Result<ImageConfig, LookupError> {
        self.0.fetch_add(1, SeqCst);
        std::future::pending().await
    }
}

fn webhook(world: World, client: kube::Client, images: Arc<Silent>) -> Webhook {
    Webhook {
        settings: world.settings,
        // Nobody follows the watches: nothing has been seen.
        cluster: Cluster::watch(&client, None).0,
        client,
        authorities: Arc::new(String::new),
        images,
        metrics: Metrics::register(&mut Registry::default()),
        questions: Webhook::turns(),
    }
}

/// The denial of a pod, and how long it took.
async fn denied(webhook: &Webhook, pod: &Value) -> (String, Duration) {
    let review = json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {"uid": "u", "kind": {"kind": "Pod"}, "namespace": "shop", "operation": "CREATE", "object": pod},
    });
    let start = Instant::now();
    let until = deadline(start, Some("timeout=10s"));
    let answer = webhook.answer(review.to_string().as_bytes(), until).await.unwrap();
    assert_eq!(answer["response"]["allowed"], false);
    let message = answer["response"]["status"]["message"].as_str().unwrap();
    (message.to_owned(), start.elapsed())
}

#[tokio::test(start_paused = true)]
async fn a_slow_api_server_and_a_silent_registry_together_are_a_denial_in_time() {
    let slow = Duration::from_millis(2900);
    let webhook = webhook(World::direct(), api_server(slow, None), Arc::default());
    let mut container = app();
    container.as_object_mut().unwrap().remove("command");
    let (message, took) = denied(&webhook, &pod(&json!([container]))).await;
    assert!(message.starts_with("RegistryUnavailable: "), "{message}");
    assert!(took <= Duration::from_millis(9100), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn an_akvs_of_which_nothing_could_be_found_out_is_not_said_to_be_missing() {
    for (status, code) in [
        (Some(404), "AkvsNotFound: "),
        (Some(403), "ApiServerForbidden: "),
        (Some(503), "ApiServerUnavailable: "),
        (None, "ApiServerUnavailable: "),
    ] {
        let client = api_server(Duration::ZERO, status);
        let webhook = webhook(World::direct(), client, Arc::default());
        let (message, took) = denied(&webhook, &pod(&json!([app()]))).await;
        assert!(message.starts_with(code), "{status:?}: {message}");
        let says_missing = message.contains("has no AzureKeyVaultSecret");
        assert_eq!(says_missing, status == Some(404), "{message}");
        assert!(took <= PATIENCE + Duration::from_millis(100), "{took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn questions_about_akvs_wait_for_their_turn() {
    let client = api_server(Duration::ZERO, Some(404));
    let mut webhook = webhook(World::direct(), client, Arc::default());
    // One turn, for the label; it is given back.
    webhook.questions = Places::new(1, 1);
    let (message, _) = denied(&webhook, &pod(&json!([app()]))).await;
    assert!(message.starts_with("AkvsNotFound: "), "{message}");
    // It is known that injection is on, and there is no turn left.
    let none = Places::new(0, 1);
    let until = Instant::now() + PATIENCE;
    let mentioned = BTreeSet::from(["db".to_owned()]);
    let seen = seen(&webhook.client, "shop", Arc::default(), mentioned, &none, until).await;
    assert!(seen.not_told.contains_key("db"));
}

#[tokio::test(start_paused = true)]
async fn whoever_mentions_many_akvs_keeps_no_other_namespace_waiting() {
    // Questions about AKVS are never answered, those about labels at once.
    let webhook = webhook(World::direct(), api_server(Duration::ZERO, None), Arc::default());
    let many = (0..16).map(|number| format!("akvs-{number}")).collect();
    let until = Instant::now() + PATIENCE;
    let greedy = seen(
        &webhook.client,
        "greedy",
        Arc::default(),
        many,
        &webhook.questions,
        until,
    );
    let labelled = tokio::select! {
        biased;
        _ = greedy => None,
        labelled = webhook.is_labelled("shop", until) => Some(labelled),
    };
    assert_eq!(labelled, Some(Ok(true)));
}

#[tokio::test(start_paused = true)]
async fn references_that_nobody_sees_are_no_pod_without_specs_while_the_namespace_is_not_known() {
    let client = api_server(Duration::ZERO, Some(403));
    let webhook = webhook(World::direct(), client, Arc::default());
    let mut container = app();
    container["env"] = json!([]);
    container["envFrom"] = json!([{"configMapRef": {"name": "c"}}]);
    let mut unseen = pod(&json!([container]));
    unseen["metadata"]["labels"] = json!({"azure-key-vault-env-injection": "enabled"});
    let (message, _) = denied(&webhook, &unseen).await;
    assert!(
        message.starts_with("ApiServerUnavailable: Container 'app' "),
        "{message}"
    );
    assert!(message.contains("the env injector's log says why"), "{message}");
}

#[tokio::test(start_paused = true)]
async fn what_the_pod_alone_rules_out_is_denied_without_asking_a_registry() {
    let registry = Arc::new(Silent::default());
    let client = api_server(Duration::ZERO, None);
    let webhook = webhook(World::new(), client, Arc::clone(&registry));
    let mut container = app();
    container.as_object_mut().unwrap().remove("command");
    let mut windows = pod(&json!([container]));
    windows["spec"]["nodeSelector"] = json!({"kubernetes.io/os": "windows"});
    let (message, took) = denied(&webhook, &windows).await;
    assert!(message.starts_with("InjectionImpossible: "), "{message}");
    assert_eq!((registry.0.load(SeqCst), took), (0, Duration::ZERO));
}
