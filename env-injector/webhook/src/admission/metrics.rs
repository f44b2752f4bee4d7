//! What the webhook counts, under akv2k8s' names.

use std::time::Duration;

use akv2k8s_shared::diagnosis::Code;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use crate::metrics::ByCode;

/// Counters of the webhook.
pub struct Metrics {
    inspections: Counter,
    mutations: Counter,
    failures: Counter,
    denials: Family<ByCode, Counter>,
    refused: Counter,
    look_ups: Counter,
    failed_look_ups: Counter,
    duration: Histogram,
}

impl Metrics {
    /// All at zero, and part of what `registry` shows.
    pub fn register(registry: &mut Registry) -> Self {
        let denials = Family::default();
        let help = "Pods that were denied, by code of the failure catalogue";
        registry.register("admission_denials", help, Family::clone(&denials));
        let duration = Histogram::new(exponential_buckets(0.000_25, 2.0, 16));
        let help = "Time one admission took";
        registry.register("admission_duration_seconds", help, duration.clone());
        let mut counter = |name, help| {
            let counter = Counter::default();
            registry.register(name, help, counter.clone());
            counter
        };
        Self {
            inspections: counter("pod_inspections", "Pods that were looked at"),
            mutations: counter("pod_mutations", "Pods that were prepared for injection"),
            failures: counter(
                "pod_mutations_failed",
                "Pods that were denied, since they could not be prepared",
            ),
            refused: counter(
                "admission_requests_refused",
                "Requests that did not come by the path that the API server was told",
            ),
            look_ups: counter(
                "container_inspections",
                "Images that were looked up, since their container has no command",
            ),
            failed_look_ups: counter("container_inspections_failed", "Images that could not be looked up"),
            denials,
            duration,
        }
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
        self.denials.get_or_create(&code.into()).inc();
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
