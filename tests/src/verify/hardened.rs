//! The suite with `profile: hardened` of the chart: everything passes but what the profile is known to lose, and all of that is lost.

use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

use super::{Error, Outcome, say};
use crate::hardened::{HARDENED, VARIABLE};

/// The end-to-end suites in which controller or env injector run with the rights of an installation.
const SUITES: [&str; 6] = [
    "controller",
    "grants",
    "isolation",
    "injection",
    "webhook",
    "image_lookup",
];

/// Something that the profile gives up.
struct Loss {
    /// In a few words.
    what: &'static str,
    /// The tests that therefore fail: suite, and name in it.
    tests: &'static [(&'static str, &'static str)],
}

/// All of it.
const LOSSES: &[Loss] = &[
    Loss {
        what: "an output that is edited or deleted by hand, or whose labels are to change, is put right within seconds",
        tests: &[
            (
                "controller",
                "drift::a_deleted_secret_comes_back_for_at_most_one_request",
            ),
            ("controller", "drift::an_edited_key_is_put_right_and_foreign_keys_stay"),
            ("controller", "drift::labels_of_the_akvs_reach_its_output"),
            (
                "controller",
                "sync::a_repair_is_told_on_the_secret_and_is_no_change_in_the_vault",
            ),
        ],
    },
    Loss {
        what: "pull secrets open images",
        tests: &[
            ("image_lookup", "credentials::a_wrong_login_does_not_hide_the_right_one"),
            (
                "image_lookup",
                "credentials::pull_secrets_of_the_old_kind_are_read_and_broken_ones_named",
            ),
            ("image_lookup", "credentials::the_pods_own_pull_secret_opens_the_image"),
            (
                "image_lookup",
                "credentials::the_service_accounts_pull_secret_counts_beside_the_pods",
            ),
            (
                "webhook",
                "images::a_private_image_takes_the_pull_secret_of_the_service_account",
            ),
            (
                "webhook",
                "images::so_it_does_without_the_broker_where_the_nodes_file_is_missing",
            ),
        ],
    },
];

/// Runs the stage.
pub(super) fn run(out: &mut dyn Write) -> Result<Outcome, Error> {
    let lost: Vec<_> = LOSSES.iter().flat_map(|loss| loss.tests).collect();
    let names = |suite: &str| {
        lost.iter()
            .filter(|it| it.0 == suite)
            .map(|it| it.1)
            .collect::<Vec<_>>()
    };

    let skipped = lost.iter().flat_map(|(_, name)| ["--skip", *name]);
    let others: Vec<_> = ["--exact"].into_iter().chain(skipped).collect();
    let told = tests(&SUITES, &others, out)?;
    let failed: Vec<_> = told.iter().filter(|it| !it.passed).collect();
    for test in &failed {
        say(out, &format!("hardened: not listed as lost, and fails: {}", test.name));
    }
    let passed = told.len() - failed.len();

    let mut unexpected = failed.len();
    for suite in SUITES {
        let names = names(suite);
        if names.is_empty() {
            continue;
        }
        // They fail by waiting for what does not come: all at once.
        let mut line = vec!["--exact", "--test-threads=32"];
        line.extend(&names);
        let told = tests(&[suite], &line, &mut std::io::sink())?;
        for name in names {
            if !told.iter().any(|it| it.name == name && !it.passed) {
                unexpected += 1;
                say(
                    out,
                    &format!("hardened: listed as lost, and does not fail: {suite} {name}"),
                );
            }
        }
    }
    let words: Vec<_> = LOSSES.iter().map(|loss| loss.what).collect();
    say(
        out,
        &format!(
            "hardened: {passed} tests passed, {} losses: {}",
            words.len(),
            words.join("; ")
        ),
    );
    if unexpected > 0 {
        return Err(Error::Hardened(unexpected));
    }
    Ok(Outcome::Ok)
}

/// A test that ran.
struct Told {
    name: String,
    passed: bool,
}

/// Runs these suites; whether their tests pass is no error. `out` gets what they print.
fn tests(suites: &[&str], arguments: &[&str], out: &mut dyn Write) -> Result<Vec<Told>, Error> {
    let mut line = vec!["test", "--package", "akv2k8s-testbed", "--no-fail-fast"];
    line.extend(suites.iter().flat_map(|suite| ["--test", suite]));
    line.push("--");
    line.extend(arguments);
    let start = |source| Error::Start {
        command: format!("cargo {}", line.join(" ")),
        source,
    };
    let mut command = crate::cargo::command();
    command.args(&line).env(VARIABLE, HARDENED).stdout(Stdio::piped());
    let mut child = command.spawn().map_err(start)?;
    let mut told = Vec::new();
    for line in BufReader::new(child.stdout.take().expect("it is piped")).lines() {
        let line = line.map_err(start)?;
        say(out, &line);
        told.extend(result(&line));
    }
    let status = child.wait().map_err(start)?;
    if !status.success() && told.iter().all(|it| it.passed) {
        // It ended before all had told.
        return Err(Error::Command {
            command: format!("cargo {}", line.join(" ")),
            status,
        });
    }
    Ok(told)
}

/// What a line of the test harness says of a test.
fn result(line: &str) -> Option<Told> {
    let (name, result) = line.strip_prefix("test ")?.split_once(" ... ")?;
    Some(Told {
        name: name.to_owned(),
        passed: match result {
            "ok" => true,
            "FAILED" => false,
            _ => return None,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_read_as_the_harness_prints_them() {
        let told = |line| result(line).map(|it| (it.name, it.passed));
        assert_eq!(told("test drift::a ... ok"), Some(("drift::a".to_owned(), true)));
        assert_eq!(told("test drift::a ... FAILED"), Some(("drift::a".to_owned(), false)));
        for other in [
            "test drift::a ... ignored",
            "test result: ok. 1 passed",
            "running 1 test",
        ] {
            assert_eq!(told(other), None, "{other}");
        }
    }

    #[test]
    fn the_charts_readme_tells_every_loss_with_its_tests() {
        let readme = include_str!("../../../charts/akv2k8s/README.md");
        let (_, section) = readme.split_once("## `profile: hardened`").expect("the section");
        let section = section.split("\n## ").next().unwrap_or_default();
        for (suite, test) in LOSSES.iter().flat_map(|loss| loss.tests) {
            let (module, name) = test.split_once("::").expect("a module");
            let told = format!("`{suite}/{module}.rs::{name}`");
            assert!(section.contains(&told), "{told} is not told");
        }
        assert!(LOSSES.iter().all(|loss| !loss.tests.is_empty()));
    }
}
