//! The listeners: TLS, routing by host, faults, the journal.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures::stream;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::fault::FaultKind;
use super::http::{Reply, Request};
use super::journal::Entry;
use super::operation::{Operation, Service};
use super::vault::{Route, VaultError};
use super::{Shared, admin, entra, imds, vault};

type Body = UnsyncBoxBody<Bytes, io::Error>;

/// Who a listener's requests are for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Listener {
    /// TLS: vaults, Entra, the admin API, by host.
    Cloud,
    /// Plain HTTP: managed identities.
    Imds,
}

/// Accepts connections until the task is aborted.
pub(crate) async fn serve(shared: Arc<Shared>, listener: TcpListener, kind: Listener, tls: Option<TlsAcceptor>) {
    // Dropped with this task: no connection outlives its emulator.
    let mut connections = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    shared.journal.record_connection();
                    connections.spawn(connection(shared.clone(), stream, kind, tls.clone()));
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection(shared: Arc<Shared>, stream: TcpStream, kind: Listener, tls: Option<TlsAcceptor>) {
    let _ = stream.set_nodelay(true);
    let abort = Arc::new(AtomicBool::new(false));
    let socket = Socket {
        stream,
        abort: abort.clone(),
    };
    let service = service_fn(|request| respond(shared.clone(), kind, abort.clone(), request));
    let http = hyper::server::conn::http1::Builder::new();
    // What ends a connection early (a client's cancellation, a fault) is no event of ours.
    let _ = match tls {
        None => http.serve_connection(TokioIo::new(socket), service).await,
        Some(acceptor) => match acceptor.accept(socket).await {
            Ok(stream) => http.serve_connection(TokioIo::new(stream), service).await,
            Err(error) => {
                tracing::debug!(%error, "TLS handshake failed");
                Ok(())
            }
        },
    };
}

/// Reads, answers and journals one request; the error closes the connection without an answer.
async fn respond(
    shared: Arc<Shared>,
    kind: Listener,
    abort: Arc<AtomicBool>,
    request: hyper::Request<Incoming>,
) -> Result<Response<Body>, io::Error> {
    let request = match Request::read(request).await {
        Ok(request) => request,
        Err(error) => return Ok(complete(&shared, &Reply::text(StatusCode::BAD_REQUEST, error))),
    };
    let Some((service, operation)) = classify(&shared, kind, &request) else {
        let reply = if admin::HOSTS.contains(&request.host().as_str()) {
            admin::handle(&shared, &request).await
        } else {
            unrouted(&request)
        };
        return Ok(complete(&shared, &reply));
    };
    let authorized = request.bearer().is_some();
    let mut cut = None;
    let mut canned = None;
    for fault in shared.faults.strike(&service, operation, authorized) {
        match fault {
            FaultKind::Latency { milliseconds } => tokio::time::sleep(Duration::from_millis(milliseconds)).await,
            FaultKind::Respond { status, headers, body } => {
                let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                canned = Some(Reply {
                    status,
                    headers: headers.into_iter().collect(),
                    body: body.into(),
                });
            }
            FaultKind::Throttle { retry_after } => canned = Some(throttled(&service, retry_after)),
            FaultKind::MalformedJson => {
                canned = Some(Reply {
                    body: r#"{"value": "unfini"#.into(),
                    ..Reply::ok(&serde_json::Value::Null)
                });
            }
            other @ (FaultKind::Reset | FaultKind::TruncatedBody | FaultKind::StalledBody) => cut = Some(other),
        }
    }
    let limited = match &service {
        Service::Vault(name) => limit(&shared, name),
        _ => None,
    };
    let reply = match canned.or(limited) {
        Some(reply) => reply,
        None if matches!(cut, Some(FaultKind::Reset)) => Reply::empty(StatusCode::OK),
        None => answer(&shared, &service, operation, &request).await,
    };
    let reset = matches!(cut, Some(FaultKind::Reset));
    shared.journal.record(Entry {
        time: shared.clock.now(),
        service,
        operation,
        status: if reset { 0 } else { reply.status.as_u16() },
        request: format!("{} {}", request.method, request.path),
        authorized,
    });
    match cut {
        None => Ok(complete(&shared, &reply)),
        Some(FaultKind::Reset) => {
            abort.store(true, Ordering::Relaxed);
            Err(io::ErrorKind::ConnectionReset.into())
        }
        Some(kind) => Ok(incomplete(&shared, reply, matches!(kind, FaultKind::StalledBody))),
    }
}

/// Whom a request is for and what it asks; `None` for what the journal does not count.
fn classify(shared: &Shared, kind: Listener, request: &Request) -> Option<(Service, Operation)> {
    if kind == Listener::Imds {
        return Some((Service::Imds, imds::operation(request)));
    }
    let host = request.host();
    if host == "login.localhost" {
        return Some((Service::Entra, entra::operation(request)));
    }
    let name = host
        .strip_suffix(".vault.localhost")
        .filter(|name| shared.vaults.lock().contains_key(*name))?;
    let route = Route::parse(&request.method, &request.segments());
    let operation = route.map_or(Operation::Unknown, |route| route.operation());
    Some((Service::Vault(name.to_owned()), operation))
}

async fn answer(shared: &Shared, service: &Service, operation: Operation, request: &Request) -> Reply {
    match service {
        Service::Imds => imds::handle(shared, request),
        Service::Entra => entra::handle(shared, operation, request).await,
        Service::Vault(name) => {
            let segments = request.segments();
            vault::handle(shared, name, Route::parse(&request.method, &segments).as_ref(), request).await
        }
    }
}

/// Hosts nobody registered: DNS would not know them.
fn unrouted(request: &Request) -> Reply {
    let text = format!(
        "this emulator serves no host {:?}: is the vault registered?\n",
        request.host()
    );
    Reply::text(StatusCode::MISDIRECTED_REQUEST, text)
}

fn limit(shared: &Shared, vault: &str) -> Option<Reply> {
    let mut vaults = shared.vaults.lock();
    let limiter = vaults.get_mut(vault)?.limiter.as_mut()?;
    let refused = limiter.admit(Instant::now()).err()?;
    Some(throttled(&Service::Vault(vault.to_owned()), refused.retry_after))
}

fn throttled(service: &Service, retry_after: Option<u64>) -> Reply {
    let reply = match service {
        Service::Vault(_) => VaultError::throttled().reply(),
        Service::Entra | Service::Imds => Reply::json(
            StatusCode::TOO_MANY_REQUESTS,
            &serde_json::json!({ "error": "temporarily_unavailable", "error_description": "Too many requests" }),
        ),
    };
    match retry_after {
        Some(seconds) => reply.header("retry-after", seconds.to_string()),
        None => reply,
    }
}

fn complete(shared: &Shared, reply: &Reply) -> Response<Body> {
    let body = Full::new(reply.body.clone())
        .map_err(|never: Infallible| match never {})
        .boxed_unsync();
    build(shared, reply, body)
}

/// The headers of the whole answer with half of its body; then an end, or nothing more.
fn incomplete(shared: &Shared, reply: Reply, stall: bool) -> Response<Body> {
    let half = reply.body.slice(..reply.body.len() / 2);
    let length = reply.body.len().to_string();
    let frames = stream::unfold(Some(half), move |half| async move {
        match half {
            Some(half) => Some((Ok(Frame::data(half)), None)),
            None if stall => std::future::pending().await,
            None => Some((Err(io::ErrorKind::UnexpectedEof.into()), None)),
        }
    });
    build(
        shared,
        &reply.header("content-length", length),
        StreamBody::new(frames).boxed_unsync(),
    )
}

fn build(shared: &Shared, reply: &Reply, body: Body) -> Response<Body> {
    let mut response = Response::builder()
        .status(reply.status)
        .header("date", shared.clock.http_date());
    for (name, value) in &reply.headers {
        response = response.header(name, value);
    }
    response.body(body).unwrap_or_else(|error| {
        let text = format!("a fault's headers are not valid HTTP: {error}\n");
        let mut response = Response::new(Full::from(text).map_err(|never| match never {}).boxed_unsync());
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        response
    })
}

/// A TCP connection that a fault can reset: the client sees RST, not an orderly end.
struct Socket {
    stream: TcpStream,
    abort: Arc<AtomicBool>,
}

impl Socket {
    fn check(&self) -> io::Result<()> {
        if self.abort.load(Ordering::Relaxed) {
            Err(io::ErrorKind::ConnectionReset.into())
        } else {
            Ok(())
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if self.abort.load(Ordering::Relaxed) {
            let _ = self.stream.set_zero_linger();
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_read(cx, into)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
