//! Metrics, upstream's names first. Labels never hold an object's name, so their number is bounded by vaults and codes.
//!
//! Those of vaults and tokens are the same in all programs: [`akv2k8s_program::metrics`]. All are described in `docs/metrics.md`.

use std::fmt;
use std::sync::Arc;

use akv2k8s_program::metrics::{AzureReadings, count, encode, gauges, registry};
use akv2k8s_shared::keyvault::KeyVault;
use k8s_openapi::jiff::Timestamp;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use crate::events::{BACKLOG_FULL, Loss, NOT_WRITTEN};
use crate::health::{Health, Phase};
use crate::objects::Objects;
use crate::queue::{Lane, Queue};

/// Labels of `akv2k8s_syncs_total` and `akv2k8s_syncs_failed_total`, upstream's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Cause {
    /// `add`, `update`, `delete`, `sync`.
    operation: &'static str,
    /// `AzureKeyVaultSecret` when the AKVS is the cause, `AzureKeyVault` when the vault is.
    object: &'static str,
}

impl Cause {
    /// The first sync of an AKVS.
    pub(crate) const ADD: Self = Self::new("add", "AzureKeyVaultSecret");
    /// It, or an output of it, changed.
    pub(crate) const UPDATE: Self = Self::new("update", "AzureKeyVaultSecret");
    /// It was deleted, and its outputs are let go.
    pub(crate) const DELETE: Self = Self::new("delete", "AzureKeyVaultSecret");
    /// The vault changed, or it was time to look.
    pub(crate) const SYNC: Self = Self::new("sync", "AzureKeyVault");

    /// What happened, as in the label.
    pub(crate) fn operation(self) -> &'static str {
        self.operation
    }

    const fn new(operation: &'static str, object: &'static str) -> Self {
        Self { operation, object }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

/// Everything that is counted, and where the rest is read at scrape time.
pub(crate) struct Metrics {
    registry: Registry,
    syncs: Family<Cause, Counter>,
    failed: Family<Cause, Counter>,
    outcomes: Family<Outcome, Counter>,
    duration: Histogram,
    polls: Family<Outcome, Counter>,
    status_writes: Counter,
    events_lost: Family<Loss, Counter>,
}

impl Metrics {
    /// All counters at zero, those included that will have a label: else Prometheus would not see the first failure as an increase.
    pub(crate) fn new(vault: KeyVault, readings: Readings) -> Self {
        // Its `register` ends each text with a full stop.
        let mut registry = registry(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));
        let (syncs, failed) = (Family::default(), Family::default());
        for cause in [Cause::ADD, Cause::UPDATE, Cause::DELETE, Cause::SYNC] {
            drop((syncs.get_or_create(&cause), failed.get_or_create(&cause)));
        }
        let outcomes = Family::default();
        let duration = Histogram::new(exponential_buckets(0.005, 2.0, 14));
        let polls = Family::default();
        let status_writes = Counter::default();
        let events_lost = Family::default();
        for loss in [BACKLOG_FULL, NOT_WRITTEN] {
            drop(events_lost.get_or_create(&loss));
        }
        registry.register("syncs", "Syncs, by cause", syncs.clone());
        registry.register("syncs_failed", "Syncs that failed, by cause", failed.clone());
        registry.register(
            "sync_outcomes",
            "Syncs, by outcome: Synced or a failure code",
            outcomes.clone(),
        );
        registry.register("sync_duration_seconds", "Time one sync took", duration.clone());
        registry.register(
            "polls",
            "Looks at a vault's list, by outcome: ok or a failure code",
            polls.clone(),
        );
        registry.register(
            "status_writes",
            "Writes of AzureKeyVaultSecret status",
            status_writes.clone(),
        );
        registry.register(
            "events_lost",
            "Kubernetes events that were not written: too many waited (backlog), or the API server refused (write)",
            events_lost.clone(),
        );
        registry.register_collector(Box::new(AzureReadings(vault)));
        registry.register_collector(Box::new(readings));
        Self {
            registry,
            syncs,
            failed,
            outcomes,
            duration,
            polls,
            status_writes,
            events_lost,
        }
    }

    /// Where events that were not written are counted.
    pub(crate) fn events_lost(&self) -> Family<Loss, Counter> {
        self.events_lost.clone()
    }

    /// A sync ended after `seconds`; `failure` is its code.
    pub(crate) fn synced(&self, cause: Cause, seconds: f64, failure: Option<&'static str>) {
        self.syncs.get_or_create(&cause).inc();
        if failure.is_some() {
            self.failed.get_or_create(&cause).inc();
        }
        self.outcomes
            .get_or_create(&Outcome {
                outcome: failure.unwrap_or("Synced"),
            })
            .inc();
        self.duration.observe(seconds);
    }

    /// A look at a list ended; `failure` is its code.
    pub(crate) fn polled(&self, failure: Option<&'static str>) {
        self.polls
            .get_or_create(&Outcome {
                outcome: failure.unwrap_or("ok"),
            })
            .inc();
    }

    /// A status was written.
    pub(crate) fn status_written(&self) {
        self.status_writes.inc();
    }

    /// The text of `/metrics`, in `OpenMetrics` format.
    pub(crate) fn encode(&self) -> String {
        encode(&self.registry).unwrap_or_else(|error| format!("# metrics could not be written: {error}\n"))
    }
}

