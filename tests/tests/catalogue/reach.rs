//! What the tests of a source file say, themselves or through what they use of that file.
//!
//! It relies on rustfmt's layout: an item begins and ends at the file's margin, or at that of its module `tests`.

use std::collections::BTreeSet;

/// One item of a source file, with its attributes; comments are left out.
#[derive(Default)]
struct Item {
    text: String,
    is_test: bool,
    names: Vec<String>,
}

/// The words that the tests in `source` reach: those of the tests, and of every item that one of them names, and so on.
pub(crate) fn words(source: &str) -> BTreeSet<String> {
    let mut items = items(source);
    let mut found: BTreeSet<String> = BTreeSet::new();
    loop {
        let (reached, rest): (Vec<_>, Vec<_>) = items
            .into_iter()
            .partition(|item| item.is_test || item.names.iter().any(|name| found.contains(name)));
        if reached.is_empty() {
            return found;
        }
        found.extend(reached.iter().flat_map(|item| split(&item.text)).map(str::to_owned));
        items = rest;
    }
}

fn split(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric() && c != '_')
        .filter(|word| !word.is_empty())
}

fn items(source: &str) -> Vec<Item> {
    let inner: Vec<&str> = source
        .lines()
        .skip_while(|line| *line != "mod tests {")
        .skip(1)
        .take_while(|line| *line != "}")
        .map(|line| line.strip_prefix("    ").unwrap_or(line))
        .collect();
    let outer: Vec<&str> = source.lines().take_while(|line| *line != "mod tests {").collect();
    let mut items = at_margin(&outer.join("\n"));
    items.extend(at_margin(&inner.join("\n")));
    items
}

fn at_margin(text: &str) -> Vec<Item> {
    let mut items = Vec::new();
    let mut item = Item::default();
    // The margin is also where the lines of long texts stand, so nothing begins inside an item.
    let mut ends_with = None;
    for line in text.lines().filter(|line| !line.trim_start().starts_with("//")) {
        item.is_test |= ends_with.is_none() && (line.starts_with("#[test]") || line.starts_with("#[tokio::test"));
        let begins = ends_with.is_none() && line.starts_with(|c: char| c.is_alphanumeric());
        if begins {
            item.names.extend(declared(line).map(str::to_owned));
            ends_with = Some(if is_statement(line) { ';' } else { '}' });
        }
        item.text.push_str(line);
        item.text.push('\n');
        let is_indented = line.starts_with(' ');
        let ended = match ends_with {
            Some(';') => !is_indented && line.ends_with(';'),
            Some(_) => line == "}" || (begins && line.ends_with('}')),
            None => false,
        };
        if ended {
            items.push(std::mem::take(&mut item));
            ends_with = None;
        }
    }
    items
}

/// Whether the item that begins so ends with a semicolon, and not with a brace.
fn is_statement(line: &str) -> bool {
    let keyword = split(line).find(|word| !matches!(*word, "pub" | "crate" | "super" | "in"));
    let is_function = split(line).any(|word| word == "fn");
    line.ends_with(';') || (!is_function && matches!(keyword, Some("const" | "static" | "use" | "type")))
}

/// The name that a line declares; of an `impl`, the type's.
fn declared(line: &str) -> Option<&str> {
    let mut words = split(line);
    let keyword = words.find(|word| {
        matches!(
            *word,
            "fn" | "const" | "static" | "struct" | "enum" | "impl" | "trait" | "type" | "macro_rules"
        )
    })?;
    if keyword == "impl" {
        let types: Vec<_> = words.take_while(|word| *word != "where").collect();
        return match types.iter().position(|word| *word == "for") {
            Some(at) => types.get(at + 1).copied(),
            None => types.first().copied(),
        };
    }
    words.find(|word| *word != "fn" && *word != "mut")
}

#[test]
fn what_no_test_uses_does_not_count() {
    let source = "\
//! Comment
use a::Imported;

const USED: &[Code] = &[
    Code::InTable,
];

const UNUSED: Code = Code::InNobodysTable;

async fn helper(
    bed: &Bed,
) -> Code {
    USED[0]; Code::InHelper
}

fn nobodys() { Code::InNobodysHelper }

// Code::InComment
#[tokio::test(flavor = \"multi_thread\")]
async fn it_works() {
    let yaml = \"
kind: Namespace
metadata: {name: a}
\";
    helper(&bed, yaml).await;

    assert_eq!(code, Code::InTest);
}

mod tests {
    #[test]
    fn inner() {
        Code::InModule;
    }
}
";
    let words = words(source);
    for said in ["InTest", "InHelper", "InTable", "InModule"] {
        assert!(words.contains(said), "{said}");
    }
    for unsaid in ["InNobodysTable", "InNobodysHelper", "InComment", "Imported"] {
        assert!(!words.contains(unsaid), "{unsaid}");
    }
}
