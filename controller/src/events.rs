//! Kubernetes events, with upstream's reasons and messages.
//!
//! Events are written by one background task, and only while few syncs write: they never delay a Secret. They need no memory of what was said before: an
//! event goes with a change of status or data, and those happen once.

mod note;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use k8s_openapi::api::core::v1::{Event as CoreEvent, EventSource, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, PostParams};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;
use tracing::{debug, info, warn};

pub(crate) use note::Note;
pub use note::{KINDS, Kind};

/// What upstream calls itself in events.
const COMPONENT: &str = "azurekeyvaultcontroller";
/// Events waiting to be written; more are dropped, as a failing API server must not fill our memory.
const BACKLOG: usize = 4096;
/// Between the attempts to write one event.
const PAUSES: [Duration; 3] = [
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
];

/// Longest time an event steps back for Secrets and status.
const DEFERENCE: Duration = Duration::from_secs(1);
/// How often it looks whether it is its turn.
const LOOK: Duration = Duration::from_millis(25);

/// Label of `akv2k8s_events_lost_total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Loss {
    /// `backlog`: too many waited; `write`: the API server did not take it.
    reason: &'static str,
}

/// Too many waited.
pub(crate) const BACKLOG_FULL: Loss = Loss { reason: "backlog" };
/// The API server did not take it.
pub(crate) const NOT_WRITTEN: Loss = Loss { reason: "write" };

/// Events that never came to be. An episode lasts until an event is written and none waits.
#[derive(Default)]
struct Losses {
    counted: Family<Loss, Counter>,
    episode: AtomicU64,
}

impl Losses {
    /// Counts one; true for the first of an episode.
    fn add(&self, loss: Loss) -> bool {
        self.counted.get_or_create(&loss).inc();
        self.episode.fetch_add(1, Ordering::Relaxed) == 0
    }

    fn end(&self) {
        let lost = self.episode.swap(0, Ordering::Relaxed);
        if lost > 0 {
            info!(lost, "events are written again");
        }
    }
}

/// Where events are put; cheap to clone.
#[derive(Clone)]
pub(crate) struct Events {
    queue: mpsc::Sender<CoreEvent>,
    instance: String,
    losses: Arc<Losses>,
}

impl Events {
    /// The sender and the task that writes; the task ends when every sender is gone. `lost` counts. While `is_busy`, events wait
    /// a little.
    pub(crate) fn new(
        client: kube::Client,
        instance: String,
        lost: Family<Loss, Counter>,
        is_busy: impl Fn() -> bool + Send,
    ) -> (Self, impl Future<Output = ()> + Send) {
        let (queue, events) = mpsc::channel(BACKLOG);
        let losses = Arc::new(Losses {
            counted: lost,
            episode: AtomicU64::new(0),
        });
        let writer = write(client, events, Arc::clone(&losses), is_busy);
        let sender = Self {
            queue,
            instance,
            losses,
        };
        (sender, writer)
    }

    /// Tells about `object`, which must be namespaced.
    pub(crate) fn publish(&self, object: ObjectReference, note: &Note) {
        self.send(build(object, note, &self.instance, now()));
    }

    /// The same, unless there is such an event already, be it of another process: equal ones have one name.
    pub(crate) fn publish_once(&self, object: ObjectReference, note: &Note) {
        let mut event = build(object, note, &self.instance, now());
        event.metadata.name = Some(stable_name(&event));
        self.send(event);
    }

    fn send(&self, event: CoreEvent) {
        if self.queue.try_send(event).is_err() && self.losses.add(BACKLOG_FULL) {
            warn!("events are dropped: {BACKLOG} wait to be written; akv2k8s_events_lost_total counts them");
        }
    }
}

async fn write(
    client: kube::Client,
    mut events: mpsc::Receiver<CoreEvent>,
    losses: Arc<Losses>,
    is_busy: impl Fn() -> bool,
) {
    while let Some(event) = events.recv().await {
        let start = Instant::now();
        while is_busy() && start.elapsed() < DEFERENCE {
            tokio::time::sleep(LOOK).await;
        }
        match create(&client, &event).await {
            Ok(()) if events.is_empty() => losses.end(),
            Ok(()) => {}
            Err(error) if is_leaving(&error) => debug!(%error, "no event: its namespace is being deleted"),
            Err(error) => {
                if losses.add(NOT_WRITTEN) {
                    warn!(%error, "events cannot be written; akv2k8s_events_lost_total counts them");
                }
            }
        }
    }
}

/// Writes one event, in a few attempts as long as that may help.
async fn create(client: &kube::Client, event: &CoreEvent) -> Result<(), kube::Error> {
    let namespace = event.involved_object.namespace.clone().unwrap_or_default();
    let api = Api::<CoreEvent>::namespaced(client.clone(), &namespace);
    let mut pauses = PAUSES.iter();
    while let Err(error) = api.create(&PostParams::default(), event).await {
        if matches!(&error, kube::Error::Api(status) if status.is_already_exists()) {
            return Ok(());
        }
        let Some(pause) = pauses.next().filter(|_| may_pass(&error)) else {
            return Err(error);
        };
        debug!(%error, namespace, "an event could not be written; trying again");
        tokio::time::sleep(*pause).await;
    }
    Ok(())
}

/// Whether the namespace is gone or going: then nobody reads its events.
fn is_leaving(error: &kube::Error) -> bool {
    let kube::Error::Api(status) = error else { return false };
    let causes = status.details.iter().flat_map(|details| &details.causes);
    status.code == 404 || causes.into_iter().any(|cause| cause.reason == "NamespaceTerminating")
}

