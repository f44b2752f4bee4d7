//! The suite with `profile: hardened` of the chart: everything passes but what the profile is known to lose, and all of that is lost.

use std::io::{self, BufRead, BufReader, Write};
use std::process::Stdio;

use super::{Error, Outcome, say};
use crate::hardened::{HARDENED, VARIABLE};

/// The end-to-end suites in which controller or env injector run with the rights of an installation.
const SUITES: [&str; 9] = [
    "broker",
    "controller",
    "crash",
    "faults",
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
    /// The tests that therefore fail.
    tests: &'static [Lost],
}

/// A test that fails with the profile: suite, name in it, and what it says then. Any other failure is none that the profile brings.
type Lost = (&'static str, &'static str, &'static str);

/// What the env injector says with every denial for want of a pull secret.
const NOT_READ: &str = "This installation does not read pull secrets";

/// All of it.
const LOSSES: &[Loss] = &[
    Loss {
        what: "an output that is edited or deleted by hand, or whose labels are to change, is put right within seconds",
        tests: &[
            (
                "controller",
                "drift::a_deleted_secret_comes_back_for_at_most_one_request",
                "for Secret db to hold the expected value under password, in vain",
            ),
            (
                "controller",
                "drift::an_edited_key_is_put_right_and_foreign_keys_stay",
                "for Secret db to hold the expected value under password, in vain",
            ),
            (
                "controller",
                "drift::labels_of_the_akvs_reach_its_output",
                "for the label, in vain",
            ),
            (
                "controller",
                "sync::a_repair_is_told_on_the_secret_and_is_no_change_in_the_vault",
                "for the event of the repair, in vain",
            ),
        ],
    },
    Loss {
        what: "an AzureKeyVaultSecret that was deleted while no controller ran takes its keys out of a Secret that others share",
        tests: &[(
            "crash",
            "boundaries::a_kill_at_any_boundary_of_a_release_is_made_up_for_by_the_next_start",
            "for the outputs of release1-, in vain",
        )],
    },
    Loss {
        what: "a ServiceAccount that is to be read as and is not there is told before its namespace has let the env injector in",
        tests: &[(
            "broker",
            "identities::what_is_missing_is_told_with_the_command_that_puts_it_right_and_nothing_is_asked_of_azure",
            "for the broker to say ServiceAccountNotFound, in vain",
        )],
    },
    Loss {
        what: "pull secrets open images",
        tests: &[
            (
                "image_lookup",
                "credentials::a_wrong_login_does_not_hide_the_right_one",
                NOT_READ,
            ),
            (
                "image_lookup",
                "credentials::pull_secrets_of_the_old_kind_are_read_and_broken_ones_named",
                NOT_READ,
            ),
            (
                "image_lookup",
                "credentials::the_pods_own_pull_secret_opens_the_image",
                NOT_READ,
            ),
            (
                "image_lookup",
                "credentials::the_service_accounts_pull_secret_counts_beside_the_pods",
                NOT_READ,
            ),
            (
                "webhook",
                "images::a_private_image_takes_the_pull_secret_of_the_service_account",
                NOT_READ,
            ),
            (
                "webhook",
                "images::so_it_does_without_the_broker_where_the_nodes_file_is_missing",
                NOT_READ,
            ),
        ],
    },
];

/// Runs the stage.
pub(super) fn run(out: &mut dyn Write) -> Result<Outcome, Error> {
    let lost: Vec<_> = LOSSES.iter().flat_map(|loss| loss.tests).collect();
    let skipped = lost.iter().flat_map(|(_, name, _)| ["--skip", *name]);
    let others: Vec<_> = ["--exact"].into_iter().chain(skipped).collect();
    let told = tests(&SUITES, &others, out)?;
    let failed: Vec<_> = told.iter().filter(|it| !it.passed).collect();
    for test in &failed {
        say(out, &format!("hardened: not listed as lost, and fails: {}", test.name));
    }
    let passed = told.len() - failed.len();

    let mut unexpected = failed.len();
    for suite in SUITES {
        let lost: Vec<_> = lost.iter().copied().filter(|it| it.0 == suite).collect();
        if !lost.is_empty() {
            unexpected += not_lost(suite, &lost, out)?;
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

/// How many of these tests of `suite` do not fail, or for another reason.
fn not_lost(suite: &str, lost: &[&Lost], out: &mut dyn Write) -> Result<usize, Error> {
    // They fail by waiting for what does not come: all at once.
    let names = lost.iter().map(|it| it.1);
    let line: Vec<_> = ["--exact", "--test-threads=32"].into_iter().chain(names).collect();
    let told = tests(&[suite], &line, &mut io::sink())?;
    let mut count = 0;
    for (_, name, cause) in lost {
        let found = told.iter().find(|it| it.name == *name && !it.passed);
        if found.is_some_and(|it| it.said.contains(cause)) {
            continue;
        }
        count += 1;
        let instead = found.map_or("does not fail", |it| it.said.as_str());
        say(
            out,
            &format!("hardened: listed as lost for \"{cause}\": {suite} {name}: {instead}"),
        );
    }
    Ok(count)
}

/// A test that ran.
#[derive(Debug, PartialEq, Eq)]
struct Told {
    name: String,
    passed: bool,
    /// What it printed, when it failed.
    said: String,
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
    let mut told = Report::default();
    for line in BufReader::new(child.stdout.take().expect("it is piped")).lines() {
        let line = line.map_err(start)?;
        say(out, &line);
        told.read(&line);
    }
    let told = told.tests;
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

/// What the test harness prints, line by line.
#[derive(Default)]
struct Report {
    tests: Vec<Told>,
    /// Whose output follows.
    of: Option<usize>,
}

impl Report {
    fn read(&mut self, line: &str) {
        if let Some(name) = line
            .strip_prefix("---- ")
            .and_then(|it| it.strip_suffix(" stdout ----"))
        {
            self.of = self.tests.iter().rposition(|it| it.name == name);
        } else if line == "failures:" {
            self.of = None;
        } else if let Some(test) = self.of.and_then(|index| self.tests.get_mut(index)) {
            test.said.push_str(line);
            test.said.push('\n');
        } else {
            self.tests.extend(result(line));
        }
    }
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
        said: String::new(),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn results_are_read_as_the_harness_prints_them() {
        let printed = "running 3 tests\ntest drift::a ... ok\ntest drift::b ... ignored\ntest drift::c ... FAILED\n\nfailures:\n\n\
                       ---- drift::c stdout ----\nError: waited\ntest x ... ok\n\n\nfailures:\n    drift::c\n\n\
                       test result: FAILED. 1 passed\ntest drift::d ... ok\n";
        let mut report = Report::default();
        printed.lines().for_each(|line| report.read(line));
        let told = |name: &str, passed, said: &str| Told {
            name: name.to_owned(),
            passed,
            said: said.to_owned(),
        };
        let expected = [
            told("drift::a", true, ""),
            told("drift::c", false, "Error: waited\ntest x ... ok\n\n\n"),
            told("drift::d", true, ""),
        ];
        assert_eq!(report.tests, expected);
    }

    #[test]
    fn the_charts_readme_tells_every_loss_with_its_tests_and_no_other() {
        let readme = include_str!("../../../charts/akv2k8s/README.md");
        let (_, section) = readme.split_once("## `profile: hardened`").expect("the section");
        let section = section.split("\n## ").next().unwrap_or_default();
        let told: BTreeSet<_> = section
            .split('`')
            .filter(|it| it.contains(".rs::"))
            .map(str::to_owned)
            .collect();
        let named = LOSSES.iter().flat_map(|loss| loss.tests).map(|(suite, test, _)| {
            let (module, name) = test.split_once("::").expect("a module");
            format!("{suite}/{module}.rs::{name}")
        });
        assert_eq!(told, named.collect());
        assert!(LOSSES.iter().all(|loss| !loss.tests.is_empty()));
    }
}
