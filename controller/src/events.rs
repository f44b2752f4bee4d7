//! Kubernetes events, with upstream's reasons and messages.
//!
//! Events are written by one background task, and only while few syncs write: they never delay a Secret. They need no memory of what was said before: an
//! event goes with a change of status or data, and those happen once.

use std::time::{Duration, Instant, SystemTime};

use k8s_openapi::api::core::v1::{Event as CoreEvent, EventSource, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, PostParams};
use tokio::sync::mpsc;
use tracing::debug;

/// What upstream calls itself in events.
const COMPONENT: &str = "azurekeyvaultcontroller";
/// Longest message the API server accepts.
const LONGEST_MESSAGE: usize = 1024;
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

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Note {
    /// An output was written because the AKVS asked for it.
    Synced,
    /// An output was written because the vault changed.
    SyncedWithChange,
    /// A sync failed on the vault's side.
    ErrAzureVault {
        /// Name of the AKVS.
        akvs: String,
        /// Name of the vault.
        vault: String,
        /// What happened, why and what to do.
        error: String,
    },
    /// An output belongs to somebody else.
    ErrResourceExists {
        /// The output's name.
        name: String,
        /// Why, and what to do.
        error: String,
    },
    /// Any other failure; its reason is the catalogue code.
    Failed {
        /// The code.
        code: &'static str,
        /// What happened, why and what to do.
        error: String,
    },
    /// Something in the spec has no effect.
    Warning(String),
}

impl Note {
    fn type_(&self) -> &'static str {
        match self {
            Self::Synced | Self::SyncedWithChange => "Normal",
            _ => "Warning",
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::Synced | Self::SyncedWithChange => "Synced",
            Self::ErrAzureVault { .. } => "ErrAzureVault",
            Self::ErrResourceExists { .. } => "ErrResourceExists",
            Self::Failed { code, .. } => code,
            Self::Warning(_) => "SpecFieldIgnored",
        }
    }

    fn message(&self) -> String {
        let message = match self {
            Self::Synced => "AzureKeyVaultSecret synced to Kubernetes Secret successfully".to_owned(),
            Self::SyncedWithChange => {
                "AzureKeyVaultSecret synced to Kubernetes Secret successfully with change from Azure Key Vault"
                    .to_owned()
            }
            Self::ErrAzureVault { akvs, vault, error } => {
                format!("Failed to get secret for '{akvs}' from Azure Key Vault '{vault}': {error}")
            }
            Self::ErrResourceExists { name, error } => {
                format!("Resource '{name}' already exists and is not managed by AzureKeyVaultSecret: {error}")
            }
            Self::Failed { error, .. } => error.clone(),
            Self::Warning(text) => text.clone(),
        };
        shortened(message)
    }
}

/// Where events are put; cheap to clone.
#[derive(Clone)]
pub(crate) struct Events {
    queue: mpsc::Sender<CoreEvent>,
    instance: String,
}

impl Events {
    /// The sender and the task that writes; the task ends when every sender is gone. While `is_busy`, events wait a little.
    pub(crate) fn new(
        client: kube::Client,
        instance: String,
        is_busy: impl Fn() -> bool + Send,
    ) -> (Self, impl Future<Output = ()> + Send) {
        let (queue, events) = mpsc::channel(BACKLOG);
        (Self { queue, instance }, write(client, events, is_busy))
    }

    /// Tells about `object`, which must be namespaced.
    pub(crate) fn publish(&self, object: ObjectReference, note: &Note) {
        let event = build(object, note, &self.instance, now());
        if self.queue.try_send(event).is_err() {
            debug!("an event was dropped: too many wait to be written");
        }
    }
}

async fn write(client: kube::Client, mut events: mpsc::Receiver<CoreEvent>, is_busy: impl Fn() -> bool) {
    while let Some(event) = events.recv().await {
        let start = Instant::now();
        while is_busy() && start.elapsed() < DEFERENCE {
            tokio::time::sleep(LOOK).await;
        }
        let namespace = event.involved_object.namespace.clone().unwrap_or_default();
        let api = Api::<CoreEvent>::namespaced(client.clone(), &namespace);
        let mut pauses = PAUSES.iter();
        while let Err(error) = api.create(&PostParams::default(), &event).await {
            let pause = pauses.next().filter(|_| may_pass(&error));
            debug!(%error, namespace, again = pause.is_some(), "an event could not be written");
            let Some(pause) = pause else { break };
            tokio::time::sleep(*pause).await;
        }
    }
}

/// Whether the API server is only busy or away.
fn may_pass(error: &kube::Error) -> bool {
    match error {
        kube::Error::Api(status) => status.code == 429 || status.code >= 500,
        _ => true,
    }
}

fn build(object: ObjectReference, note: &Note, instance: &str, now: Timestamp) -> CoreEvent {
    let base = object.name.as_deref().unwrap_or("akvs");
    // As client-go names them: object, dot, nanoseconds in hex. 253 characters is the limit of names.
    let name = format!("{}.{:x}", &base[..base.len().min(230)], now.as_nanosecond());
    CoreEvent {
        metadata: ObjectMeta {
            name: Some(name),
            namespace: object.namespace.clone(),
            ..ObjectMeta::default()
        },
        involved_object: object,
        type_: Some(note.type_().to_owned()),
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

fn shortened(mut message: String) -> String {
    if message.len() > LONGEST_MESSAGE {
        let end = (0..=LONGEST_MESSAGE - 3)
            .rev()
            .find(|at| message.is_char_boundary(*at))
            .unwrap_or(0);
        message.truncate(end);
        message.push('…');
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_and_messages_are_upstreams() {
        let failed = Note::ErrAzureVault {
            akvs: "db".to_owned(),
            vault: "kv".to_owned(),
            error: "ObjectNotFound".to_owned(),
        };
        assert_eq!((failed.type_(), failed.reason()), ("Warning", "ErrAzureVault"));
        assert_eq!(
            failed.message(),
            "Failed to get secret for 'db' from Azure Key Vault 'kv': ObjectNotFound"
        );
        assert_eq!((Note::Synced.type_(), Note::Synced.reason()), ("Normal", "Synced"));
        assert_eq!(
            Note::Synced.message(),
            "AzureKeyVaultSecret synced to Kubernetes Secret successfully"
        );
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
        assert!(event.message.unwrap().len() <= LONGEST_MESSAGE);
        assert_eq!(event.metadata.namespace.as_deref(), Some("default"));
    }
}
