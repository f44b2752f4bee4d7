//! Connections, and the routes of the specification.

use std::convert::Infallible;
use std::future::pending;
use std::sync::Arc;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Method, Response, StatusCode, header};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::{Fault, Shared, auth};
use crate::emulator::http::{Reply, Request};
use crate::image::Blob;

/// Where redirected blobs are, on the other host.
const STORAGE: &str = "storage";

/// Accepts connections until the task is aborted.
pub(super) async fn serve(shared: Arc<Shared>, listener: TcpListener, tls: Option<TlsAcceptor>) {
    // Dropped with this task: no connection outlives its registry.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => if let Ok((stream, _)) = accepted {
                let (shared, tls) = (shared.clone(), tls.clone());
                connections.spawn(async move {
                    match tls {
                        None => connection(shared, stream).await,
                        Some(acceptor) => if let Ok(stream) = acceptor.accept(stream).await {
                            connection(shared, stream).await;
                        },
                    }
                });
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

/// However a connection ends, it is the client's doing.
async fn connection(shared: Arc<Shared>, stream: impl AsyncRead + AsyncWrite + Unpin) {
    let service = service_fn(|request| respond(shared.clone(), request));
    let http = hyper::server::conn::http1::Builder::new();
    let _ = http.serve_connection(TokioIo::new(stream), service).await;
}

async fn respond(shared: Arc<Shared>, request: hyper::Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let accepts = accepted_types(request.headers());
    let reply = match Request::read(request).await {
        Err(error) => Reply::text(StatusCode::BAD_REQUEST, error),
        Ok(request) => {
            let fault = shared.state().fault;
            let reply = match fault {
                None => answer(&shared, &request, &accepts),
                Some(Fault::Status(status, retry_after)) => failure(status, retry_after),
                Some(Fault::Silence) => {
                    journal(&shared, &request, 0);
                    pending().await
                }
            };
            journal(&shared, &request, reply.status.as_u16());
            reply
        }
    };
    let mut response = Response::builder().status(reply.status);
    for (name, value) in &reply.headers {
        response = response.header(name, value);
    }
    let broken = |_| {
        let mut response = Response::new(Full::default());
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        response
    };
    Ok(response.body(Full::new(reply.body)).unwrap_or_else(broken))
}

fn journal(shared: &Shared, request: &Request, status: u16) {
    let scheme = request.header("authorization").and_then(|it| it.split(' ').next());
    let entry = super::Request {
        method: request.method.to_string(),
        path: request.path.clone(),
        scheme: scheme.map(str::to_owned),
        status,
    };
    shared.state().requests.push(entry);
}

fn answer(shared: &Shared, request: &Request, accepts: &[String]) -> Reply {
    if request.path == auth::TOKEN_PATH {
        return auth::token(shared, request);
    }
    if request.path == auth::EXCHANGE_PATH && request.method == Method::POST {
        return auth::exchange(shared, request);
    }
    if request.method != Method::GET && request.method != Method::HEAD {
        return error(
            StatusCode::METHOD_NOT_ALLOWED,
            "UNSUPPORTED",
            "this registry is for reading",
        );
    }
    let segments = request.segments();
    match segments.as_slice() {
        ["v2"] => auth::refuse(shared, request, None).unwrap_or_else(|| Reply::ok(&json!({}))),
        [STORAGE, repository @ .., digest] => stored(shared, request, &repository.join("/"), digest),
        ["v2", repository @ .., "manifests", reference] => {
            let repository = repository.join("/");
            auth::refuse(shared, request, Some(&repository))
                .unwrap_or_else(|| manifest(shared, request, &repository, reference, accepts))
        }
        ["v2", repository @ .., "blobs", digest] => {
            let repository = repository.join("/");
            auth::refuse(shared, request, Some(&repository))
                .unwrap_or_else(|| blob(shared, request, &repository, digest))
        }
        _ => error(StatusCode::NOT_FOUND, "NAME_UNKNOWN", "there is nothing at this path"),
    }
}

fn manifest(shared: &Shared, request: &Request, repository: &str, reference: &str, accepts: &[String]) -> Reply {
    let state = shared.state();
    let Some(manifest) = state.content.manifest(repository, reference) else {
        return error(StatusCode::NOT_FOUND, "MANIFEST_UNKNOWN", "no such tag or digest");
    };
    // Real registries convert, or refuse, what a client does not say that it understands.
    if !accepts.iter().any(|it| it == "*/*" || *it == manifest.media_type) {
        let message = format!("it is {}, which the request does not accept", manifest.media_type);
        return error(StatusCode::NOT_FOUND, "MANIFEST_UNKNOWN", &message);
    }
    found(request, manifest)
}

fn blob(shared: &Shared, request: &Request, repository: &str, digest: &str) -> Reply {
    let state = shared.state();
    let Some(blob) = state.content.blob(repository, digest) else {
        return error(StatusCode::NOT_FOUND, "BLOB_UNKNOWN", "no such digest");
    };
    if !state.redirect_blobs {
        return found(request, blob);
    }
    let port = shared.address.rsplit(':').next().unwrap_or_default();
    let location = format!("{}://localhost:{port}/{STORAGE}/{repository}/{digest}", shared.scheme);
    Reply::empty(StatusCode::TEMPORARY_REDIRECT).header("location", location)
}

/// What a cloud's storage answers: the address is the permission, and a second one is an error.
fn stored(shared: &Shared, request: &Request, repository: &str, digest: &str) -> Reply {
    if request.header("authorization").is_some() {
        let message = "Authorization is not allowed here\n";
        return Reply::text(StatusCode::BAD_REQUEST, message);
    }
    match shared.state().content.blob(repository, digest) {
        Some(blob) => found(request, blob),
        None => Reply::text(StatusCode::NOT_FOUND, "no such blob\n"),
    }
}

fn found(request: &Request, blob: &Blob) -> Reply {
    let reply = Reply::empty(StatusCode::OK)
        .header("content-type", blob.media_type.as_str())
        .header("docker-content-digest", blob.digest.as_str())
        .header("content-length", blob.bytes.len().to_string());
    if request.method == Method::HEAD {
        return reply;
    }
    Reply {
        body: blob.bytes.clone().into(),
        ..reply
    }
}

fn failure(status: u16, retry_after: Option<u64>) -> Reply {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let reply = error(status, "UNKNOWN", "the test bed wants this to fail");
    match retry_after {
        Some(seconds) => reply.header("retry-after", seconds.to_string()),
        None => reply,
    }
}

/// An error as the specification writes it.
pub(super) fn error(status: StatusCode, code: &str, message: &str) -> Reply {
    Reply::json(status, &json!({"errors": [{"code": code, "message": message}]}))
}

/// The media types of all `Accept` headers; without any, everything.
fn accepted_types(headers: &hyper::HeaderMap) -> Vec<String> {
    let values = headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok());
    let types = values.flat_map(|value| value.split(','));
    let types: Vec<String> = types
        .map(|it| it.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
        .collect();
    if types.is_empty() {
        vec!["*/*".to_owned()]
    } else {
        types
    }
}
