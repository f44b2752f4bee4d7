//! The broker's port: one operation, and the routes of akv2k8s 1.x, which are gone.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use akv2k8s_shared::diagnosis::{Diagnosis, case};
use akv2k8s_shared::injection::wire::{self, Ask};
use akv2k8s_shared::secret::SecretBytes;
use akv2k8s_shared::span;
use axum::Router;
use axum::body::Body;
use axum::extract::State;
use hyper::body::Bytes;
use hyper::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::{HeaderMap, Method, Request, Response, StatusCode};
use tracing::field::Empty;
use tracing::{Span, warn};

use super::Broker;
use super::refusal::{Refused, gone};
use crate::server::{BodyLimits, NoBody, Peer};

/// Limits of requests' bodies.
pub(super) const BODIES: BodyLimits = BodyLimits {
    longest: wire::MAX_REQUEST,
    together: 64 << 20,
    arrival: Duration::from_secs(10),
    wait: Duration::from_secs(2),
};
/// How long all may take: less than the wrapper waits for one answer.
const ANSWER: Duration = Duration::from_secs(25);

/// Everything that the broker's port serves.
pub fn router(broker: Arc<Broker>) -> Router {
    Router::new().fallback(respond).with_state(broker)
}

async fn respond(State(broker): State<Arc<Broker>>, request: Request<Body>) -> Response<Body> {
    broker.respond(request).await
}

impl Broker {
    /// Answers one request.
    async fn respond(&self, request: Request<Body>) -> Response<Body> {
        match (request.method(), request.uri().path()) {
            (&Method::POST, wire::PATH) => self.values(request).await,
            (&Method::GET, "/healthz") => plain(StatusCode::OK, "ok"),
            (_, wire::PATH) => plain(StatusCode::METHOD_NOT_ALLOWED, "POST only"),
            (_, path) if path.starts_with("/auth/") => gone(),
            _ => plain(StatusCode::NOT_FOUND, "no such path"),
        }
    }

    async fn values(&self, request: Request<Body>) -> Response<Body> {
        let start = Instant::now();
        let span = span!("release", namespace = Empty, pod = Empty);
        let answer = async {
            let answer = tokio::time::timeout(ANSWER, self.answer(request)).await;
            answer.unwrap_or_else(|_| Err(too_slow()))
        };
        let answer = span::within(span, |refused: &Refused| refused.code, answer).await;
        self.metrics
            .answered(start.elapsed(), answer.as_ref().err().map(|refused| refused.code));
        match answer {
            Ok(values) => values_response(values.to_json()),
            Err(refused) => refused.into_response(),
        }
    }

    async fn answer(&self, request: Request<Body>) -> Result<wire::Values, Refused> {
        let token = bearer(request.headers())?;
        let unknown = Peer(Ipv4Addr::UNSPECIFIED.into());
        let peer = request.extensions().get().copied().unwrap_or(unknown);
        let caller = self.admit(token, peer).await?;
        Span::current()
            .record("namespace", &caller.namespace)
            .record("pod", &caller.pod);
        let body = self.bodies.read(request.into_body()).await.map_err(no_body)?;
        let ask = read(&body.bytes)?;
        let released = self.release(&caller, ask).await;
        if let Err(refused) = &released {
            warn!(
                target: "akv2k8s_envinjector::audit",
                namespace = caller.namespace,
                pod = caller.pod,
                pod_uid = caller.uid,
                service_account = caller.service_account,
                reference = refused.refusal.reference,
                code = refused.refusal.code,
                "no value released: {}",
                refused.refusal.message
            );
        }
        released
    }
}

/// The token of `Authorization: Bearer TOKEN` (RFC 6750 §2.1).
fn bearer(headers: &HeaderMap) -> Result<&str, Refused> {
    let mut all = headers.get_all(AUTHORIZATION).iter();
    let token = all
        .next()
        .and_then(|it| it.to_str().ok())
        .and_then(|it| it.strip_prefix("Bearer "));
    match (token, all.next()) {
        (Some(token), None) => Ok(token.trim()),
        _ => Err(Refused::new(
            401,
            Diagnosis::case(case::TokenMissing, "The request to the broker holds no token."),
        )),
    }
}

fn no_body(trouble: NoBody) -> Refused {
    let bytes = &wire::MAX_REQUEST;
    match trouble {
        NoBody::TooSlow => Refused::malformed(408, case::RequestTooSlow),
        NoBody::TooLong => Refused::malformed(413, case::RequestTooLarge { bytes }),
        NoBody::Broken => Refused::malformed(400, case::RequestCutOff),
        NoBody::Busy => Refused::busy(),
    }
}

fn read(body: &[u8]) -> Result<Ask, Refused> {
    let ask: Ask = serde_json::from_slice(body)
        .map_err(|error| Refused::malformed(400, case::RequestMalformed { error: &error }))?;
    if ask.references.iter().any(|it| it.len() > wire::MAX_REFERENCE) {
        let bytes = &wire::MAX_REFERENCE;
        return Err(Refused::malformed(400, case::ReferenceTooLong { bytes }));
    }
    if ask.references.len() > wire::MAX_REFERENCES {
        let limit = &wire::MAX_REFERENCES;
        return Err(Refused::malformed(400, case::TooManyReferences { limit }));
    }
    Ok(ask)
}

fn too_slow() -> Refused {
    let what = "The broker did not get the values in time.";
    let seconds = &ANSWER.as_secs();
    let diagnosis = Diagnosis::case(case::BrokerTooSlow { seconds }, what);
    Refused::new(503, diagnosis).again(Duration::from_secs(2))
}

/// A body that is overwritten once it was sent: neither the port ([`crate::server::Door`] writes head and body as two parts) nor TLS, which
/// encrypts from where it lies, keeps a copy.
struct Secret(SecretBytes);

impl AsRef<[u8]> for Secret {
    fn as_ref(&self) -> &[u8] {
        self.0.expose()
    }
}

fn values_response(body: SecretBytes) -> Response<Body> {
    let mut response = Response::new(Body::from(Bytes::from_owner(Secret(body))));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn plain(status: StatusCode, text: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    response
}
