//! Alerts: each is well-formed, fires, resolves, and has a page.

use std::collections::{BTreeMap, BTreeSet};

use akv2k8s_testbed::prometheus::promtool;
use serde_json::Value;

use crate::bed::{RULES, read, root};

const TESTS: &str = "tests/prometheus/alerts.test.yaml";
const PAGES: &str = "docs/runbooks";

fn yaml(path: &str) -> anyhow::Result<Value> {
    Ok(serde_yaml::from_str(&read(path)?)?)
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// Name → rule.
fn alerts() -> anyhow::Result<BTreeMap<String, Value>> {
    let rules = yaml(RULES)?;
    let rules = list(&rules["groups"]).iter().flat_map(|group| list(&group["rules"]));
    let alerts = rules.map(|rule| (rule["alert"].as_str().unwrap_or_default().to_owned(), rule.clone()));
    Ok(alerts.collect())
}

#[test]
fn promtool_is_content_with_the_rules_and_their_tests() -> anyhow::Result<()> {
    let text = promtool(&["check", "rules", RULES])?;
    let expected = format!("SUCCESS: {} rules found", alerts()?.len());
    assert!(text.contains(&expected), "{text}");
    promtool(&["test", "rules", TESTS])?;
    Ok(())
}

#[test]
fn promtool_notices_an_alert_that_fires_without_a_reason() -> anyhow::Result<()> {
    let folder = tempfile::tempdir_in(root().join("target"))?;
    let rules = read(RULES)?.replace("akv2k8s_vault_waiting) > 0", "akv2k8s_vault_waiting) >= 0");
    assert_ne!(rules, read(RULES)?);
    std::fs::write(folder.path().join("rules.yaml"), rules)?;
    let tests = folder.path().join("tests.yaml");
    std::fs::write(
        &tests,
        read(TESTS)?.replace("../../charts/akv2k8s/files/rules/akv2k8s.yaml", "rules.yaml"),
    )?;
    let refused = promtool(&["test", "rules", &tests.display().to_string()])
        .unwrap_err()
        .to_string();
    assert!(refused.contains("Akv2k8sVaultBudgetShort"), "{refused}");
    Ok(())
}

#[test]
fn each_alert_is_tested_before_it_fires_while_it_fires_and_after() -> anyhow::Result<()> {
    let tests = yaml(TESTS)?;
    let mut seen: BTreeMap<&str, Vec<bool>> = BTreeMap::new();
    for case in list(&tests["tests"])
        .iter()
        .flat_map(|test| list(&test["alert_rule_test"]))
    {
        let name = case["alertname"].as_str().unwrap_or_default();
        seen.entry(name)
            .or_default()
            .push(!list(&case["exp_alerts"]).is_empty());
    }
    let expected: BTreeMap<_, _> = alerts()?
        .into_keys()
        .map(|name| (name, vec![false, true, false]))
        .collect();
    let seen: BTreeMap<_, _> = seen.into_iter().map(|(name, cases)| (name.to_owned(), cases)).collect();
    assert_eq!(seen, expected);
    Ok(())
}

#[test]
fn each_alert_leads_to_its_page_and_each_page_has_its_alert() -> anyhow::Result<()> {
    let alerts = alerts()?;
    for (name, rule) in &alerts {
        let link = format!("https://github.com/akv2k8s-rs/akv2k8s-rs/blob/main/{PAGES}/{name}.md");
        assert_eq!(rule["annotations"]["runbook_url"], link.as_str());
        for annotation in ["summary", "description"] {
            assert!(
                rule["annotations"][annotation].is_string(),
                "{name} has no {annotation}"
            );
        }
        let page = read(&format!("{PAGES}/{name}.md"))?;
        let expression = rule["expr"].as_str().unwrap_or_default();
        assert!(page.starts_with(&format!("# {name}\n")), "{page}");
        assert!(
            page.contains(&format!("```promql\n{expression}\n```")),
            "{name}: {expression}"
        );
        let time = rule["for"].as_str().unwrap_or_default();
        assert!(page.contains(&format!("Fires after {time} of")), "{name}: {time}");
        for heading in ["\n## What to look at\n", "\n## What to do\n"] {
            assert!(page.contains(heading), "{name} has no{heading}");
        }
    }
    let mut pages = BTreeSet::new();
    for entry in std::fs::read_dir(root().join(PAGES))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        pages.extend(name.strip_suffix(".md").map(str::to_owned));
    }
    assert_eq!(pages, alerts.into_keys().collect());
    Ok(())
}
