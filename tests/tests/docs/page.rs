//! The pages: every Markdown file of the repository.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The repository.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// One page.
pub(crate) struct Page {
    /// Below the root.
    pub(crate) path: PathBuf,
    pub(crate) text: String,
}

impl Page {
    /// Lines that are no code, with their numbers.
    pub(crate) fn prose(&self) -> impl Iterator<Item = (usize, &str)> {
        let mut is_code = false;
        (1..).zip(self.text.lines()).filter(move |(_, line)| {
            let is_fence = line.trim_start().starts_with("```");
            is_code ^= is_fence;
            !is_code && !is_fence
        })
    }

    /// What is between fences with the word `language`.
    pub(crate) fn blocks(&self, language: &str) -> Vec<String> {
        let mut blocks = Vec::new();
        // Its language, and its lines.
        let mut block: Option<(&str, Vec<&str>)> = None;
        for line in self.text.lines() {
            if let Some(word) = line.trim().strip_prefix("```") {
                match block.take() {
                    Some((of, lines)) if of == language => blocks.push(lines.join("\n")),
                    Some(_) => {}
                    None => block = Some((word, Vec::new())),
                }
            } else if let Some((_, lines)) = &mut block {
                lines.push(line);
            }
        }
        blocks
    }

    /// Where links may lead in it, as a forge names its headings: lower case, without punctuation, blanks as dashes.
    pub(crate) fn anchors(&self) -> BTreeSet<String> {
        let mut seen = BTreeMap::new();
        let headings = self.prose().filter_map(|(_, line)| {
            line.trim_start_matches('#')
                .strip_prefix(' ')
                .filter(|_| line.starts_with('#'))
        });
        headings
            .map(|heading| {
                let anchor = anchor(heading);
                let count: &mut usize = seen.entry(anchor.clone()).or_default();
                *count += 1;
                if *count == 1 {
                    anchor
                } else {
                    format!("{anchor}-{}", *count - 1)
                }
            })
            .collect()
    }
}

fn anchor(heading: &str) -> String {
    let kept = heading.to_lowercase();
    let kept = kept
        .chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

/// All pages.
pub(crate) fn all() -> Vec<Page> {
    let mut found = Vec::new();
    collect(&root(), &mut found);
    let mut pages: Vec<_> = found
        .into_iter()
        .map(|path| Page {
            text: fs::read_to_string(&path).unwrap(),
            path: path.strip_prefix(root()).unwrap().to_owned(),
        })
        .collect();
    pages.sort_by(|a, b| a.path.cmp(&b.path));
    pages
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && !name.starts_with('.') && name != "target" && name != "node_modules" {
            collect(&path, found);
        } else if path.extension().is_some_and(|it| it == "md") {
            found.push(path);
        }
    }
}

#[test]
fn headings_are_named_as_a_forge_names_them() {
    let page = Page {
        path: PathBuf::new(),
        text: "# The `a`, and b-c\n## Again\n```sh\n# no heading\n```\n## Again\n#no heading\n".to_owned(),
    };
    let expected = ["again", "again-1", "the-a-and-b-c"].map(str::to_owned);
    assert_eq!(page.anchors(), expected.into());
    assert_eq!(page.blocks("sh"), ["# no heading"]);
    assert!(page.blocks("yaml").is_empty());
}
