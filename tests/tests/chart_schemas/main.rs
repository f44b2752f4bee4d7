//! The objects of the chart against the API schemas of every version of Kubernetes that it is said to work on. Needs Python and `PyPI`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

#[path = "../chart/values.rs"]
mod values;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use akv2k8s_testbed::helm::Helm;
use akv2k8s_testbed::provision::{Locations, Program};
use serde_json::Value;

/// What the README says.
const VERSIONS: [&str; 8] = ["1.30", "1.31", "1.32", "1.33", "1.34", "1.35", "1.36", "1.37"];
/// The checker, and what pins its packages.
const SOURCES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/chart");
/// Kinds that are no Kubernetes' own.
const FOREIGN: [&str; 6] = [
    "ServiceMonitor",
    "PodMonitor",
    "PrometheusRule",
    "Issuer",
    "Certificate",
    "AzurePodIdentityException",
];

fn succeed(command: &mut Command, or: &str) {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}; {or}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}; {or}");
}

/// The interpreter with the pinned packages, installed once into the cache.
static PYTHON: LazyLock<PathBuf> = LazyLock::new(python);

fn python() -> PathBuf {
    let pins = format!("{SOURCES}/requirements.txt");
    let cache = Locations::from_env()
        .cache()
        .parent()
        .unwrap()
        .parent()
        .unwrap()
        .to_owned();
    // A name that changes with the pins: the packages' versions.
    let text = std::fs::read_to_string(&pins).unwrap();
    let version = text
        .lines()
        .find_map(|line| line.strip_prefix("kubernetes-validate=="))
        .unwrap();
    let folder = cache.join(format!("kubernetes-validate-{}", version.trim_end_matches(['\\', ' '])));
    let python = folder.join("bin/python");
    if !folder.join(".complete").is_file() {
        let or = "install Python 3.10 or later with venv (Debian: apt-get install python3 python3-venv)";
        succeed(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder), or);
        let mut pip = Command::new(&python);
        pip.args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--require-hashes",
            "-r",
            &pins,
        ]);
        succeed(&mut pip, "is pypi.org, or the mirror pip is configured for, in reach?");
        std::fs::write(folder.join(".complete"), "").unwrap();
    }
    python
}

fn checked(python: &Path, objects: &[Value]) -> (bool, String) {
    let mut child = Command::new(python)
        .arg(format!("{SOURCES}/validate.py"))
        .args(VERSIONS)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let text = serde_json::to_string(objects).unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    (
        output.status.success(),
        String::from_utf8_lossy(&output.stdout).into_owned(),
    )
}

#[test]
fn every_object_fits_the_schemas_of_kubernetes_1_30_to_1_37() {
    let helm = Helm::of(Program::Helm3).unwrap_or_else(|error| panic!("{error}"));
    let mut objects = Vec::new();
    for values in values::all() {
        objects.extend(helm.objects(values).unwrap());
    }
    let (ours, others): (Vec<_>, Vec<_>) = objects
        .into_iter()
        .partition(|it| !FOREIGN.contains(&it["kind"].as_str().unwrap()));
    assert!(others.len() < ours.len());
    let (fits, said) = checked(&PYTHON, &ours);
    println!("{said}");
    assert!(fits, "{said}");
    for version in VERSIONS {
        assert!(
            said.contains(&format!("{version}: {} fit, 0 of other kinds", ours.len())),
            "{said}"
        );
    }
}

#[test]
fn a_field_that_no_schema_has_is_found() {
    let helm = Helm::of(Program::Helm3).unwrap_or_else(|error| panic!("{error}"));
    let mut objects = helm.objects("").unwrap();
    let deployment = objects.iter_mut().find(|it| it["kind"] == "Deployment").unwrap();
    deployment["spec"]["replica"] = 2.into();
    let (fits, said) = checked(&PYTHON, &objects);
    assert!(!fits && said.contains("replica"), "{said}");
}
