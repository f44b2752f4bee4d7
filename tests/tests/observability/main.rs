//! Metrics, alerts, dashboards, logs and traces, as the real programs and a real Prometheus have them.

mod alerts;
mod bed;
mod fields;
mod logging;
mod metrics;
mod page;
mod picture;
mod queries;
mod traces;
