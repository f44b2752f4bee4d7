//! Every example is linked from a README of `examples`, or of its folder there.

use std::fs;
use std::path::{Path, PathBuf};

use crate::page::root;

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|it| it.unwrap().path());
    entries
        .flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] })
        .collect()
}

/// Whether the README of a folder above `file`, up to `examples`, has a link to it.
fn is_listed(file: &Path, examples: &Path) -> bool {
    let mut folders = file.ancestors().skip(1).take_while(|it| it.starts_with(examples));
    folders.any(|folder| {
        let page = fs::read_to_string(folder.join("README.md")).unwrap_or_default();
        let link = file.strip_prefix(folder).unwrap().display().to_string();
        page.contains(&format!("]({link})"))
    })
}

#[test]
fn every_example_is_listed() {
    let examples = root().join("examples");
    let files = files(&examples);
    let missing: Vec<_> = files
        .iter()
        .filter(|it| !it.ends_with("README.md") && !is_listed(it, &examples))
        .collect();
    println!("{} files", files.len());
    assert!(files.len() > 40 && missing.is_empty(), "{missing:#?}");
    assert!(!is_listed(&examples.join("none.yaml"), &examples));
}
