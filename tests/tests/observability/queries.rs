//! Rules and dashboards, asked of a real Prometheus that reads the real programs.

use std::collections::BTreeSet;

use akv2k8s_testbed::wait::until;
use anyhow::{Context, ensure};
use serde_json::Value;

use crate::bed::{PATIENCE, RULES, World, in_world, read, root};
use crate::picture::{Panel, draw};

const DASHBOARDS: [&str; 2] = ["controller", "env-injector"];

/// The names of metrics in an expression.
fn names(expression: &str) -> BTreeSet<String> {
    let words = expression.split(|char: char| !char.is_ascii_alphanumeric() && char != '_');
    words
        .filter(|word| word.starts_with("akv2k8s_"))
        .map(str::to_owned)
        .collect()
}

/// Title and expression of each query of a dashboard, with Grafana's variables filled in.
fn queries(dashboard: &str) -> anyhow::Result<Vec<(String, String)>> {
    let document: Value = serde_json::from_str(&read(&format!("charts/akv2k8s/files/dashboards/{dashboard}.json"))?)?;
    let mut queries = Vec::new();
    for panel in document["panels"].as_array().into_iter().flatten() {
        let title = panel["title"].as_str().unwrap_or_default();
        for target in panel["targets"].as_array().into_iter().flatten() {
            let expression = target["expr"].as_str().unwrap_or_default();
            let filled = [("$__rate_interval", "1m"), ("$__range", "10m"), ("$job", ".*")];
            let filled = filled
                .iter()
                .fold(expression.to_owned(), |it, (name, value)| it.replace(name, value));
            assert!(!filled.contains('$'), "{title}: {filled}");
            queries.push((title.to_owned(), filled));
        }
    }
    Ok(queries)
}

fn rules() -> anyhow::Result<Vec<String>> {
    let document: Value = serde_yaml::from_str(&read(RULES)?)?;
    let groups = document["groups"].as_array().into_iter().flatten();
    let rules = groups.flat_map(|group| group["rules"].as_array().into_iter().flatten());
    Ok(rules
        .filter_map(|rule| rule["expr"].as_str().map(str::to_owned))
        .collect())
}

/// The queries in the text of the runbooks, written as code. Those of the rules themselves are in blocks, which another test compares.
fn queries_of_runbooks() -> anyhow::Result<Vec<String>> {
    let mut queries = Vec::new();
    for entry in std::fs::read_dir(root().join("docs/runbooks"))? {
        let page = std::fs::read_to_string(entry?.path())?;
        let text: Vec<_> = page.split("```").step_by(2).collect();
        let code = text.iter().flat_map(|it| it.split('`').skip(1).step_by(2));
        queries.extend(code.filter(|it| it.contains("akv2k8s_")).map(str::to_owned));
    }
    Ok(queries)
}

/// Waits until Prometheus has read both programs since everything was caused.
async fn is_read(world: &World) -> anyhow::Result<()> {
    let query = "count(min_over_time(up[5s]) == 1) == 2 and sum(akv2k8s_broker_denials_total) > 0 \
        and sum(akv2k8s_admission_denials_total) > 0 \
        and count(count_over_time(akv2k8s_build_info[5s]) >= 4) == 2";
    let read = async || (!world.prometheus.query(query).await.ok()?.is_empty()).then_some(());
    Ok(until("Prometheus to read both programs", PATIENCE, read).await?)
}

#[test]
fn every_metric_named_in_rules_dashboards_and_runbooks_exists_in_prometheus() -> anyhow::Result<()> {
    in_world(async |world| {
        is_read(world).await?;
        let known = world.prometheus.api("label/__name__/values").await?;
        let known: BTreeSet<_> = known
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let mut expressions = rules()?;
        for dashboard in DASHBOARDS {
            expressions.extend(queries(dashboard)?.into_iter().map(|(_, expression)| expression));
        }
        let runbooks = queries_of_runbooks()?;
        assert!(expressions.len() > 60 && runbooks.len() > 15, "{}", expressions.len());
        for query in &runbooks {
            world.prometheus.query(query).await.with_context(|| query.clone())?;
        }
        expressions.extend(runbooks);
        for expression in expressions {
            let names = names(&expression);
            assert!(!names.is_empty(), "{expression}");
            for name in names {
                assert!(
                    known.contains(name.as_str()),
                    "{name} of {expression} is not in {known:?}"
                );
            }
        }
        Ok(())
    })
}

/// The panels of a dashboard, as they are now; each query has something to show, and so has each panel.
async fn panels(world: &World, dashboard: &str) -> anyhow::Result<Vec<Panel>> {
    let mut panels: Vec<Panel> = Vec::new();
    for (title, expression) in queries(dashboard)? {
        let series = world.prometheus.last_minute(&expression).await?;
        ensure!(!series.is_empty(), "{dashboard}, {title}: {expression} gives nothing");
        match panels.last_mut() {
            Some(last) if last.title == title => last.series.extend(series),
            _ => panels.push(Panel { title, series }),
        }
    }
    let empty: Vec<_> = panels.iter().filter(|it| !it.has_value()).map(|it| &it.title).collect();
    ensure!(empty.is_empty(), "{dashboard}: {empty:?} show no value");
    Ok(panels)
}

#[test]
fn every_query_of_a_dashboard_shows_something_and_is_drawn() -> anyhow::Result<()> {
    in_world(async |world| {
        is_read(world).await?;
        // How long things take is seen of what happens while Prometheus looks.
        world.rotate("while-prometheus-looks").await?;
        let folder = root().join("target/dashboards");
        std::fs::create_dir_all(&folder)?;
        for dashboard in DASHBOARDS {
            let mut why = None;
            let full = until("every panel to show a value", PATIENCE, async || {
                panels(world, dashboard).await.map_err(|error| why = Some(error)).ok()
            });
            let panels = full.await.with_context(|| format!("{why:?}"))?;
            std::fs::write(folder.join(format!("{dashboard}.svg")), draw(&panels))?;
        }
        Ok(())
    })
}

#[test]
fn prometheus_evaluates_every_rule_and_raises_what_is_wrong() -> anyhow::Result<()> {
    in_world(async |world| {
        is_read(world).await?;
        let evaluated = async || {
            let found = world.prometheus.api("rules").await.ok()?;
            let groups = found["groups"].as_array()?.clone();
            let rules: Vec<_> = groups
                .iter()
                .flat_map(|it| it["rules"].as_array().into_iter().flatten())
                .cloned()
                .collect();
            rules.iter().all(|rule| rule["health"] != "unknown").then_some(rules)
        };
        let evaluated = until("rules to be evaluated", PATIENCE, evaluated).await?;
        assert_eq!(evaluated.len(), rules()?.len());
        for rule in &evaluated {
            assert_eq!(rule["health"], "ok", "{rule}");
        }
        // Nothing has lasted for as long as an alert waits; but what is wrong here is seen.
        let state = |name: &str| {
            evaluated
                .iter()
                .find(|rule| rule["name"] == name)
                .map(|rule| rule["state"].clone())
        };
        for (name, expected) in [
            ("Akv2k8sObjectsNotSynced", "pending"),
            ("Akv2k8sAccessProblem", "pending"),
            ("Akv2k8sControllerNotWorking", "inactive"),
            ("Akv2k8sInjectorAbsent", "inactive"),
            ("Akv2k8sCertificateExpiresSoon", "inactive"),
            ("Akv2k8sObjectExpired", "inactive"),
        ] {
            assert_eq!(state(name), Some(Value::from(expected)), "{name}");
        }
        Ok(())
    })
}
