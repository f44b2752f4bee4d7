//! One port.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, header};
use axum::middleware::{self, Next};
use axum::response::Response;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tracing::{debug, warn};

use super::phase::{Phase, Phases};

/// How long to wait after the system could not accept a connection: most often it is out of file descriptors.
const BREATH: Duration = Duration::from_millis(100);

/// What one client, or many together, may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections at a time; further ones wait in the system's queue.
    pub connections: usize,
    /// Time for the TLS handshake.
    pub handshake: Duration,
    /// Time for the head of a request, and for which a connection may be idle.
    pub idle: Duration,
    /// Time for what is in flight when the process stops.
    pub farewell: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 1024,
            handshake: Duration::from_secs(5),
            idle: Duration::from_secs(30),
            farewell: Duration::from_secs(15),
        }
    }
}

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
        let Self {
            listener,
            tls,
            router,
            limits,
        } = self;
        let acceptor = tls.map(TlsAcceptor::from);
        let router = router.layer(middleware::from_fn_with_state(phases.clone(), close_while_draining));
        let places = Arc::new(Semaphore::new(limits.connections));
        let mut connections = JoinSet::new();
        loop {
            while connections.try_join_next().is_some() {}
            let accepted = tokio::select! {
                () = phases.reach(Phase::Stopping) => break,
                accepted = accept(&listener, &places) => accepted,
            };
            let (stream, place) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(BREATH).await;
                    continue;
                }
            };
            let (acceptor, router, phases) = (acceptor.clone(), router.clone(), phases.clone());
            connections.spawn(async move {
                match acceptor {
                    None => converse(stream, router, limits, &phases).await,
                    Some(acceptor) => match tokio::time::timeout(limits.handshake, acceptor.accept(stream)).await {
                        Ok(Ok(stream)) => converse(stream, router, limits, &phases).await,
                        Ok(Err(error)) => debug!(%error, "no TLS connection came about"),
                        Err(_) => debug!("a TLS handshake took too long"),
                    },
                }
                drop(place);
            });
        }
        drop(listener);
        let finished = async { while connections.join_next().await.is_some() {} };
        if tokio::time::timeout(limits.farewell, finished).await.is_err() {
            warn!(left = connections.len(), "some requests did not end in time");
        }
    }
}

type Place = tokio::sync::OwnedSemaphorePermit;

async fn accept(listener: &TcpListener, places: &Arc<Semaphore>) -> io::Result<(TcpStream, Place)> {
    let place = Arc::clone(places).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    // Answers are small and waited for.
    let _ = stream.set_nodelay(true);
    Ok((stream, place))
}

async fn converse(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    router: Router,
    limits: Limits,
    phases: &Phases,
) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(limits.idle);
    let connection = http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
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

/// Ends each connection with its next answer, so that clients come again, to another replica, before this one is gone.
async fn close_while_draining(State(phases): State<Phases>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    if phases.now() >= Phase::Draining {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(header::CONNECTION, close);
    }
    response
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::sync::Notify;
    use tokio::task::JoinHandle;

    use super::*;

    /// A door with `/` at once and `/slow` when told to go on.
    async fn door(limits: Limits) -> (SocketAddr, Phases, Arc<Notify>, Arc<Notify>, JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (begun, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (told, waits) = (Arc::clone(&begun), Arc::clone(&go_on));
        let slow = get(move || async move {
            told.notify_one();
            waits.notified().await;
            "slow"
        });
        let router = Router::new().route("/", get(async || "fast")).route("/slow", slow);
        let phases = Phases::default();
        phases.enter(Phase::Serving);
        let door = Door {
            listener,
            tls: None,
            router,
            limits,
        };
        let task = tokio::spawn(door.serve(phases.clone()));
        (address, phases, begun, go_on, task)
    }

    async fn ask(address: SocketAddr, path: &str) -> TcpStream {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        stream
    }

    /// What came until `end`, or until the other side closed.
    async fn until(stream: &mut TcpStream, end: &str) -> String {
        let mut text = Vec::new();
        while !text.ends_with(end.as_bytes()) && stream.read_buf(&mut text).await.unwrap() > 0 {}
        String::from_utf8(text).unwrap()
    }

    #[tokio::test]
    async fn while_draining_it_serves_on_and_each_connection_ends_with_its_answer() {
        let (address, phases, ..) = door(Limits::default()).await;
        let mut stream = ask(address, "/").await;
        let answer = until(&mut stream, "fast").await;
        assert!(
            answer.starts_with("HTTP/1.1 200") && !answer.contains("connection: close"),
            "{answer}"
        );
        phases.enter(Phase::Draining);
        stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        let mut rest = String::new();
        stream.read_to_string(&mut rest).await.unwrap();
        assert!(
            rest.starts_with("HTTP/1.1 200") && rest.contains("connection: close"),
            "{rest}"
        );
        // Somebody may still find us.
        assert!(
            until(&mut ask(address, "/").await, "fast")
                .await
                .starts_with("HTTP/1.1 200")
        );
    }

    #[tokio::test]
    async fn what_is_in_flight_is_finished_and_nothing_new_is_accepted() {
        let (address, phases, begun, go_on, task) = door(Limits::default()).await;
        let mut stream = ask(address, "/slow").await;
        begun.notified().await;
        phases.enter(Phase::Stopping);
        while TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
        assert!(!task.is_finished());
        go_on.notify_one();
        assert!(until(&mut stream, "slow").await.starts_with("HTTP/1.1 200"));
        task.await.unwrap();
    }

    #[tokio::test]
    async fn a_client_that_says_nothing_loses_its_place() {
        let limits = Limits {
            connections: 1,
            idle: Duration::from_millis(100),
            ..Limits::default()
        };
        let (address, ..) = door(limits).await;
        let mut silent = TcpStream::connect(address).await.unwrap();
        let mut next = ask(address, "/").await;
        assert!(until(&mut next, "fast").await.starts_with("HTTP/1.1 200"));
        assert_eq!(silent.read(&mut [0]).await.unwrap_or(0), 0, "it was closed");
    }
}
