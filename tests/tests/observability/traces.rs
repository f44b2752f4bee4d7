//! Traces of the real programs, as a receiver of OTLP over HTTP gets them.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use akv2k8s_testbed::wait::until;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use prost::Message;
use tokio::net::TcpListener;

use crate::bed::{CANARY, PATIENCE, World, in_world};

/// A span, as far as it is looked at here.
#[derive(Debug, Clone)]
pub(crate) struct Span {
    service: String,
    trace: Vec<u8>,
    id: Vec<u8>,
    parent: Vec<u8>,
    name: String,
    attributes: BTreeMap<String, String>,
    events: usize,
}

#[derive(Default)]
struct Received {
    spans: Vec<Span>,
    /// Everything, as it came.
    bytes: Vec<u8>,
}

/// A receiver of traces, on loopback.
#[derive(Clone, Default)]
pub(crate) struct Receiver(Arc<Mutex<Received>>);

impl Receiver {
    /// Listens, in the runtime of the caller; the value of `OTEL_EXPORTER_OTLP_ENDPOINT`.
    pub(crate) async fn start() -> anyhow::Result<(Self, String)> {
        let receiver = Self::default();
        let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await?;
        let url = format!("http://{}", listener.local_addr()?);
        let router = Router::new()
            .route("/v1/traces", post(receive))
            .with_state(receiver.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok((receiver, url))
    }

    fn lock(&self) -> MutexGuard<'_, Received> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn spans(&self) -> Vec<Span> {
        self.lock().spans.clone()
    }
}

async fn receive(State(receiver): State<Receiver>, body: Bytes) -> StatusCode {
    let Ok(request) = ExportTraceServiceRequest::decode(&*body) else {
        return StatusCode::BAD_REQUEST;
    };
    let mut so_far = receiver.lock();
    so_far.bytes.extend_from_slice(&body);
    for resource in request.resource_spans {
        let attributes = texts(&resource.resource.unwrap_or_default().attributes);
        let service = attributes.get("service.name").cloned().unwrap_or_default();
        for span in resource.scope_spans.into_iter().flat_map(|scope| scope.spans) {
            so_far.spans.push(Span {
                service: service.clone(),
                attributes: texts(&span.attributes),
                trace: span.trace_id,
                id: span.span_id,
                parent: span.parent_span_id,
                name: span.name,
                events: span.events.len(),
            });
        }
    }
    StatusCode::OK
}

fn texts(attributes: &[KeyValue]) -> BTreeMap<String, String> {
    let text = |value: &Option<AnyValue>| match value.as_ref().and_then(|it| it.value.clone()) {
        Some(Value::StringValue(text)) => text,
        other => format!("{other:?}"),
    };
    attributes.iter().map(|it| (it.key.clone(), text(&it.value))).collect()
}

/// The names of spans from `span` up to its root.
fn way_up(spans: &[Span], span: &Span) -> Vec<String> {
    let mut way = vec![span.name.clone()];
    let mut at = span;
    while let Some(parent) = spans.iter().find(|it| it.trace == at.trace && it.id == at.parent) {
        way.push(parent.name.clone());
        at = parent;
    }
    way
}

/// Waits until a span of `service` has arrived whose way up is this, with these attributes.
async fn arrived(world: &World, service: &str, way: &[&str], attributes: &[(&str, &str)]) -> anyhow::Result<()> {
    let has = |span: &Span| {
        attributes
            .iter()
            .all(|(name, value)| span.attributes.get(*name).is_some_and(|it| it == value))
    };
    let found = async || {
        let spans = world.traces.spans();
        let is_it = |span: &&Span| span.service == service && has(span) && way_up(&spans, span) == way;
        spans.iter().find(is_it).map(|_| ())
    };
    let what = format!("{way:?} of {service} with {attributes:?}");
    if let Err(error) = until(&what, PATIENCE, found).await {
        anyhow::bail!("{error}: {:#?}", world.traces.spans());
    }
    Ok(())
}

#[test]
fn a_sync_leads_to_the_vault_its_token_and_the_write() -> anyhow::Result<()> {
    in_world(async |world| {
        let ours = "akv2k8s-controller";
        arrived(world, ours, &["sync"], &[("akvs", "db"), ("operation", "add")]).await?;
        arrived(
            world,
            ours,
            &["vault", "sync"],
            &[("vault", "kv1"), ("operation", "getSecret")],
        )
        .await?;
        arrived(
            world,
            ours,
            &["token", "vault", "sync"],
            &[("method", "workloadIdentity")],
        )
        .await?;
        arrived(world, ours, &["apply", "sync"], &[]).await?;
        // What failed says so.
        arrived(
            world,
            ours,
            &["sync"],
            &[("akvs", "missing"), ("code", "ObjectNotFound")],
        )
        .await?;
        arrived(
            world,
            ours,
            &["vault", "sync"],
            &[("vault", "kv2"), ("code", "ForbiddenByRbac")],
        )
        .await
    })
}

#[test]
fn an_admission_and_a_release_are_traced() -> anyhow::Result<()> {
    in_world(async |world| {
        let ours = "akv2k8s-envinjector";
        arrived(world, ours, &["admission"], &[]).await?;
        arrived(world, ours, &["admission"], &[("code", "InjectionSettingInvalid")]).await?;
        arrived(world, ours, &["release"], &[("pod", "db")]).await?;
        arrived(world, ours, &["vault", "release"], &[("vault", "kv1")]).await?;
        arrived(world, ours, &["token", "vault", "release"], &[]).await?;
        arrived(world, ours, &["release"], &[("code", "AkvsNotFound")]).await
    })
}

#[test]
fn no_trace_holds_a_value_a_token_or_a_log_line() -> anyhow::Result<()> {
    in_world(async |world| {
        arrived(world, "akv2k8s-controller", &["apply", "sync"], &[]).await?;
        arrived(world, "akv2k8s-envinjector", &["vault", "release"], &[]).await?;
        let names = ["sync", "vault", "token", "apply", "admission", "release"];
        for span in world.traces.spans() {
            assert!(names.contains(&&*span.name), "{span:?}");
            assert_eq!(span.events, 0, "{span:?}");
        }
        let bytes = String::from_utf8_lossy(&world.traces.lock().bytes).into_owned();
        // All tokens are JWT, and begin like this.
        for secret in [CANARY, "eyJ"] {
            assert!(!bytes.contains(secret), "{secret} is in the traces");
        }
        assert!(bytes.contains("getSecret"), "they are readable");
        Ok(())
    })
}
