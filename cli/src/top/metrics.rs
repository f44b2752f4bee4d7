//! The controller's metrics of vaults, from its text. Pure.

use std::collections::BTreeMap;

/// What they say of one vault.
#[derive(Debug, Default, Clone, PartialEq)]
pub(super) struct Counts {
    /// Requests that were sent, by operation.
    pub(super) calls: BTreeMap<String, u64>,
    /// Those that Azure counts: it authenticated them.
    pub(super) billed: u64,
    /// 429 answers.
    pub(super) throttled: u64,
    /// Requests per 10 s that it is sent at most, now.
    pub(super) budget: Option<f64>,
    /// Requests that wait for that budget.
    pub(super) waiting: u64,
}

/// What `text` (OpenMetrics) says of each vault, by host.
pub(super) fn parse(text: &str) -> BTreeMap<String, Counts> {
    let mut vaults: BTreeMap<String, Counts> = BTreeMap::new();
    for (name, labels, value) in text.lines().filter_map(sample) {
        let Some(vault) = labels.get("vault") else { continue };
        let label = |name: &str| labels.get(name).map(String::as_str).unwrap_or_default();
        let counts = vaults.entry(vault.clone()).or_default();
        match name {
            "akv2k8s_vault_requests_total" => {
                let count = whole(value);
                *counts.calls.entry(label("operation").to_owned()).or_default() += count;
                if is_billed(label("status")) {
                    counts.billed += count;
                }
            }
            "akv2k8s_vault_throttled_total" => counts.throttled += whole(value),
            "akv2k8s_vault_budget_per_10s" => counts.budget = Some(value),
            "akv2k8s_vault_waiting" => counts.waiting += whole(value),
            _ => {}
        }
    }
    vaults
}

/// What was authenticated counts, as far as is known: no challenge, no refusal to answer, and nothing that did not arrive.
fn is_billed(status: &str) -> bool {
    !matches!(status, "401" | "429" | "5xx" | "failed")
}

/// One line: `NAME{LABEL="VALUE",…} NUMBER`.
fn sample(line: &str) -> Option<(&str, BTreeMap<String, String>, f64)> {
    if line.starts_with('#') {
        return None;
    }
    let (name, rest) = line.split_once('{')?;
    let (labels, value) = rest.rsplit_once('}')?;
    let value = value.split_whitespace().next()?.parse().ok()?;
    let label = |text: &str| {
        let (name, value) = text.split_once('=')?;
        Some((name.to_owned(), value.trim_matches('"').to_owned()))
    };
    // No label of ours has a comma in its value.
    Some((name, labels.split(',').filter_map(label).collect(), value))
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "counters are whole and not negative"
)]
fn whole(value: f64) -> u64 {
    value as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_controller_writes_is_read_and_all_else_is_passed_over() {
        let text = "# HELP akv2k8s_vault_requests Requests sent to a vault.\n# TYPE akv2k8s_vault_requests counter\n\
            akv2k8s_vault_requests_total{vault=\"kv1.vault.azure.net\",operation=\"getSecret\",status=\"2xx\"} 7\n\
            akv2k8s_vault_requests_total{vault=\"kv1.vault.azure.net\",operation=\"getSecret\",status=\"401\"} 1\n\
            akv2k8s_vault_requests_total{vault=\"kv1.vault.azure.net\",operation=\"listSecrets\",status=\"2xx\"} 40\n\
            akv2k8s_vault_throttled_total{vault=\"kv1.vault.azure.net\"} 2\nakv2k8s_vault_budget_per_10s{vault=\"kv1.vault.azure.net\"} 937.5\n\
            akv2k8s_vault_waiting{vault=\"kv1.vault.azure.net\"} 3\nakv2k8s_leader 1\nakv2k8s_objects{reason=\"Synced\"} 5\nnonsense{ x\n# EOF\n";
        let vaults = parse(text);
        let calls = [("getSecret", 8), ("listSecrets", 40)].map(|(name, count)| (name.to_owned(), count));
        let expected = Counts {
            calls: calls.into(),
            billed: 47,
            throttled: 2,
            budget: Some(937.5),
            waiting: 3,
        };
        assert_eq!(vaults, BTreeMap::from([("kv1.vault.azure.net".to_owned(), expected)]));
    }
}
