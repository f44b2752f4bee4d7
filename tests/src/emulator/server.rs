//! The listeners: TLS, routing by host, faults, the journal.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::delivery::{Body, Delivery, Socket, deliver};
use super::fault::FaultKind;
use super::http::{Reply, Request};
use super::journal::Entry;
use super::operation::{Operation, Service};
use super::vault::{Route, VaultError};
use super::{Shared, admin, entra, imds, vault};
use crate::gate::{Moment, Verdict};

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
    let reset = Arc::new(AtomicBool::new(false));
    let socket = Socket::new(stream, reset.clone());
    let service = service_fn(|request| respond(shared.clone(), kind, reset.clone(), request));
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
    reset: Arc<AtomicBool>,
    request: hyper::Request<Incoming>,
) -> Result<Response<Body>, io::Error> {
    let whole = |reply| deliver(&shared, reply, Delivery::Whole, &reset);
    let request = match Request::read(request).await {
        Ok(request) => request,
        Err(error) => return whole(Reply::text(StatusCode::BAD_REQUEST, error)),
    };
    let Some((service, operation)) = classify(&shared, kind, &request) else {
        let admin = admin::HOSTS.contains(&request.host().as_str());
        return whole(if admin {
            admin::handle(&shared, &request).await
        } else {
            unrouted(&request)
        });
    };
    let recording = Recording::begin(&shared, &service, operation, &request);
    let cut = || deliver(&shared, Reply::empty(StatusCode::OK), Delivery::Reset, &reset);
    let gate = shared.gate();
    let what = || format!("{service} {operation}");
    if let Some(gate) = &gate
        && gate.pass(Moment::Arrived, &what()).await == Verdict::Cut
    {
        return cut();
    }
    let struck = shared.faults.strike(&service, operation, request.bearer().is_some());
    let (canned, delivery) = suffer(struck, &service).await;
    if delivery == Delivery::Reset {
        return cut();
    }
    let reply = match canned.or_else(|| limit(&shared, &service)) {
        Some(reply) => reply,
        None => answer(&shared, &service, operation, &request).await,
    };
    recording.end(reply.status);
    if let Some(gate) = &gate
        && gate.pass(Moment::Answered, &what()).await == Verdict::Cut
    {
        return cut();
    }
    deliver(&shared, reply, delivery, &reset)
}

/// Waits out the delays among the faults; gives the answer that replaces the real one, and how the answer leaves.
async fn suffer(struck: Vec<FaultKind>, service: &Service) -> (Option<Reply>, Delivery) {
    let mut canned = None;
    let mut delivery = Delivery::Whole;
    for fault in struck {
        match fault {
            FaultKind::Latency { milliseconds } => tokio::time::sleep(Duration::from_millis(milliseconds)).await,
            FaultKind::Respond { status, headers, body } => {
                canned = Some(Reply {
                    status: StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
                    headers: headers.into_iter().collect(),
                    body: body.into(),
                });
            }
            FaultKind::Throttle { retry_after } => canned = Some(throttled(service, retry_after)),
            FaultKind::MalformedJson => {
                canned = Some(Reply {
                    body: r#"{"value": "unfini"#.into(),
                    ..Reply::ok(&serde_json::Value::Null)
                });
            }
            FaultKind::Reset => delivery = Delivery::Reset,
            FaultKind::TruncatedBody => delivery = Delivery::Truncated,
            FaultKind::StalledBody => delivery = Delivery::Stalled,
        }
    }
    (canned, delivery)
}

/// A request on its way into the journal. Dropped before its end (the client left, a fault reset the connection) it is
/// recorded with status 0: every request counts.
struct Recording<'a> {
    shared: &'a Shared,
    entry: Option<Entry>,
}

impl<'a> Recording<'a> {
    fn begin(shared: &'a Shared, service: &Service, operation: Operation, request: &Request) -> Self {
        let entry = Entry {
            time: shared.clock.now(),
            service: service.clone(),
            operation,
            status: 0,
            request: format!("{} {}", request.method, request.path),
            authorized: request.bearer().is_some(),
        };
        Self {
            shared,
            entry: Some(entry),
        }
    }

    fn end(mut self, status: StatusCode) {
        if let Some(entry) = &mut self.entry {
            entry.status = status.as_u16();
        }
    }
}

impl Drop for Recording<'_> {
    fn drop(&mut self) {
        if let Some(entry) = self.entry.take() {
            self.shared.journal.record(entry);
        }
    }
}

/// Whom a request is for and what it asks; `None` for what the journal does not count.
fn classify(shared: &Shared, kind: Listener, request: &Request) -> Option<(Service, Operation)> {
    if kind == Listener::Imds {
        return Some((Service::Imds, imds::operation(request)));
    }
    let host = request.host();
    if host == shared.hosts.login() {
        return Some((Service::Entra, entra::operation(request)));
    }
    let name = host
        .strip_suffix(shared.hosts.vaults())
        .and_then(|name| name.strip_suffix('.'))
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

/// The refusal of a vault whose limit is used up.
fn limit(shared: &Shared, service: &Service) -> Option<Reply> {
    let Service::Vault(name) = service else { return None };
    let mut vaults = shared.vaults.lock();
    let limiter = vaults.get_mut(name)?.limiter.as_mut()?;
    let refused = limiter.admit(Instant::now()).err()?;
    Some(throttled(service, refused.retry_after))
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
