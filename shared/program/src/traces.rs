//! Traces, by OTLP over HTTP: none, unless the standard variables of OpenTelemetry ask for them.
//!
//! Only spans of our own are sent ([`akv2k8s_shared::span`]), and no log line: what libraries say may hold anything. They go out by our own
//! HTTP client, so there is no second TLS stack, and proxies and trust are as everywhere.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use akv2k8s_shared::environment::{Environment, Variable};
use akv2k8s_shared::http::{HttpClient, Limits};
use akv2k8s_shared::span;
use anyhow::{Context, bail};
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::{Request, Response};
use opentelemetry::trace::TracerProvider;
use opentelemetry_http::HttpError;
use opentelemetry_otlp::{SpanExporter, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tokio::runtime::Handle;
use tracing::{Level, Subscriber, info, warn};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::registry::LookupSpan;

akv2k8s_shared::variables! {
    /// Whether and how traces are sent.
    pub(crate) TRACES:
    OTEL_EXPORTER_OTLP_ENDPOINT, "", "where [traces](../tracing.md) are sent to: `http://collector:4318`; `/v1/traces` is added. This one or the next switches traces on";
    OTEL_EXPORTER_OTLP_TRACES_ENDPOINT, "", "the same, taken as it is";
    OTEL_EXPORTER_OTLP_PROTOCOL, "`http/protobuf`", "nothing else is spoken; with another value no traces are sent, and the log says so";
    OTEL_EXPORTER_OTLP_TRACES_PROTOCOL, "`http/protobuf`", "the same";
    OTEL_SDK_DISABLED, "`false`", "`true`: no traces, whatever else is set";
    OTEL_TRACES_EXPORTER, "", "`none`: the same";
    OTEL_SERVICE_NAME, "the program's name", "how the program is called in traces";
    OTEL_RESOURCE_ATTRIBUTES, "", "`service.name=NAME` does the same";
}

/// The variables that ask for traces.
const ENDPOINTS: [Variable; 2] = [OTEL_EXPORTER_OTLP_TRACES_ENDPOINT, OTEL_EXPORTER_OTLP_ENDPOINT];
/// Those that say how they are sent.
const PROTOCOLS: [Variable; 2] = [OTEL_EXPORTER_OTLP_TRACES_PROTOCOL, OTEL_EXPORTER_OTLP_PROTOCOL];
/// The one way there is.
const PROTOCOL: &str = "http/protobuf";
/// How long what is left may take to be sent, at the end.
const FAREWELL: Duration = Duration::from_secs(3);

/// Who sends traces, if anybody.
pub struct Traces {
    provider: anyhow::Result<Option<SdkTracerProvider>>,
}

impl Traces {
    /// As the variables say, for `program` of this version; within a runtime.
    pub fn from_environment(environment: &Environment, program: &'static str, version: &'static str) -> Self {
        Self {
            provider: provider(environment, program, version),
        }
    }

    /// Logs what became of it. A mistake here is no reason not to work.
    pub fn tell(&self) {
        match &self.provider {
            Ok(Some(_)) => info!("traces are sent"),
            Ok(None) => {}
            Err(error) => warn!(error = format!("{error:#}"), "no traces are sent"),
        }
    }

    /// What takes spans to be sent; `None`: nothing is.
    pub(crate) fn layer<S>(&self) -> Option<impl Layer<S> + use<S>>
    where
        S: Subscriber + for<'span> LookupSpan<'span>,
    {
        let tracer = self.provider.as_ref().ok()?.as_ref()?.tracer("akv2k8s");
        let spans = tracing_opentelemetry::layer()
            .with_tracer(tracer)
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_tracked_inactivity(false);
        Some(spans.with_filter(Targets::new().with_target(span::TARGET, Level::INFO)))
    }

    /// Sends what is left, for three seconds at most.
    pub async fn end(self) {
        if let Ok(Some(provider)) = self.provider {
            // It waits for its own thread, which waits for the runtime.
            let ending = tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(FAREWELL));
            if let Ok(Err(error)) = ending.await {
                warn!(%error, "the last traces were not sent");
            }
        }
    }
}

