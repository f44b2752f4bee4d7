//! The fields that `docs/logging.md` names are those that the code of controller and env injector names. Some lines are too rare to be
//! seen in a run, so the code itself is read: each call of a logging macro.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::bed::{read, root};
use crate::logging::fields;

/// Where both programs' lines are made.
const SOURCES: [&str; 3] = ["controller/src", "env-injector/webhook/src", "shared"];
const MACROS: [&str; 5] = ["error!(", "warn!(", "info!(", "debug!(", "trace!("];

/// What stands between the parentheses of the macros in `code`.
fn calls(code: &str) -> Vec<&str> {
    let mut calls = Vec::new();
    for name in MACROS {
        for (at, _) in code.match_indices(name) {
            let is_other = code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
            let body = &code[at + name.len()..];
            if !is_other {
                calls.push(&body[..end(body)]);
            }
        }
    }
    calls
}

/// Walks through code outside of texts: calls `at` with each byte, its place and how deep in brackets it is, until that says stop.
fn walk(code: &str, mut at: impl FnMut(usize, u8, i32) -> bool) {
    let (mut depth, mut in_text, mut escaped) = (0, false, false);
    for (place, byte) in code.bytes().enumerate() {
        match byte {
            b'"' if !escaped => in_text = !in_text,
            b'(' | b'[' | b'{' if !in_text => depth += 1,
            b')' | b']' | b'}' if !in_text => depth -= 1,
            _ => {}
        }
        escaped = in_text && byte == b'\\' && !escaped;
        if !in_text && at(place, byte, depth) {
            break;
        }
    }
}

/// Where the parenthesis closes that was opened before `code`.
fn end(code: &str) -> usize {
    let mut end = code.len();
    walk(code, |place, _, depth| {
        let closes = depth < 0;
        if closes {
            end = place;
        }
        closes
    });
    end
}

/// The names of the fields in the arguments of a macro: what stands before the message.
fn names(arguments: &str) -> Vec<String> {
    let mut commas = Vec::new();
    walk(arguments, |place, byte, depth| {
        if byte == b',' && depth == 0 {
            commas.push(place);
        }
        false
    });
    let starts = std::iter::once(0).chain(commas.iter().map(|comma| comma + 1));
    let ends = commas.iter().copied().chain([arguments.len()]);
    let pieces = starts.zip(ends).map(|(start, end)| arguments[start..end].trim());
    let fields = pieces.take_while(|piece| !piece.starts_with('"') && !piece.is_empty());
    fields
        .filter(|piece| !piece.starts_with("target:"))
        .map(|piece| piece.split('=').next().unwrap_or_default())
        .map(|name| name.trim().trim_start_matches(['%', '?']).to_owned())
        .collect()
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() && !["tests", "target"].contains(&&*name) {
            files(&path, found)?;
        } else if path.extension().is_some_and(|it| it == "rs") && !name.ends_with("tests.rs") {
            found.push(path);
        }
    }
    Ok(())
}

#[test]
fn the_page_names_each_field_of_the_code_and_no_other() -> anyhow::Result<()> {
    let page = read("docs/logging.md")?;
    let documented: BTreeSet<_> = fields(&page, &["Fields of our lines"]).into_keys().collect();
    let mut sources = Vec::new();
    for folder in SOURCES {
        files(&root().join(folder), &mut sources)?;
    }
    let mut named: BTreeMap<String, PathBuf> = BTreeMap::new();
    let mut count = 0;
    for path in sources {
        let text = std::fs::read_to_string(&path)?;
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        for call in calls(code) {
            count += 1;
            named.extend(names(call).into_iter().map(|name| (name, path.clone())));
        }
    }
    assert!(count > 70, "{count} calls");
    let missing: Vec<_> = named.iter().filter(|(name, _)| !documented.contains(*name)).collect();
    let unsaid: Vec<_> = documented.iter().filter(|name| !named.contains_key(*name)).collect();
    assert!(
        missing.is_empty() && unsaid.is_empty(),
        "not on the page: {missing:?}; nowhere said: {unsaid:?}"
    );
    Ok(())
}

#[test]
fn fields_are_found_however_they_are_written() {
    let code = r#"
        info!("a {message}, with = and (");
        tracing::warn!(target: "x::y", code = code(a, "b, c = d"), %error, ?pause, plain, "text \" , no = field", other);
        a_warn!(none = 1, "x");
        debug!(
            items = list.len(),
            "listed"
        );
    "#;
    let found: Vec<_> = calls(code).into_iter().map(names).collect();
    assert_eq!(found, [&["code", "error", "pause", "plain"][..], &[], &["items"]]);
}
