//! Pages of the documentation that are made from the code.

mod environment;
mod events;
mod flags;
mod resource;
mod troubleshooting;

use std::path::PathBuf;

use anyhow::Context;

/// The pages, with their places below the repository's root.
pub fn pages() -> Vec<(PathBuf, String)> {
    let docs = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs");
    [
        ("troubleshooting.md", troubleshooting::page()),
        ("reference/azurekeyvaultsecret.md", resource::page()),
        ("reference/environment.md", environment::page()),
        ("reference/events.md", events::page()),
        ("reference/flags.md", flags::page()),
    ]
    .map(|(name, text)| (docs.join(name), text))
    .into()
}

/// Writes every page.
pub fn write() -> anyhow::Result<()> {
    for (path, text) in pages() {
        std::fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
        println!("wrote {}", path.display());
    }
    Ok(())
}

/// `text` as a cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

/// A line of a table.
fn line(cells: &[&str]) -> String {
    let cells: Vec<_> = cells.iter().map(|text| format!(" {} |", cell(text))).collect();
    format!("|{}\n", cells.concat()).replace("  |", " |")
}

/// The head of a table.
fn head(names: &[&str]) -> String {
    format!("{}|{}\n", line(names), "---|".repeat(names.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_as_the_code_says() {
        for (path, text) in pages() {
            let found = std::fs::read_to_string(&path).unwrap_or_default();
            assert!(
                found == text,
                "{} is not what the code says: run cargo testbed docs",
                path.display()
            );
        }
    }

    #[test]
    fn what_would_end_a_cell_is_escaped() {
        assert_eq!(line(&["a|b", "", "c\nd"]), "| a\\|b | | c d |\n");
        assert_eq!(head(&["x", "y"]), "| x | y |\n|---|---|\n");
    }
}