/// What is read at scrape time instead of being counted twice.
pub(crate) struct Readings {
    /// Phase and problems.
    pub(crate) health: Arc<Health>,
    /// How many there are, and when what they name expires.
    pub(crate) objects: Arc<Objects>,
    /// How much waits, and how long.
    pub(crate) queue: Arc<Queue<crate::objects::Key>>,
}

impl fmt::Debug for Readings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Readings")
    }
}

impl Collector for Readings {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        self.encode_queue(&mut encoder)?;
        self.encode_objects(&mut encoder)?;
        let problems = self.health.problems();
        let help = "1 for each identity or vault that is in trouble.";
        let mut family = encoder.encode_descriptor("problem", help, None, MetricType::Gauge)?;
        for (subject, code) in &problems {
            let labels = [("subject", subject.as_str()), ("code", *code)];
            family.encode_family(&labels)?.encode_gauge(&1_i64)?;
        }
        let leader = i64::from(self.health.phase() != Phase::Standby);
        encoder
            .encode_descriptor("leader", "1 when this replica does the work.", None, MetricType::Gauge)?
            .encode_gauge(&leader)
    }
}

impl Readings {
    fn encode_queue(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let lanes =
            [("new", Lane::New), ("refresh", Lane::Refresh)].map(|(name, lane)| (name, self.queue.waiting(lane)));
        gauges(
            encoder,
            "queue_depth",
            "Objects that wait to be synced.",
            "lane",
            lanes.map(|(name, waiting)| (name, count(waiting.depth))),
        )?;
        gauges(
            encoder,
            "queue_oldest_seconds",
            "How long the object has waited that waits longest to be synced.",
            "lane",
            lanes.map(|(name, waiting)| (name, waiting.oldest.as_secs_f64())),
        )
    }

    fn encode_objects(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let ready = self.objects.count_by_reason();
        let ready = ready.iter().map(|(reason, number)| (reason.as_str(), count(*number)));
        gauges(
            encoder,
            "objects",
            "AzureKeyVaultSecrets, by reason of their Ready condition.",
            "reason",
            ready,
        )?;
        let ends = self.objects.ends(Timestamp::now());
        gauges(
            encoder,
            "vault_expired_objects",
            "AzureKeyVaultSecrets whose object of the vault has expired.",
            "vault_name",
            ends.iter().map(|(vault, it)| (vault.as_str(), count(it.expired))),
        )?;
        gauges(
            encoder,
            "vault_next_expiry_timestamp_seconds",
            "When the next object of the vault expires that an AzureKeyVaultSecret names.",
            "vault_name",
            ends.iter()
                .filter_map(|(vault, it)| Some((vault.as_str(), it.next?.as_duration().as_secs_f64()))),
        )
    }
}

#[cfg(test)]
mod tests;
