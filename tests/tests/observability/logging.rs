//! JSON lines of the real programs, at a verbosity at which they say nearly everything, follow the schema of `docs/logging.md`.

use std::collections::BTreeMap;

use akv2k8s_shared::diagnosis::Code;
use serde_json::Value;

use crate::bed::{CANARY, in_world, read};

/// Field → type, of the tables below the headings `sections`.
pub(crate) fn fields(page: &str, sections: &[&str]) -> BTreeMap<String, String> {
    let mut fields = BTreeMap::new();
    let mut wanted = false;
    for line in page.lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            wanted = sections.contains(&heading);
        }
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        if let (true, ["", name, kind @ ("string" | "number"), _, ""]) = (wanted, &cells[..]) {
            let name = name.trim_matches('`').to_owned();
            assert!(
                fields.insert(name.clone(), (*kind).to_owned()).is_none(),
                "{name} is there twice"
            );
        }
    }
    fields
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "string",
        Value::Number(_) => "number",
        _ => "another",
    }
}

/// What is wrong with a line; `None`: nothing.
fn trouble(line: &str, every: &BTreeMap<String, String>, ours: &BTreeMap<String, String>) -> Option<String> {
    let Ok(Value::Object(line)) = serde_json::from_str(line) else {
        return Some("it is no JSON object".to_owned());
    };
    let wrong = every
        .iter()
        .find(|(name, it)| line.get(*name).map(kind) != Some(it.as_str()));
    if let Some((name, _)) = wrong {
        return Some(format!("{name} is missing, or of another type"));
    }
    let text = |name: &str| line[name].as_str().unwrap_or_default();
    if text("timestamp").parse::<jiff::Timestamp>().is_err() || !text("timestamp").ends_with('Z') {
        return Some("its timestamp is none".to_owned());
    }
    if !["ERROR", "WARN", "INFO", "DEBUG", "TRACE"].contains(&text("level")) {
        return Some("its level is none".to_owned());
    }
    if !text("target").starts_with("akv2k8s_") {
        return None;
    }
    for (name, value) in line.iter().filter(|(name, _)| !every.contains_key(*name)) {
        if ours.get(name).map(String::as_str) != Some(kind(value)) {
            return Some(format!("{name} is not in the schema, or of another type"));
        }
    }
    let code = line.get("code").and_then(Value::as_str);
    let is_known = code.is_none_or(|code| Code::ALL.iter().any(|it| it.as_str() == code));
    (!is_known).then(|| "its code is none".to_owned())
}

#[test]
fn every_line_of_both_programs_follows_the_schema() -> anyhow::Result<()> {
    in_world(async |world| {
        let page = read("docs/logging.md")?;
        let (every, ours) = (fields(&page, &["Every line"]), fields(&page, &["Fields of our lines"]));
        assert!(every.len() == 4 && ours.len() > 40, "{every:?} {ours:?}");
        for (log, said) in [
            (
                world.controller.log(),
                ["output written", "sync failed", "identity chosen"],
            ),
            (
                world.injector.log(),
                ["pod prepared", "value released", "no value released"],
            ),
        ] {
            for line in log.lines() {
                assert_eq!(trouble(line, &every, &ours), None, "{line}");
            }
            for words in said {
                assert!(log.contains(words), "{words}: {log}");
            }
            assert!(!log.contains(CANARY), "a value is in the log");
        }
        Ok(())
    })
}

#[test]
fn a_line_that_does_not_follow_the_schema_is_noticed() -> anyhow::Result<()> {
    let page = read("docs/logging.md")?;
    let (every, ours) = (fields(&page, &["Every line"]), fields(&page, &["Fields of our lines"]));
    let line = |time: &str, level: &str, target: &str, more: &str| {
        format!(r#"{{"timestamp":"{time}","level":"{level}","message":"m","target":"{target}"{more}}}"#)
    };
    let time = "2026-01-02T03:04:05.678901Z";
    let good = line(time, "INFO", "akv2k8s_x", r#","code":"InvalidSpec","items":3"#);
    assert_eq!(trouble(&good, &every, &ours), None);
    assert_eq!(
        trouble(&line(time, "INFO", "hyper", r#","unknown":1"#), &every, &ours),
        None
    );
    for bad in [
        "text".to_owned(),
        r#"{"level":"INFO"}"#.to_owned(),
        line("yesterday", "INFO", "akv2k8s_x", ""),
        line(time, "LOUD", "akv2k8s_x", ""),
        line(time, "INFO", "akv2k8s_x", r#","unknown":1"#),
        line(time, "INFO", "akv2k8s_x", r#","items":"3""#),
        line(time, "INFO", "akv2k8s_x", r#","code":"NoSuchCode""#),
    ] {
        assert!(trouble(&bad, &every, &ours).is_some(), "{bad}");
    }
    Ok(())
}
