//! Metrics that all programs have: how vaults, tokens and the program itself stand; and the text that Prometheus reads.
//!
//! No label holds the name of a Kubernetes object or of a vault object, so their number is bounded by vaults, methods and codes.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use akv2k8s_shared::identity::token_counts;
use akv2k8s_shared::keyvault::{KeyVault, Stats, VaultState};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

/// The media type of [`encode`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// A registry whose names begin with `akv2k8s_`, with `akv2k8s_build_info` in it: which program this is, and its version.
pub fn registry(program: &'static str, version: &'static str) -> Registry {
    let mut registry = Registry::with_prefix("akv2k8s");
    let labels = vec![("program", program), ("version", version)];
    // Its `register` ends each text with a full stop.
    registry.register("build", "1, with what runs as labels", Info::new(labels));
    registry
}

/// Everything in `registry`, in the `OpenMetrics` format 1.0.
///
/// # Errors
/// A collector could not write its part.
pub fn encode(registry: &Registry) -> Result<String, fmt::Error> {
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, registry)?;
    Ok(text)
}

/// What is known of vaults and tokens, read when it is asked for.
pub struct AzureReadings(pub KeyVault);

impl fmt::Debug for AzureReadings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AzureReadings")
    }
}

impl Collector for AzureReadings {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let stats = self.0.stats();
        requests(&mut encoder, &stats)?;
        let vaults = |value: fn(&VaultState) -> f64| stats.vaults.iter().map(move |it| (it.vault.as_str(), value(it)));
        gauges(
            &mut encoder,
            "vault_budget_per_10s",
            "Requests per 10 s that a vault is sent at most, now.",
            "vault",
            vaults(|it| it.per_10s),
        )?;
        gauges(
            &mut encoder,
            "vault_budget_available",
            "Requests that a vault may be sent at once.",
            "vault",
            vaults(|it| it.available),
        )?;
        gauges(
            &mut encoder,
            "vault_waiting",
            "Requests that wait for a vault's budget.",
            "vault",
            vaults(|it| count(it.waiting)),
        )?;
        gauges(
            &mut encoder,
            "vault_paused_seconds",
            "How much longer a vault is left alone after a 429.",
            "vault",
            vaults(|it| it.paused.as_secs_f64()),
        )?;
        let answered = stats.vaults.iter();
        gauges(
            &mut encoder,
            "vault_last_success_timestamp_seconds",
            "When a vault last gave what it was asked for.",
            "vault",
            answered.filter_map(|it| Some((it.vault.as_str(), timestamp(it.last_success?)))),
        )?;
        tokens(&mut encoder)
    }
}

fn requests(encoder: &mut DescriptorEncoder<'_>, stats: &Stats) -> fmt::Result {
    let help = "Requests sent to a vault.";
    let mut requests = encoder.encode_descriptor("vault_requests", help, None, MetricType::Counter)?;
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
    let help = "429 answers of a vault.";
    let mut throttled = encoder.encode_descriptor("vault_throttled", help, None, MetricType::Counter)?;
    for it in &stats.vaults {
        throttled
            .encode_family(&[("vault", it.vault.as_str())])?
            .encode_counter::<NoLabelSet, _, u64>(&it.throttled, None)?;
    }
    Ok(())
}

fn tokens(encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let help = "Tokens that were asked for, by method and outcome: ok or a failure code.";
    let mut tokens = encoder.encode_descriptor("token_requests", help, None, MetricType::Counter)?;
    for it in token_counts() {
        tokens
            .encode_family(&[("method", it.method), ("outcome", it.outcome)])?
            .encode_counter::<NoLabelSet, _, u64>(&it.count, None)?;
    }
    Ok(())
}

/// One gauge with one label, and its series as (value of the label, number).
///
/// # Errors
/// The encoder's own.
pub fn gauges<'a>(
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

/// A count as a gauge shows it.
#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
pub fn count(number: usize) -> f64 {
    number as f64
}

/// A time as a gauge shows it: seconds since the Unix epoch.
fn timestamp(at: SystemTime) -> f64 {
    at.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registry_says_which_program_it_is_of() {
        let text = encode(&registry("akv2k8s-x", "1.2.3")).unwrap();
        assert!(
            text.contains("akv2k8s_build_info{program=\"akv2k8s-x\",version=\"1.2.3\"} 1\n"),
            "{text}"
        );
        assert!(text.ends_with("# EOF\n"), "{text}");
    }
}
