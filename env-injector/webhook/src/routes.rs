//! What is answered on which path.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use axum::{Json, Router};
use prometheus_client::registry::Registry;

use crate::admission::Webhook;
use crate::broker;
use crate::server::{Phase, Phases};

/// Longest body, in bytes: no pod that the API server stores comes near it.
const LONGEST_BODY: usize = 8 * 1024 * 1024;
/// Time for a body to arrive.
const BODY_TIME: Duration = Duration::from_secs(10);

/// `/healthz` and `/readyz`.
pub(crate) fn health(phases: Phases) -> Router {
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(readyz).with_state(phases))
}

/// `/metrics`.
pub(crate) fn metrics(registry: Registry) -> Router {
    Router::new().route("/metrics", get(scrape).with_state(Arc::new(registry)))
}

/// What wrappers of akv2k8s 1.x ask for on the plain port.
pub(crate) fn gone() -> Router {
    Router::new().route("/auth/{*rest}", any(async || broker::gone()))
}

/// `POST /pods`.
pub(crate) fn pods(webhook: Arc<Webhook>, phases: Phases) -> Router {
    Router::new().route("/pods", post(review).with_state((webhook, phases)))
}

async fn readyz(State(phases): State<Phases>) -> (StatusCode, &'static str) {
    match phases.now() {
        Phase::Starting => (StatusCode::SERVICE_UNAVAILABLE, "not ready: reading the first lists\n"),
        Phase::Serving => (StatusCode::OK, "ok\n"),
        Phase::Draining | Phase::Stopping => (StatusCode::SERVICE_UNAVAILABLE, "not ready: stopping\n"),
    }
}

async fn scrape(State(registry): State<Arc<Registry>>) -> Response {
    let mut text = String::new();
    match prometheus_client::encoding::text::encode(&mut text, &registry) {
        Ok(()) => (
            [(
                header::CONTENT_TYPE,
                "application/openmetrics-text; version=1.0.0; charset=utf-8",
            )],
            text,
        )
            .into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

async fn review(State((webhook, phases)): State<(Arc<Webhook>, Phases)>, request: Request) -> Response {
    if phases.now() == Phase::Starting {
        return (StatusCode::SERVICE_UNAVAILABLE, "not ready: reading the first lists\n").into_response();
    }
    let body = match tokio::time::timeout(BODY_TIME, read(request.into_body())).await {
        Ok(Ok(body)) => body,
        Ok(Err(refused)) => return refused.into_response(),
        Err(_) => return (StatusCode::REQUEST_TIMEOUT, "the body took too long\n").into_response(),
    };
    match webhook.answer(&body).await {
        Ok(answer) => Json(answer).into_response(),
        Err(error) => {
            tracing::warn!(error, "a request that is no review");
            (StatusCode::BAD_REQUEST, format!("{error}\n")).into_response()
        }
    }
}

async fn read(body: Body) -> Result<axum::body::Bytes, (StatusCode, String)> {
    axum::body::to_bytes(body, LONGEST_BODY).await.map_err(|error| {
        let too_long =
            std::error::Error::source(&error).and_then(|it| it.downcast_ref::<http_body_util::LengthLimitError>());
        if too_long.is_some() {
            (
                StatusCode::PAYLOAD_TOO_LARGE,
                format!("the body is longer than {LONGEST_BODY} bytes\n"),
            )
        } else {
            (StatusCode::BAD_REQUEST, "the body did not arrive\n".to_owned())
        }
    })
}
