//! Who is let in, and how soon whoever is not any more is out, with an API server that does as it is told.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::diagnosis::Code;
use crate::http::Limits;
use crate::identity::AuthType;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use kube::client::Body;
use serde_json::{Value, json};

use super::*;

/// What is there, and what was asked for.
#[derive(Default)]
struct Cluster {
    has_no_right: AtomicBool,
    has_policy: AtomicBool,
    is_away: AtomicBool,
    tokens: AtomicUsize,
}

impl Cluster {
    fn answer(&self, method: &str) -> (u16, Value) {
        let is = |flag: &AtomicBool| flag.load(Ordering::SeqCst);
        if is(&self.is_away) {
            return refusal(503, "away");
        }
        if is(&self.has_no_right) {
            let words = "User \"c\" cannot get resource \"serviceaccounts\"";
            return refusal(403, words);
        }
        if method == "GET" {
            let annotations = json!({"azure.workload.identity/client-id": "c-1"});
            let metadata = json!({"name": "reader", "namespace": "shop", "annotations": annotations});
            let kind = "PartialObjectMetadata";
            return (
                200,
                json!({"kind": kind, "apiVersion": "meta.k8s.io/v1", "metadata": metadata}),
            );
        }
        self.tokens.fetch_add(1, Ordering::SeqCst);
        if is(&self.has_policy) {
            return refusal(422, "denied request: namespace 'shop' is not labelled");
        }
        let claims = json!({"iss": "https://issuer", "sub": "system:serviceaccount:shop:reader",
                            "aud": ["api://AzureADTokenExchange"], "exp": 4_000_000_000_u64, "iat": 1});
        let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        let token = format!("{}.{}.c2ln", part(&json!({"alg": "none"})), part(&claims));
        let status = json!({"token": token, "expirationTimestamp": "2096-10-02T07:06:40Z"});
        (
            201,
            json!({"metadata": {}, "spec": {"audiences": []}, "status": status}),
        )
    }

    fn tokens(&self) -> usize {
        self.tokens.load(Ordering::SeqCst)
    }
}

fn refusal(code: u16, message: &str) -> (u16, Value) {
    let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message,
                        "reason": "Reason", "code": code});
    (code, status)
}

fn bed() -> (Arc<Cluster>, Readers) {
    let cluster: Arc<Cluster> = Arc::default();
    let asked = Arc::clone(&cluster);
    let answer = move |request: hyper::Request<Body>| {
        let (code, body) = asked.answer(request.method().as_str());
        async move {
            hyper::Response::builder()
                .status(code)
                .body(Body::from(body.to_string().into_bytes()))
        }
    };
    let client = kube::Client::new(tower::service_fn(answer), "default");
    let environment = [("AZURE_TENANT_ID", "t-1")].into_iter().collect();
    let http = HttpClient::from_environment(&environment, Limits::default()).unwrap();
    let home = Provider::new(environment, AuthType::ManagedIdentity, "none".into(), http.clone());
    let accounts = ServiceAccounts::new(client, home.clone(), http);
    (cluster, Readers::new(home, Some(accounts)))
}

fn reader() -> Reader {
    Reader::new("shop", Some("reader"))
}

async fn later(seconds: u64) {
    tokio::time::advance(Duration::from_secs(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn whoever_may_be_used_stays_the_same_and_costs_a_token_every_five_minutes() {
    let (cluster, readers) = bed();
    let first = readers.identity(&reader()).await.unwrap();
    for _ in 0..120 {
        later(30).await;
        assert_eq!(readers.identity(&reader()).await.unwrap(), first);
    }
    assert!(!first.is_closed());
    assert_eq!(cluster.tokens(), 13, "at first, and twelve times in an hour");
}

#[tokio::test(start_paused = true)]
async fn without_the_right_the_tokens_are_dropped_within_five_seconds() {
    let (cluster, readers) = bed();
    let first = readers.identity(&reader()).await.unwrap();
    cluster.has_no_right.store(true, Ordering::SeqCst);
    later(4).await;
    assert!(readers.identity(&reader()).await.is_ok(), "looked at a moment ago");
    later(1).await;
    let refused = readers.identity(&reader()).await.unwrap_err();
    assert_eq!(refused.diagnosis.code, Code::ServiceAccountForbidden);
    assert!(first.is_closed(), "nobody who holds it gets a token any more");
    cluster.has_no_right.store(false, Ordering::SeqCst);
    later(5).await;
    let again = readers.identity(&reader()).await.unwrap();
    assert!(!again.is_closed() && first.is_closed());
}

#[tokio::test(start_paused = true)]
async fn a_policy_that_refuses_now_counts_within_five_minutes() {
    let (cluster, readers) = bed();
    let first = readers.identity(&reader()).await.unwrap();
    cluster.has_policy.store(true, Ordering::SeqCst);
    let mut waited = 0;
    let refused = loop {
        later(5).await;
        waited += 5;
        if let Err(refused) = readers.identity(&reader()).await {
            break refused;
        }
    };
    assert_eq!(refused.diagnosis.code, Code::ServiceAccountTokenRefused);
    assert!(waited <= 305 && first.is_closed(), "{waited} s");
}

#[tokio::test(start_paused = true)]
async fn while_the_api_server_is_away_the_tokens_stay() {
    let (cluster, readers) = bed();
    let first = readers.identity(&reader()).await.unwrap();
    cluster.is_away.store(true, Ordering::SeqCst);
    later(5).await;
    assert!(readers.identity(&reader()).await.is_err());
    assert!(!first.is_closed());
    cluster.is_away.store(false, Ordering::SeqCst);
    later(5).await;
    assert_eq!(readers.identity(&reader()).await.unwrap(), first);
}

#[tokio::test(start_paused = true)]
async fn whoever_nobody_needs_any_more_loses_the_tokens() {
    let (_cluster, readers) = bed();
    let named = [reader()];
    let first = readers.identity(&reader()).await.unwrap();
    readers.retain(named.iter());
    assert!(!first.is_closed());
    readers.retain([].iter());
    assert!(first.is_closed());
    let second = readers.identity(&reader()).await.unwrap();
    readers.release(&reader());
    assert!(second.is_closed());
}

#[tokio::test(start_paused = true)]
async fn whoever_nobody_asked_for_lately_loses_the_tokens() {
    let (_cluster, readers) = bed();
    let (within, first) = (Duration::from_mins(1), readers.identity(&reader()).await.unwrap());
    later(50).await;
    readers.retain_used(within);
    assert_eq!(readers.identity(&reader()).await.unwrap(), first);
    later(50).await;
    readers.retain_used(within);
    assert!(!first.is_closed(), "it was asked for a second time");
    later(10).await;
    readers.retain_used(within);
    assert!(first.is_closed());
}
