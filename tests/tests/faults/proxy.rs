//! A way to the API server on which answers can be replaced.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use akv2k8s_testbed::controlplane::ControlPlane;
use anyhow::bail;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use kube::client::Body;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::{AbortHandle, JoinSet};

/// What the client gets in place of the server's answer; the server never sees the request.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Answer {
    /// A `Status` with this code and reason.
    Refusal(u16, &'static str),
    /// 200, and JSON that ends in the middle.
    Garbage,
    /// The connection closes without a word.
    Nothing,
}

/// A request to be struck: its method (`None`: any), and what its path ends with.
type Rule = (Option<Method>, &'static str, Answer);

/// Plain HTTP on loopback in front of the API server, with the administrator's rights.
pub(crate) struct Proxy {
    url: String,
    shared: Arc<Shared>,
    task: AbortHandle,
}

struct Shared {
    client: kube::Client,
    rules: Mutex<Vec<Rule>>,
    struck: Mutex<HashMap<&'static str, usize>>,
}

impl Proxy {
    pub(crate) async fn start(cluster: &ControlPlane) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let shared = Arc::new(Shared {
            client: cluster.client()?,
            rules: Mutex::default(),
            struck: Mutex::default(),
        });
        let task = tokio::spawn(serve(Arc::clone(&shared), listener)).abort_handle();
        Ok(Self { url, shared, task })
    }

    /// The controller's flag that leads it here.
    pub(crate) fn flag(&self) -> String {
        format!("--master={}", self.url)
    }

    /// Replaces the answers to such requests from now on.
    pub(crate) fn strike(&self, method: Option<Method>, path: &'static str, answer: Answer) {
        lock(&self.shared.rules).push((method, path, answer));
    }

    /// Lets everything pass again.
    pub(crate) fn lift(&self) {
        lock(&self.shared.rules).clear();
    }

    /// How many requests to `path` were struck.
    pub(crate) fn struck(&self, path: &'static str) -> usize {
        lock(&self.shared.struck).get(path).copied().unwrap_or_default()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve(shared: Arc<Shared>, listener: TcpListener) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Ok((stream, _)) = listener.accept() => {
                let shared = Arc::clone(&shared);
                let service = service_fn(move |request| pass(Arc::clone(&shared), request));
                let connection = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                connections.spawn(connection);
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// An error closes the connection.
async fn pass(shared: Arc<Shared>, request: Request<Incoming>) -> anyhow::Result<Response<Body>> {
    let strikes = |(method, path, _): &&Rule| {
        method.as_ref().is_none_or(|it| it == request.method()) && request.uri().path().ends_with(*path)
    };
    let rule = lock(&shared.rules).iter().find(strikes).cloned();
    if let Some((_, path, answer)) = rule {
        *lock(&shared.struck).entry(path).or_default() += 1;
        return replaced(answer);
    }
    let (mut parts, body) = request.into_parts();
    parts.headers.remove(hyper::header::HOST);
    // The client puts the server's address before the path.
    parts.uri = parts.uri.path_and_query().map_or("/", |it| it.as_str()).parse()?;
    let body = Body::from(body.collect().await?.to_bytes());
    Ok(shared.client.send(Request::from_parts(parts, body)).await?)
}

fn replaced(answer: Answer) -> anyhow::Result<Response<Body>> {
    let (code, body) = match answer {
        Answer::Nothing => bail!("closed on purpose"),
        Answer::Garbage => (200, r#"{"kind":"PartialObjectMetadata","metad"#.to_owned()),
        Answer::Refusal(code, reason) => {
            let status = json!({
                "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                "message": "refused on purpose", "reason": reason, "code": code,
            });
            (code, status.to_string())
        }
    };
    let response = Response::builder()
        .status(StatusCode::from_u16(code)?)
        .header(hyper::header::CONTENT_TYPE, "application/json");
    Ok(response.body(Body::from(body.into_bytes()))?)
}
