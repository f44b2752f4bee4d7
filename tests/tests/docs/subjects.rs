//! The subjects that a chapter of `examples/tenancy/README.md` prints for federated credentials are the ServiceAccounts that its own
//! `helm install` makes.

use std::collections::BTreeSet;
use std::fs;

use akv2k8s_testbed::helm::{Helm, objects};
use akv2k8s_testbed::provision::Program;

use crate::page::root;
use crate::terraform::subjects;

/// What is written as code in it, and begins as a ServiceAccount's subject does.
fn printed(chapter: &str) -> BTreeSet<String> {
    let code = chapter.split('`').skip(1).step_by(2);
    code.filter(|it| it.starts_with("system:serviceaccount:"))
        .map(str::to_owned)
        .collect()
}

/// What Helm makes of the chapter's command.
fn made(chapter: &str) -> Option<BTreeSet<String>> {
    let (_, command) = chapter.split_once("\nhelm install ")?;
    let command = command.replace("\\\n", " ");
    let mut words = command.lines().next()?.split_whitespace();
    let (release, _chart) = (words.next()?, words.next()?);
    let words: Vec<_> = words
        .filter(|it| !matches!(*it, "--create-namespace" | "--skip-crds"))
        .map(|it| match it.strip_prefix("examples/") {
            Some(_) => root().join(it).display().to_string(),
            None => it.to_owned(),
        })
        .collect();
    let at = words.iter().position(|it| it == "--namespace")?;
    let line: Vec<_> = ["template", release, "CHART"]
        .into_iter()
        .chain(words.iter().map(String::as_str))
        .collect();
    let rendered = Helm::of(Program::Helm3).unwrap().run(&line, "").unwrap();
    Some(subjects(&objects(&rendered).unwrap(), &words[at + 1]))
}

#[test]
fn subjects_of_tenancy_are_those_of_the_releases() {
    let page = fs::read_to_string(root().join("examples/tenancy/README.md")).unwrap();
    let mut count = 0;
    for chapter in page.split("\n## ").skip(1) {
        if let Some(made) = made(chapter) {
            count += 1;
            assert!(!made.is_empty() && printed(chapter) == made, "{made:?}: {chapter}");
        }
    }
    assert_eq!(count, 3);
    assert_eq!(
        printed("`system:serviceaccount:a:b`, `a`"),
        BTreeSet::from(["system:serviceaccount:a:b".to_owned()])
    );
}
