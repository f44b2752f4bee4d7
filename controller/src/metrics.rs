//! Metrics, upstream's names first. Labels never hold an object's name, so their number is bounded by vaults and codes.

use std::fmt;
use std::sync::Arc;

use akv2k8s_shared::keyvault::KeyVault;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use crate::events::Loss;
use crate::health::{Health, Phase};
use crate::objects::Objects;
use crate::queue::{Lane, Queue};

/// Labels of `akv2k8s_syncs_total` and `akv2k8s_syncs_failed_total`, upstream's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Cause {
    /// `add`, `update`, `delete`, `sync`.
    pub(crate) operation: &'static str,
    /// `AzureKeyVaultSecret` when the AKVS is the cause, `AzureKeyVault` when the vault is.
    pub(crate) object: &'static str,
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
    /// All counters at zero.
    pub(crate) fn new(readings: Readings) -> Self {
        // Its `register` ends each text with a full stop.
        let mut registry = Registry::with_prefix("akv2k8s");
        let syncs = Family::default();
        let failed = Family::default();
        let outcomes = Family::default();
        let duration = Histogram::new(exponential_buckets(0.005, 2.0, 14));
        let polls = Family::default();
        let status_writes = Counter::default();
        let events_lost = Family::default();
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
        let mut text = String::new();
        match prometheus_client::encoding::text::encode(&mut text, &self.registry) {
            Ok(()) => text,
            Err(error) => format!("# metrics could not be written: {error}\n"),
        }
    }
}

/// What is read at scrape time instead of being counted twice.
pub(crate) struct Readings {
    /// Requests and budgets.
    pub(crate) vault: KeyVault,
    /// Phase and problems.
    pub(crate) health: Arc<Health>,
    /// Number of objects.
    pub(crate) objects: Arc<Objects>,
    /// Depth.
    pub(crate) queue: Arc<Queue<crate::objects::Key>>,
}

impl fmt::Debug for Readings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Readings")
    }
}

impl Collector for Readings {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let stats = self.vault.stats();
        let mut requests =
            encoder.encode_descriptor("vault_requests", "Requests sent to a vault.", None, MetricType::Counter)?;
        for it in &stats.requests {
            let labels = [
                ("vault", it.vault.as_str()),
                ("operation", it.operation),
                ("status", it.status),
            ];
            requests
                .encode_family(&labels)?
                .encode_counter::<NoLabelSet, _, u64>(&it.count, None)?;
        }
        let mut throttled =
            encoder.encode_descriptor("vault_throttled", "429 answers of a vault.", None, MetricType::Counter)?;
        for it in &stats.budgets {
            let labels = [("vault", it.vault.as_str())];
            throttled
                .encode_family(&labels)?
                .encode_counter::<NoLabelSet, _, u64>(&it.throttled, None)?;
        }
        let budgets = stats.budgets.iter();
        gauges(
            &mut encoder,
            "vault_budget_per_10s",
            "Requests per 10 s that a vault is sent at most, now.",
            "vault",
            budgets.clone().map(|it| (it.vault.as_str(), it.per_10s)),
        )?;
        gauges(
            &mut encoder,
            "vault_waiting",
            "Requests that wait for a vault's budget.",
            "vault",
            budgets.map(|it| (it.vault.as_str(), count(it.waiting))),
        )?;
        self.encode_own(&mut encoder)
    }
}

impl Readings {
    fn encode_own(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let depths = [
            ("new", count(self.queue.depth(Lane::New))),
            ("refresh", count(self.queue.depth(Lane::Refresh))),
        ];
        gauges(
            encoder,
            "queue_depth",
            "Objects that wait to be synced.",
            "lane",
            depths,
        )?;
        let ready = self.objects.count_by_reason();
        let ready = ready.iter().map(|(reason, number)| (reason.as_str(), count(*number)));
        gauges(
            encoder,
            "objects",
            "AzureKeyVaultSecrets, by reason of their Ready condition.",
            "reason",
            ready,
        )?;
        let problems = self.health.problems();
        let mut family = encoder.encode_descriptor(
            "problem",
            "1 for each identity or vault that is in trouble.",
            None,
            MetricType::Gauge,
        )?;
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

fn gauges<'a>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    label: &'static str,
    series: impl IntoIterator<Item = (&'a str, f64)>,
) -> fmt::Result {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for (value, number) in series {
        family.encode_family(&[(label, value)])?.encode_gauge(&number)?;
    }
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
fn count(number: usize) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use akv2k8s_shared::environment::Environment;
    use akv2k8s_shared::http::{HttpClient, Limits as HttpLimits};
    use akv2k8s_shared::keyvault::Settings;

    use super::*;
    use crate::queue::Limits;

    #[test]
    fn every_help_text_ends_with_one_full_stop() {
        let http = HttpClient::from_environment(&Environment::default(), HttpLimits::default()).unwrap();
        let metrics = Metrics::new(Readings {
            vault: KeyVault::new(http, Settings::default()),
            health: Arc::default(),
            objects: Arc::default(),
            queue: Arc::new(Queue::new(Limits::default())),
        });
        // A family without members is not written.
        let cause = Cause {
            operation: "add",
            object: "AzureKeyVault",
        };
        metrics.synced(cause, 0.1, Some("Throttled"));
        metrics.polled(None);
        metrics.events_lost().get_or_create(&crate::events::BACKLOG_FULL).inc();
        let text = metrics.encode();
        let helps: Vec<_> = text.lines().filter(|line| line.starts_with("# HELP")).collect();
        assert!(helps.len() > 10, "{text}");
        for help in helps {
            assert!(help.ends_with('.') && !help.ends_with(".."), "{help}");
        }
    }
}