fn provider(
    environment: &Environment,
    program: &'static str,
    version: &'static str,
) -> anyhow::Result<Option<SdkTracerProvider>> {
    let is_off = environment
        .get(OTEL_SDK_DISABLED)
        .is_some_and(|it| it.eq_ignore_ascii_case("true"));
    let is_asked_for = ENDPOINTS.iter().any(|it| environment.get(*it).is_some());
    if is_off || !is_asked_for || environment.get(OTEL_TRACES_EXPORTER).is_some_and(|it| it == "none") {
        return Ok(None);
    }
    if let Some((name, protocol)) = PROTOCOLS.iter().find_map(|it| Some((it, environment.get(*it)?)))
        && protocol != PROTOCOL
    {
        bail!("{name} is {protocol:?}; only {PROTOCOL} is spoken here");
    }
    let http = HttpClient::from_environment(environment, Limits::default()).map_err(|error| *error)?;
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(Sender {
            http,
            runtime: Handle::current(),
            fails: AtomicBool::default(),
        })
        .build()
        .context("the variables OTEL_EXPORTER_OTLP_… cannot be used")?;
    let mut resource = Resource::builder().with_attribute(opentelemetry::KeyValue::new("service.version", version));
    let is_named = environment.get(OTEL_SERVICE_NAME).is_some()
        || environment
            .get(OTEL_RESOURCE_ATTRIBUTES)
            .is_some_and(|it| it.contains("service.name="));
    if !is_named {
        resource = resource.with_service_name(program);
    }
    Ok(Some(
        SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_resource(resource.build())
            .build(),
    ))
}

/// Our HTTP client, as the exporter wants one.
struct Sender {
    http: HttpClient,
    /// The exporter has a thread of its own, which is none of the runtime's.
    runtime: Handle,
    /// Whether the last try failed: that is said once.
    fails: AtomicBool,
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sender")
    }
}

#[async_trait::async_trait]
impl opentelemetry_http::HttpClient for Sender {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let http = self.http.clone();
        let sent = self
            .runtime
            .spawn(async move { http.send(request.map(Full::new)).await });
        let outcome = match sent.await {
            Ok(Ok(answer)) if answer.status.is_success() => Ok(answer),
            Ok(Ok(answer)) => Err(format!("the receiver of traces answered {}", answer.status)),
            Ok(Err(failure)) => Err(failure.to_string()),
            Err(stopped) => Err(stopped.to_string()),
        };
        let failed_before = self.fails.swap(outcome.is_err(), Ordering::Relaxed);
        match outcome {
            Ok(answer) => {
                if failed_before {
                    info!("traces are sent again");
                }
                let mut response = Response::new(answer.body);
                *response.status_mut() = answer.status;
                Ok(response)
            }
            Err(error) => {
                if !failed_before {
                    warn!(error, "traces cannot be sent");
                }
                Err(error.into())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(variables: &[(&str, &str)]) -> anyhow::Result<bool> {
        let environment = variables.iter().copied().collect();
        Ok(provider(&environment, "program", "1")?.is_some())
    }

    const ENDPOINT: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1");

    #[tokio::test]
    async fn nothing_is_sent_unless_an_endpoint_is_named_and_traces_are_not_switched_off() {
        assert!(!of(&[]).unwrap());
        assert!(!of(&[("OTEL_SERVICE_NAME", "x")]).unwrap());
        assert!(of(&[ENDPOINT]).unwrap());
        assert!(of(&[("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://127.0.0.1:1/v1/traces")]).unwrap());
        assert!(!of(&[ENDPOINT, ("OTEL_SDK_DISABLED", "TRUE")]).unwrap());
        assert!(!of(&[ENDPOINT, ("OTEL_TRACES_EXPORTER", "none")]).unwrap());
    }

    #[tokio::test]
    async fn another_protocol_is_named_and_no_traces_are_sent() {
        assert!(of(&[ENDPOINT, ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")]).unwrap());
        let error = of(&[ENDPOINT, ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")]).unwrap_err();
        assert!(error.to_string().contains("OTEL_EXPORTER_OTLP_PROTOCOL"), "{error}");
    }
}
