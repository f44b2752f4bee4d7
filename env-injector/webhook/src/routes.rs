//! What is answered on which path.

use std::sync::Arc;
use std::time::Duration;

use akv2k8s_program::metrics;
use akv2k8s_shared::diagnosis::{Code, Diagnosis};
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use axum::{Extension, Json, Router};
use prometheus_client::registry::Registry;
use tokio::time::{Instant, timeout_at};

use crate::admission::{Webhook, deadline};
use crate::broker;
use crate::pki::Pki;
use crate::server::{Bodies, BodyLimits, NoBody, Phase, Phases};

/// The API server takes no request of more than 3 MiB, and stores no object of more than 1.5 MiB; the review has little besides.
const BODIES: BodyLimits = BodyLimits {
    longest: 4 << 20,
    together: 32 << 20,
    arrival: Duration::from_secs(10),
    wait: Duration::from_secs(2),
};
/// Time to look whether a request came the API server's way.
const GATE_TIME: Duration = Duration::from_secs(5);

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

/// `POST /pods/TOKEN`, and `POST /pods` while the webhook configuration says so; `pki` knows. Without it everybody is answered.
pub(crate) fn pods(webhook: Arc<Webhook>, pki: Option<Arc<Pki>>, phases: Phases) -> Router {
    let gate = middleware::from_fn_with_state((webhook.clone(), pki, phases), admit);
    let reviews = post(review).with_state((webhook, Bodies::new(BODIES)));
    // Without a path in the configuration the API server calls the root.
    ["/", "/pods", "/pods/{token}"]
        .into_iter()
        .fold(Router::new(), |router, path| router.route(path, reviews.clone()))
        .route_layer(gate)
}

async fn readyz(State(phases): State<Phases>) -> (StatusCode, &'static str) {
    match phases.now() {
        Phase::Starting => (StatusCode::SERVICE_UNAVAILABLE, "not ready: reading the first lists\n"),
        Phase::Serving => (StatusCode::OK, "ok\n"),
        Phase::Draining | Phase::Stopping => (StatusCode::SERVICE_UNAVAILABLE, "not ready: stopping\n"),
    }
}

async fn scrape(State(registry): State<Arc<Registry>>) -> Response {
    match metrics::encode(&registry) {
        Ok(text) => ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

/// Until when a request has to be answered: part of its extensions.
#[derive(Clone, Copy)]
struct Deadline(Instant);

type Gate = (Arc<Webhook>, Option<Arc<Pki>>, Phases);

/// Lets through what comes the API server's way; others are told nothing, and nothing is read of what they send.
async fn admit(State((webhook, pki, phases)): State<Gate>, mut request: Request, next: Next) -> Response {
    let arrived = Instant::now();
    let deadline = Deadline(deadline(arrived, request.uri().query()));
    request.extensions_mut().insert(deadline);
    if phases.now() == Phase::Starting {
        return (StatusCode::SERVICE_UNAVAILABLE, "not ready: reading the first lists\n").into_response();
    }
    let admitted = match &pki {
        None => Ok(true),
        Some(pki) => timeout_at(deadline.0.min(arrived + GATE_TIME), pki.admits(request.uri().path()))
            .await
            .unwrap_or_else(|_| Err(Box::new(gate_unavailable()))),
    };
    match admitted {
        Ok(true) => next.run(request).await,
        Ok(false) => {
            webhook.metrics.refused();
            let what = "The webhook does not answer this request.";
            let refusal = Diagnosis::of(Code::WebhookCallerUnknown, what, &[]);
            (StatusCode::FORBIDDEN, format!("{refusal}\n")).into_response()
        }
        Err(problem) => {
            tracing::warn!(code = problem.code.as_str(), error = %problem, "a review cannot be taken");
            (StatusCode::SERVICE_UNAVAILABLE, format!("{}\n", problem.code)).into_response()
        }
    }
}

fn gate_unavailable() -> Diagnosis {
    let what = "The webhook configuration cannot be looked at, and a request came by a path that it may not name.";
    Diagnosis::of(Code::ApiServerUnavailable, what, &[])
}

async fn review(
    State((webhook, bodies)): State<(Arc<Webhook>, Bodies)>,
    Extension(Deadline(deadline)): Extension<Deadline>,
    request: Request,
) -> Response {
    let read = timeout_at(deadline, bodies.read(request.into_body())).await;
    let body = match read.unwrap_or(Err(NoBody::TooSlow)) {
        Ok(body) => body,
        Err(trouble) => return no_body(trouble, bodies.longest()),
    };
    match webhook.answer(&body.bytes, deadline).await {
        Ok(answer) => Json(answer).into_response(),
        Err(error) => {
            tracing::warn!(error, "a request that is no review");
            (StatusCode::BAD_REQUEST, format!("{error}\n")).into_response()
        }
    }
}

fn no_body(trouble: NoBody, longest: usize) -> Response {
    let (status, text) = match trouble {
        NoBody::TooLong => (
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("the body is longer than {longest} bytes\n"),
        ),
        NoBody::TooSlow => (StatusCode::REQUEST_TIMEOUT, "the body took too long\n".to_owned()),
        NoBody::Broken => (StatusCode::BAD_REQUEST, "the body did not arrive\n".to_owned()),
        NoBody::Busy => (
            StatusCode::SERVICE_UNAVAILABLE,
            "too many requests at a time\n".to_owned(),
        ),
    };
    (status, text).into_response()
}
