//! What the webhook counts, under akv2k8s' names.

use std::time::Duration;

use akv2k8s_shared::diagnosis::Code;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Denial {
    code: &'static str,
}

/// Counters of the webhook.
pub struct Metrics {
    inspections: Counter,
    mutations: Counter,
    failures: Counter,
    denials: Family<Denial, Counter>,
    refused: Counter,
    look_ups: Counter,
    failed_look_ups: Counter,
    duration: Histogram,
}

impl Metrics {
    /// All at zero, and part of what `registry` shows.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            inspections: Counter::default(),
            mutations: Counter::default(),
            failures: Counter::default(),
            denials: Family::default(),
            refused: Counter::default(),
            look_ups: Counter::default(),
            failed_look_ups: Counter::default(),
            duration: Histogram::new(exponential_buckets(0.000_25, 2.0, 16)),
        };
        let counters = [
            ("pod_inspections", "Pods that were looked at", &metrics.inspections),
            (
                "pod_mutations",
                "Pods that were prepared for injection",
                &metrics.mutations,
            ),
            (
                "pod_mutations_failed",
                "Pods that were denied, since they could not be prepared",
                &metrics.failures,
            ),
            (
                "admission_requests_refused",
                "Requests that did not come by the path that the API server was told",
                &metrics.refused,
            ),
            (
                "container_inspections",
                "Images that were looked up, since their container has no command",
                &metrics.look_ups,
            ),
            (
                "container_inspections_failed",
                "Images that could not be looked up",
                &metrics.failed_look_ups,
            ),
        ];
        for (name, help, counter) in counters {
            registry.register(name, help, counter.clone());
        }
        registry.register(
            "admission_denials",
            "Pods that were denied, by code of the failure catalogue",
            metrics.denials.clone(),
        );
        registry.register(
            "admission_duration_seconds",
            "Time one admission took",
            metrics.duration.clone(),
        );
        metrics
    }

    /// A pod was looked at.
    pub(super) fn inspected(&self, prepared: bool) {
        self.inspections.inc();
        if prepared {
            self.mutations.inc();
        }
    }

    /// A pod was denied.
    pub(super) fn denied(&self, code: Code) {
        self.failures.inc();
        let code = code.as_str();
        self.denials.get_or_create(&Denial { code }).inc();
    }

    /// Somebody asked who is not the API server.
    pub(crate) fn refused(&self) {
        self.refused.inc();
    }

    /// An image was looked up.
    pub(super) fn looked_up(&self, found: bool) {
        self.look_ups.inc();
        if !found {
            self.failed_look_ups.inc();
        }
    }

    /// An answer took so long.
    pub(super) fn took(&self, time: Duration) {
        self.duration.observe(time.as_secs_f64());
    }
}
