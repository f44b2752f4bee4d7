//! Where a page names a test as its proof, as `FILE.rs::NAME`, that test is there.

use crate::page::all;
use crate::there::is_there;

/// Files and names that a line mentions.
fn named(line: &str) -> Vec<(&str, &str)> {
    let quoted = line.split('`').skip(1).step_by(2);
    let pairs = quoted.filter_map(|it| it.split_once(".rs::"));
    pairs
        .filter(|(_, name)| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'))
        .collect()
}

#[test]
fn tests_that_pages_name_are_there() {
    let (mut count, mut missing) = (0, Vec::new());
    for page in all() {
        for (number, line) in page.prose() {
            for (file, name) in named(line) {
                count += 1;
                if !is_there(file, name) {
                    missing.push(format!("{}:{number}: {file}.rs::{name}", page.path.display()));
                }
            }
        }
    }
    println!("{count} tests named");
    assert!(count > 150);
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn a_test_that_is_not_there_is_noticed() {
    assert_eq!(named("| `docs/named.rs::a_b` and `c.rs` |"), [("docs/named", "a_b")]);
    assert!(is_there("docs/named", "a_test_that_is_not_there_is_noticed"));
    assert!(is_there("tests/tests/docs/named", "tests_that_pages_name_are_there"));
    assert!(!is_there("docs/there", "is_there"), "it is no test");
    assert!(!is_there("docs/named", "nothing") && !is_there("docs/none", "nothing"));
}
