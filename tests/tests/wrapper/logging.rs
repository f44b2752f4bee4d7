//! The wrapper's own lines, and what `docs/logging.md` says of them.

use std::collections::{BTreeMap, BTreeSet};

use akv2k8s_shared::injection::names;
use serde_json::Value;

use crate::bed::{Ended, run};
use crate::stub::{Stub, borrowed, refusal};

const JSON: (&str, &str) = (names::LOG_FORMAT, "json");
const PATH: (&str, &str) = ("PATH", "/usr/bin:/bin");
/// The failure that the page shows.
const SHOWN: (&str, &str) = ("DB", "azurekeyvault://kv1/secret/db");
/// Fields that are always there.
const EVERY: [&str; 4] = ["timestamp", "level", "logger", "message"];

/// The page's chapter about the wrapper.
fn chapter() -> String {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/logging.md")).unwrap();
    let (_, chapter) = page.split_once("\n## The wrapper\n").expect("the chapter");
    chapter.to_owned()
}

/// Field → type, of its table.
fn documented(chapter: &str) -> BTreeMap<String, String> {
    let rows = chapter
        .lines()
        .map(|line| line.split('|').map(str::trim).collect::<Vec<_>>());
    rows.filter_map(|cells| match cells[..] {
        ["", name, kind, _, ""] if name.starts_with('`') => Some((name.trim_matches('`').to_owned(), kind.to_owned())),
        _ => None,
    })
    .collect()
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::String(text) if !text.is_empty() => "string",
        Value::Array(list) if !list.is_empty() && list.iter().all(Value::is_string) => "list of strings",
        _ => "another",
    }
}

/// Every way in which the wrapper does not become a program, with these variables besides.
async fn failures(more: &[(&str, &str)]) -> Vec<Ended> {
    let stub = Stub::start([refusal(404, "AkvsNotFound", Some("db@azurekeyvault"), false)]).await;
    let refused = stub.variables(&[&[("DB", "db@azurekeyvault")][..], more].concat());
    let mut failures = vec![run(&borrowed(&refused), &["env"]).await];
    for (variables, arguments) in [
        (&[SHOWN][..], &["env"][..]),
        (&[PATH], &["no-such-program"]),
        (&[PATH], &["/"]),
        (&[], &["--unknown"]),
        (&[], &["--copy", "/nowhere"]),
        (
            &[("ENV_INJECTOR_USE_AUTH_SERVICE", "perhaps"), ("DB", "db@azurekeyvault")],
            &["env"],
        ),
    ] {
        failures.push(run(&[variables, more].concat(), arguments).await);
    }
    failures
}

#[tokio::test]
async fn each_failure_is_one_line_of_json_with_the_fields_of_the_page_and_no_others() {
    let documented = documented(&chapter());
    let mut seen = BTreeSet::new();
    for ended in failures(&[JSON]).await {
        assert!(
            ended.out.is_empty() && ended.err.lines().count() == 1,
            "{}{}",
            ended.out,
            ended.err
        );
        let line: BTreeMap<String, Value> = serde_json::from_str(&ended.err).expect(&ended.err);
        for (name, value) in &line {
            assert_eq!(
                documented.get(name).map(String::as_str),
                Some(kind(value)),
                "{name}: {}",
                ended.err
            );
        }
        assert!(EVERY.iter().all(|name| line.contains_key(*name)), "{}", ended.err);
        let timestamp = line["timestamp"].as_str().unwrap_or_default();
        assert!(
            timestamp.ends_with('Z') && timestamp.parse::<jiff::Timestamp>().is_ok(),
            "{timestamp}"
        );
        assert_eq!(
            (&line["level"], &line["logger"]),
            (&"ERROR".into(), &names::PROGRAM.into())
        );
        seen.extend(line.into_keys());
    }
    assert!(
        seen.iter().eq(documented.keys()),
        "said: {seen:?}; on the page: {documented:?}"
    );
}

#[tokio::test]
async fn text_is_three_lines_at_most_and_the_page_shows_one_as_it_is() {
    for ended in failures(&[]).await {
        let lines: Vec<_> = ended.err.lines().collect();
        assert!(
            ended.out.is_empty() && (1..=3).contains(&lines.len()),
            "{}{}",
            ended.out,
            ended.err
        );
        assert!(lines[0].starts_with("azure-keyvault-env: "), "{}", ended.err);
        let further = lines[1..].iter();
        let labels: Vec<_> = further
            .filter_map(|line| line.split_once(": "))
            .map(|(label, _)| label)
            .collect();
        assert!(
            [&["  Cause", "  Fix"][..], &["  Fix"], &[]].contains(&&labels[..]),
            "{}",
            ended.err
        );
    }
    let shown = run(&[SHOWN], &["env"]).await;
    assert!(
        chapter().contains(&format!("```text\n{}```\n", shown.err)),
        "{}",
        shown.err
    );
}
