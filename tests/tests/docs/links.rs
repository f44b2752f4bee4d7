//! Links within the repository lead somewhere. Those that leave it are not followed: a test has no Internet.

use std::collections::HashMap;
use std::path::{Component, Path, PathBuf};

use crate::page::{Page, all, root};

/// The targets of links in a line: `[text](target)`.
fn targets(line: &str) -> Vec<&str> {
    let parts = line.split("](").skip(1);
    parts
        .filter_map(|it| it.split_once(')').map(|(target, _)| target))
        .collect()
}

/// The path of `target` as seen from `page`, without `..`.
fn resolve(page: &Path, target: &str) -> PathBuf {
    let mut path = PathBuf::new();
    for part in page.parent().unwrap().join(target).components() {
        match part {
            Component::ParentDir => drop(path.pop()),
            Component::CurDir => {}
            part => path.push(part),
        }
    }
    path
}

fn broken(page: &Page, pages: &HashMap<&Path, &Page>) -> Vec<String> {
    let mut broken = Vec::new();
    for (number, line) in page.prose() {
        for target in targets(line).into_iter().filter(|it| !it.contains("://")) {
            let (path, anchor) = target
                .split_once('#')
                .map_or((target, None), |(path, anchor)| (path, Some(anchor)));
            let path = if path.is_empty() {
                page.path.clone()
            } else {
                resolve(&page.path, path)
            };
            let leads = match (pages.get(path.as_path()), anchor) {
                (Some(to), Some(anchor)) => to.anchors().contains(anchor),
                _ => root().join(&path).exists(),
            };
            if !leads {
                broken.push(format!("{}:{number}: {target}", page.path.display()));
            }
        }
    }
    broken
}

#[test]
fn every_link_within_the_repository_leads_somewhere() {
    let pages = all();
    let by_path: HashMap<_, _> = pages.iter().map(|page| (page.path.as_path(), page)).collect();
    let broken: Vec<_> = pages.iter().flat_map(|page| broken(page, &by_path)).collect();
    let links: usize = pages
        .iter()
        .flat_map(Page::prose)
        .map(|(_, line)| targets(line).len())
        .sum();
    println!("{} pages, {links} links", pages.len());
    assert!(pages.len() > 50 && links > 300);
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn a_link_that_leads_nowhere_is_noticed() {
    let page = Page {
        path: "docs/a.md".into(),
        text:
            "# One\n[a](#one) [b](#two) [c](../README.md) [d](none.md) [e](https://example.org)\n```\n[f](none)\n```\n"
                .to_owned(),
    };
    let by_path = HashMap::from([(page.path.as_path(), &page)]);
    assert_eq!(broken(&page, &by_path), ["docs/a.md:2: #two", "docs/a.md:2: none.md"]);
}
