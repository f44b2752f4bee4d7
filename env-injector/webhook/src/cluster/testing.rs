//! What tests here and elsewhere share.

use std::sync::{Arc, Mutex};

use hyper::{Request, Response};
use kube::client::Body;
use serde_json::{Value, json};

/// An API server that lets only what is of `shop` be seen, where an AKVS names vault `KV1`, and writes down what it is asked.
pub(crate) fn api_server(asked: Arc<Mutex<Vec<String>>>) -> kube::Client {
    let answer = move |request: Request<Body>| {
        let (path, query) = (
            request.uri().path().to_owned(),
            request.uri().query().unwrap_or_default().to_owned(),
        );
        asked.lock().unwrap().push(format!("{path}?{query}"));
        async move {
            if query.contains("watch=true") {
                std::future::pending::<()>().await;
            }
            let is_shops = path.contains("/namespaces/shop/") || query.contains("metadata.name%3Dshop");
            let (code, body) = match is_shops {
                false => (403, refusal()),
                true if path == "/api/v1/namespaces" => (200, list(&json!({"metadata": {"name": "shop"}}))),
                true => (
                    200,
                    list(&json!({"metadata": {"namespace": "shop", "name": "db"}, "spec": {"vault": {"name": "KV1"}}})),
                ),
            };
            let body = Body::from(body.to_string().into_bytes());
            Response::builder().status(code).body(body)
        }
    };
    kube::Client::new(tower::service_fn(answer), "default")
}

fn list(item: &Value) -> Value {
    json!({"kind": "List", "apiVersion": "v1", "metadata": {"resourceVersion": "7"}, "items": [item]})
}

fn refusal() -> Value {
    json!({"kind": "Status", "status": "Failure", "message": "no", "reason": "Forbidden", "code": 403})
}
