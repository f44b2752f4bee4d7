//! The HTTP server: `/healthz`, `/readyz`, `/metrics`.

use std::sync::Arc;
use std::time::Duration;

use akv2k8s_program::server::{Door, Limits, Phases};
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;

use crate::health::Health;
use crate::metrics::Metrics;

/// Kubelets, a Prometheus or two, and people: all ask seldom, and briefly.
fn limits() -> Limits {
    Limits {
        connections: 256,
        of_one: 32,
        idle: Duration::from_secs(10),
        request: Duration::from_secs(10),
        ..Limits::default()
    }
}

/// Serves until the future is dropped. Without `metrics`, `/metrics` does not exist.
pub(crate) async fn serve(listener: TcpListener, health: Arc<Health>, metrics: Option<Arc<Metrics>>) {
    let mut router = Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(readyz).with_state(health));
    if let Some(metrics) = metrics {
        router = router.route("/metrics", get(scrape).with_state(metrics));
    }
    let door = Door {
        listener,
        tls: None,
        router,
        limits: limits(),
    };
    door.serve(Phases::default()).await;
}

async fn readyz(State(health): State<Arc<Health>>) -> impl IntoResponse {
    let (ready, text) = health.readiness();
    (
        if ready {
            StatusCode::OK
        } else {
            StatusCode::SERVICE_UNAVAILABLE
        },
        text,
    )
}

async fn scrape(State(metrics): State<Arc<Metrics>>) -> impl IntoResponse {
    (
        [(header::CONTENT_TYPE, akv2k8s_program::metrics::CONTENT_TYPE)],
        metrics.encode(),
    )
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr};

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpSocket, TcpStream};

    use super::*;

    /// A connection from an address of this machine's own.
    async fn from(address: [u8; 4], to: SocketAddr) -> TcpStream {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::from((Ipv4Addr::from(address), 0))).unwrap();
        socket.connect(to).await.unwrap()
    }

    async fn probe(to: SocketAddr) -> String {
        let mut stream = from([127, 0, 0, 3], to).await;
        let request = b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
        stream.write_all(request).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn connections_that_say_nothing_keep_no_probe_from_its_answer() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let to = listener.local_addr().unwrap();
        let served = tokio::spawn(serve(listener, Arc::default(), None));
        let mut silent = Vec::new();
        for _ in 0..2 * limits().connections {
            silent.push(from([127, 0, 0, 2], to).await);
        }
        let answered = tokio::time::timeout(Duration::from_secs(1), probe(to)).await;
        let answer = answered.expect("a kubelet waits no longer");
        assert!(
            answer.starts_with("HTTP/1.1 200") && answer.ends_with("ok\n"),
            "{answer}"
        );
        served.abort();
    }
}
