//! One port.

use std::convert::Infallible;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request as AnyRequest, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tower::{Service, ServiceExt};
use tracing::{debug, warn};

use super::patience::Patience;
use super::phase::{Phase, Phases};
use super::places::Places;

/// How long to wait after the system could not accept a connection: most often it is out of file descriptors.
const BREATH: Duration = Duration::from_millis(100);

/// What one client, or many together, may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections at a time; further ones wait in the system's queue.
    pub connections: usize,
    /// Connections of one address at a time; further ones are closed at once.
    pub of_one: usize,
    /// Time for the TLS handshake.
    pub handshake: Duration,
    /// Time for the head of a request, and for which a connection may be idle.
    pub idle: Duration,
    /// Time for a whole request, from its head to the answer.
    pub request: Duration,
    /// Time for a client to take an answer.
    pub delivery: Duration,
    /// Time for what is in flight when the process stops.
    pub farewell: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 2048,
            of_one: 512,
            handshake: Duration::from_secs(5),
            idle: Duration::from_secs(30),
            request: Duration::from_secs(40),
            delivery: Duration::from_secs(10),
            farewell: Duration::from_secs(15),
        }
    }
}

/// Whence a request came: part of its extensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Peer(pub IpAddr);

/// A port, and what is behind it.
pub struct Door {
    /// Where connections come in.
    pub listener: TcpListener,
    /// How they are secured; `None`: not at all.
    pub tls: Option<Arc<ServerConfig>>,
    /// Who answers.
    pub router: Router,
    /// What may be taken.
    pub limits: Limits,
}

impl Door {
    /// Serves until [`Phase::Stopping`], and then until what is in flight has been answered.
    pub async fn serve(self, phases: Phases) {
        let Self { listener, limits, .. } = self;
        let places = Arc::new(Semaphore::new(limits.connections));
        let manners = (phases.clone(), limits.request);
        let host = Host {
            acceptor: self.tls.map(TlsAcceptor::from),
            router: self
                .router
                .layer(middleware::from_fn_with_state(manners, answer_in_time)),
            of_one: Places::new(Semaphore::MAX_PERMITS, limits.of_one),
            limits,
            phases,
        };
        let mut connections = JoinSet::new();
        loop {
            while connections.try_join_next().is_some() {}
            let accepted = tokio::select! {
                () = host.phases.reach(Phase::Stopping) => break,
                accepted = accept(&listener, &places) => accepted,
            };
            match accepted {
                Ok(accepted) => {
                    if let Some(conversation) = host.receive(accepted) {
                        connections.spawn(conversation);
                    }
                }
                Err(error) => {
                    warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(BREATH).await;
                }
            }
        }
        drop(listener);
        let finished = async { while connections.join_next().await.is_some() {} };
        if tokio::time::timeout(limits.farewell, finished).await.is_err() {
            warn!(left = connections.len(), "some requests did not end in time");
        }
    }
}

/// Who receives connections, once they are accepted.
struct Host {
    acceptor: Option<TlsAcceptor>,
    router: Router,
    /// Places of one address.
    of_one: Places<Peer>,
    limits: Limits,
    phases: Phases,
}

impl Host {
    /// All that becomes of a connection; `None`: its address has too many.
    fn receive(&self, (stream, peer, place): Accepted) -> Option<impl Future<Output = ()> + Send + use<>> {
        let Some(share) = self.of_one.try_take(peer) else {
            debug!(address = %peer.0, "an address has too many connections");
            return None;
        };
        let (acceptor, limits, phases) = (self.acceptor.clone(), self.limits, self.phases.clone());
        let router = self.router.clone().map_request(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(peer);
            request
        });
        Some(async move {
            match acceptor {
                None => converse(stream, router, limits, &phases).await,
                Some(acceptor) => match tokio::time::timeout(limits.handshake, acceptor.accept(stream)).await {
                    Ok(Ok(stream)) => converse(stream, router, limits, &phases).await,
                    Ok(Err(error)) => debug!(%error, "no TLS connection came about"),
                    Err(_) => debug!("a TLS handshake took too long"),
                },
            }
            drop((place, share));
        })
    }
}

/// A connection, whence it came, and its place among all.
type Accepted = (TcpStream, Peer, OwnedSemaphorePermit);

async fn accept(listener: &TcpListener, places: &Arc<Semaphore>) -> io::Result<Accepted> {
    let place = Arc::clone(places).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, address) = listener.accept().await?;
    // Answers are small and waited for.
    let _ = stream.set_nodelay(true);
    // An IPv4 address looks otherwise on a socket for both.
    Ok((stream, Peer(address.ip().to_canonical()), place))
}

async fn converse<S>(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    service: S,
    limits: Limits,
    phases: &Phases,
) where
    S: Service<Request<Incoming>, Response = Response, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    let stream = Patience::new(stream, limits.delivery);
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(limits.idle);
    let connection = http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
    tokio::pin!(connection);
    let result = tokio::select! {
        result = &mut connection => result,
        () = phases.reach(Phase::Stopping) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = result {
        debug!(%error, "a connection ended");
    }
}

/// Answers within `limit`; while draining ends each connection with its next answer, so that clients come again, to another replica,
/// before this one is gone.
async fn answer_in_time(
    State((phases, limit)): State<(Phases, Duration)>,
    request: AnyRequest,
    next: Next,
) -> Response {
    let late = || (StatusCode::SERVICE_UNAVAILABLE, "the request took too long\n").into_response();
    let answer = tokio::time::timeout(limit, next.run(request)).await;
    let mut response = answer.unwrap_or_else(|_| late());
    if phases.now() >= Phase::Draining {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(header::CONNECTION, close);
    }
    response
}

#[cfg(test)]
mod tests;
