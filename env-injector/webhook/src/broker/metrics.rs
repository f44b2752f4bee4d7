//! What is counted. Labels never hold a pod's or an object's name.

use std::time::Duration;

use akv2k8s_shared::diagnosis::Code;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use crate::metrics::ByCode;

/// The broker's counters. Cheap to clone.
#[derive(Clone)]
pub struct Metrics {
    requests: Counter,
    failed: Counter,
    releases: Counter,
    denials: Family<ByCode, Counter>,
    duration: Histogram,
}

impl Metrics {
    /// All at zero, registered with `registry`, whose prefix is `akv2k8s`.
    pub fn new(registry: &mut Registry) -> Self {
        let metrics = Self {
            requests: Counter::default(),
            failed: Counter::default(),
            releases: Counter::default(),
            denials: Family::default(),
            duration: Histogram::new(exponential_buckets(0.0005, 2.0, 16)),
        };
        registry.register("auth_requests", "Requests to the broker", metrics.requests.clone());
        registry.register(
            "auth_requests_failed",
            "Requests to the broker that got no values",
            metrics.failed.clone(),
        );
        registry.register("broker_releases", "Values given to pods", metrics.releases.clone());
        registry.register(
            "broker_denials",
            "Requests to the broker that got no values, by code of the failure catalogue",
            metrics.denials.clone(),
        );
        registry.register(
            "broker_request_duration_seconds",
            "Time one request to the broker took",
            metrics.duration.clone(),
        );
        metrics
    }

    pub(super) fn released(&self, values: usize) {
        self.releases.inc_by(values as u64);
    }

    /// A request was answered; `denied` says why it got no values.
    pub(super) fn answered(&self, took: Duration, denied: Option<Code>) {
        self.requests.inc();
        self.duration.observe(took.as_secs_f64());
        if let Some(code) = denied {
            self.failed.inc();
            self.denials.get_or_create(&code.into()).inc();
        }
    }
}
