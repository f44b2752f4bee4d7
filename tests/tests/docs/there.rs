//! Which tests there are. For other suites, too.

use std::fs;
use std::path::Path;

/// Files are named from the root, or from the folder of the end-to-end tests.
pub(crate) fn is_there(file: &str, name: &str) -> bool {
    let folders = ["..", "tests"].map(|it| Path::new(env!("CARGO_MANIFEST_DIR")).join(it));
    let texts = folders
        .iter()
        .filter_map(|folder| fs::read_to_string(folder.join(format!("{file}.rs"))).ok());
    texts.into_iter().any(|text| {
        let lines: Vec<_> = text.lines().map(str::trim).collect();
        let starts = [format!("fn {name}("), format!("async fn {name}(")];
        // Attributes stand between a test's mark and its name.
        let at = lines
            .iter()
            .position(|line| starts.iter().any(|it| line.starts_with(it.as_str())));
        at.is_some_and(|at| {
            lines[at.saturating_sub(4)..at]
                .iter()
                .any(|line| line.starts_with("#[") && line.contains("test"))
        })
    })
}
