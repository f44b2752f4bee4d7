//! The HTTP server: `/healthz`, `/readyz`, `/metrics`.

use std::sync::Arc;

use anyhow::Context;
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;

use crate::health::Health;
use crate::metrics::Metrics;

/// Serves until the future is dropped. Without `metrics`, `/metrics` does not exist.
pub(crate) async fn serve(
    listener: TcpListener,
    health: Arc<Health>,
    metrics: Option<Arc<Metrics>>,
) -> anyhow::Result<()> {
    let mut router = Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(readyz).with_state(health));
    if let Some(metrics) = metrics {
        router = router.route("/metrics", get(scrape).with_state(metrics));
    }
    axum::serve(listener, router).await.context("the HTTP server stopped")
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
