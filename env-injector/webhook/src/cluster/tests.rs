use std::sync::Mutex;

use hyper::{Request, Response};
use kube::client::Body;
use serde_json::{Value, json};

use super::*;

/// An API server that lets only what is of `shop` be seen, and writes down what it is asked.
fn api_server(asked: Arc<Mutex<Vec<String>>>) -> kube::Client {
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

#[tokio::test(start_paused = true)]
async fn each_namespace_has_watches_of_its_own_and_nothing_is_asked_about_others() {
    let asked = Arc::default();
    let client = api_server(Arc::clone(&asked));
    let served = ["shop", "bank"].map(str::to_owned).into();
    let (cluster, followed) = Cluster::watch(&client, Some(&served));
    assert_eq!(cluster.knowledge("shop"), Knowledge::Outdated);
    tokio::select! {
        () = followed => unreachable!("it never ends"),
        () = cluster.synced() => {}
    }
    let knowledge = ["shop", "bank", "web"].map(|namespace| cluster.knowledge(namespace));
    assert_eq!(
        knowledge,
        [Knowledge::Current, Knowledge::Outdated, Knowledge::NotServed]
    );
    assert!(cluster.is_current_somewhere() && !cluster.is_current_everywhere());
    assert_eq!(cluster.specs("shop").len(), 1);
    assert!(cluster.labels("shop").is_some() && cluster.labels("bank").is_none() && cluster.specs("web").is_empty());
    assert_eq!(cluster.vaults(), ["kv1".to_owned()].into());
    let asked = asked.lock().unwrap();
    let is_narrow = |it: &String| ["shop", "bank"].iter().any(|namespace| it.contains(namespace));
    assert!(!asked.is_empty() && asked.iter().all(is_narrow), "{asked:?}");
}