/// Whether the API server is only busy or away.
fn may_pass(error: &kube::Error) -> bool {
    match error {
        kube::Error::Api(status) => status.code == 429 || status.code >= 500,
        _ => true,
    }
}

/// What an event's name begins with. Names have 253 characters at most.
fn base_name(object: &ObjectReference) -> &str {
    let name = object.name.as_deref().unwrap_or("akvs");
    &name[..name.len().min(230)]
}

/// A name made from what the event says, and of which object.
fn stable_name(event: &CoreEvent) -> String {
    let object = &event.involved_object;
    let said = [&object.uid, &event.reason, &event.message];
    let mut digest = Sha256::new();
    for part in said {
        digest.update(part.as_deref().unwrap_or_default());
        digest.update([0]);
    }
    let number = digest
        .finalize()
        .iter()
        .take(8)
        .fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    format!("{}.{number:016x}", base_name(object))
}

fn build(object: ObjectReference, note: &Note, instance: &str, now: Timestamp) -> CoreEvent {
    // As client-go names them: object, dot, nanoseconds in hex.
    let name = format!("{}.{:x}", base_name(&object), now.as_nanosecond());
    CoreEvent {
        metadata: ObjectMeta {
            name: Some(name),
            namespace: object.namespace.clone(),
            ..ObjectMeta::default()
        },
        involved_object: object,
        type_: Some(note.kind().type_.to_owned()),
        reason: Some(note.reason().to_owned()),
        message: Some(note.message()),
        count: Some(1),
        first_timestamp: Some(Time(now)),
        last_timestamp: Some(Time(now)),
        source: Some(EventSource {
            component: Some(COMPONENT.to_owned()),
            host: None,
        }),
        reporting_component: Some(COMPONENT.to_owned()),
        reporting_instance: Some(instance.to_owned()),
        ..CoreEvent::default()
    }
}

fn now() -> Timestamp {
    Timestamp::try_from(SystemTime::now()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Mutex;

    use axum::http::{Request, Response};
    use kube::client::Body;

    use super::*;

    fn of_something() -> ObjectReference {
        ObjectReference {
            name: Some("db".to_owned()),
            namespace: Some("default".to_owned()),
            ..ObjectReference::default()
        }
    }

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// An API server that takes every event when `takes`, and else refuses.
    fn api_server(takes: bool) -> kube::Client {
        let answer = move |_: Request<Body>| async move {
            let (status, body) = if takes {
                (201, r#"{"metadata": {}, "involvedObject": {}}"#)
            } else {
                (
                    403,
                    r#"{"status": "Failure", "message": "no", "reason": "Forbidden", "code": 403}"#,
                )
            };
            let response = Response::builder().status(status);
            response.body(Body::from(body.as_bytes().to_vec()))
        };
        kube::Client::new(tower::service_fn(answer), "default")
    }

    #[tokio::test]
    async fn events_that_are_dropped_are_counted_and_told_once_an_episode() {
        let log = Log::default();
        let written = log.clone();
        let subscriber = tracing_subscriber::fmt().with_writer(move || log.clone()).finish();
        // Of one subscriber alone, whatever thread reaches a line first is asked, which may be another test's.
        let _company = tracing::Dispatch::new(tracing::subscriber::NoSubscriber::new());
        let guard = tracing::subscriber::set_default(subscriber);
        let lost = Family::default();
        let (events, writer) = Events::new(api_server(true), "me".to_owned(), lost.clone(), || false);
        for _ in 0..BACKLOG + 3 {
            events.publish(of_something(), &Note::Synced);
        }
        assert_eq!(lost.get_or_create(&BACKLOG_FULL).get(), 3);
        let losses = Arc::clone(&events.losses);
        drop(events);
        writer.await;
        assert_eq!(losses.episode.load(Ordering::Relaxed), 0, "the episode is over");
        drop(guard);
        let log = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
        assert_eq!(log.matches("events are dropped").count(), 1, "{log}");
        assert_eq!(log.matches("events are written again").count(), 1, "{log}");
    }

    #[tokio::test]
    async fn events_that_the_api_server_refuses_are_counted() {
        let lost = Family::default();
        let (events, writer) = Events::new(api_server(false), "me".to_owned(), lost.clone(), || false);
        for _ in 0..2 {
            events.publish(of_something(), &Note::Synced);
        }
        drop(events);
        writer.await;
        assert_eq!(lost.get_or_create(&NOT_WRITTEN).get(), 2);
    }

    #[test]
    fn events_that_say_the_same_of_one_object_can_have_one_name() {
        let named = |name: &str, uid: &str, text: &str| {
            let object = ObjectReference {
                name: Some(name.to_owned()),
                uid: Some(uid.to_owned()),
                ..of_something()
            };
            stable_name(&build(object, &Note::Warning(text.to_owned()), "pod", now()))
        };
        assert_eq!(named("a", "u", "text"), named("a", "u", "text"));
        assert_ne!(named("a", "u", "text"), named("a", "v", "text"));
        assert_ne!(named("a", "u", "text"), named("a", "u", "other"));
        assert!(named(&"n".repeat(253), "u", "text").len() <= 253);
    }

    #[test]
    fn an_event_is_one_the_api_server_accepts() {
        let object = ObjectReference {
            name: Some("n".repeat(253)),
            namespace: Some("default".to_owned()),
            ..ObjectReference::default()
        };
        let note = Note::Warning("ü".repeat(1000));
        let event = build(object, &note, "pod-1", Timestamp::from_second(1_700_000_000).unwrap());
        assert!(event.metadata.name.unwrap().len() <= 253);
        assert!(event.message.unwrap().len() <= 1024);
        assert_eq!(event.metadata.namespace.as_deref(), Some("default"));
    }
}
