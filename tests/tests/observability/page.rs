//! What `docs/metrics.md` says there is, and what a program says it has, in the same terms.

use std::collections::{BTreeMap, BTreeSet};

/// A metric: its type, and the names of its labels.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Metric {
    pub(crate) kind: String,
    pub(crate) labels: BTreeSet<String>,
}

/// Name → metric.
pub(crate) type Metrics = BTreeMap<String, Metric>;

/// The tables below the headings `sections`.
pub(crate) fn documented(page: &str, sections: &[&str]) -> Metrics {
    let mut metrics = Metrics::new();
    let mut wanted = false;
    for line in page.lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            wanted = sections.contains(&heading);
        }
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        if let (true, ["", name, kind, labels, _, ""]) = (wanted, &cells[..])
            && let Some(name) = code(name)
        {
            let labels = without_parentheses(labels)
                .split(',')
                .filter_map(|it| code(it.trim()))
                .collect();
            let kind = (*kind).to_owned();
            assert!(
                metrics.insert(name.clone(), Metric { kind, labels }).is_none(),
                "{name} is there twice"
            );
        }
    }
    metrics
}

/// What stands in backticks.
fn code(text: &str) -> Option<String> {
    Some(text.strip_prefix('`')?.strip_suffix('`')?.to_owned())
}

fn without_parentheses(text: &str) -> String {
    let mut depth = 0_u32;
    let outside = text.chars().filter(|char| {
        let was = depth;
        match char {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        was == 0 && depth == 0
    });
    outside.collect()
}

/// The metrics of an `OpenMetrics` text, under the names that queries use: a counter ends in `_total`, an info in `_info`.
pub(crate) fn shown(text: &str) -> Metrics {
    let mut metrics = Metrics::new();
    let mut family = (String::new(), String::new());
    for line in text.lines() {
        if let Some(declared) = line.strip_prefix("# TYPE ") {
            let (name, kind) = declared.split_once(' ').expect("a name and a type");
            family = (name.to_owned(), kind.to_owned());
        } else if !line.starts_with('#') {
            let series = line.split([' ', '{']).next().unwrap_or_default();
            let (name, kind) = &family;
            let rest = series
                .strip_prefix(name.as_str())
                .expect("a series stands below its type");
            let suffix = match kind.as_str() {
                "counter" => "_total",
                "info" => "_info",
                _ => "",
            };
            assert!(suffix.is_empty() || rest == suffix, "{line} in {family:?}");
            let metric = metrics.entry(format!("{name}{suffix}")).or_default();
            kind.clone_into(&mut metric.kind);
            metric
                .labels
                .extend(labels(line).into_iter().filter(|label| label != "le"));
        }
    }
    metrics
}

/// The names of the labels of a series; values with quotes or commas in them do no harm.
fn labels(line: &str) -> Vec<String> {
    let Some((_, rest)) = line.split_once('{') else {
        return Vec::new();
    };
    let mut names = Vec::new();
    let mut rest = rest;
    while let Some((name, value)) = rest.split_once("=\"") {
        names.push(name.to_owned());
        let mut escaped = false;
        let end = value.find(|char| {
            let is_end = char == '"' && !escaped;
            escaped = char == '\\' && !escaped;
            is_end
        });
        let after = &value[end.expect("a value has an end") + 1..];
        match after.strip_prefix(',') {
            Some(next) => rest = next,
            None => break,
        }
    }
    names
}

#[test]
fn a_table_and_a_text_are_read_alike() {
    let page = "## A\n| name | type | labels | meaning |\n|---|---|---|---|\n\
        | `x_total` | counter | `vault` (host), `status` (`a`, `b`) | x |\n| `y` | gauge | | y |\n## B\n| `z` | gauge | | z |\n";
    let text =
        "# HELP x X.\n# TYPE x counter\nx_total{vault=\"a, \\\"b=\\\"\",status=\"2\"} 1\n# TYPE y gauge\ny 2\n# EOF\n";
    assert_eq!(documented(page, &["A"]), shown(text));
    assert_eq!(documented(page, &["A", "B"]).len(), 3);
}

#[test]
fn the_buckets_of_a_histogram_are_one_metric() {
    let text = "# TYPE h histogram\nh_sum 1.0\nh_count 2\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 2\n";
    let found = shown(text);
    assert_eq!(found.keys().collect::<Vec<_>>(), ["h"]);
    assert_eq!(found["h"].labels, BTreeSet::new());
}
