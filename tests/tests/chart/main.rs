//! The chart, by real Helm 3 and 4: what it renders, and what becomes of it on a real API server. That the pods run is what the tests of
//! a node show.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

mod certificates;
mod coverage;
mod effects;
mod installing;
mod kinds;
mod place;
mod policies;
mod render;
mod rights;
mod security;
mod switching;
mod taking_over;
mod users;
mod values;

use std::time::Duration;

use akv2k8s_testbed::controlplane::ControlPlane;
use akv2k8s_testbed::crd::install_definitions;
use akv2k8s_testbed::helm::{CHART, Helm};
use akv2k8s_testbed::provision::Program;

/// How long what takes a second may take on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);

/// The cluster has the kinds that are others': of the Prometheus operator, cert-manager, aad-pod-identity.
async fn learn_of_others(cluster: &ControlPlane) -> anyhow::Result<()> {
    install_definitions(&cluster.client()?, include_str!("foreign.yaml")).await
}

/// Helm for tests that have the same outcome with both; `render` shows that both render the same.
fn helm() -> Helm {
    Helm::of(Program::Helm3).unwrap_or_else(|error| panic!("{error}"))
}

/// Both, or the command that builds them.
fn both() -> Vec<Helm> {
    Helm::both().unwrap_or_else(|error| panic!("{error}"))
}

/// Helm with a copy of the chart that has rules and a dashboard of ours besides those it ships.
fn with_files() -> (tempfile::TempDir, Helm) {
    let folder = tempfile::tempdir().unwrap();
    let copied = std::process::Command::new("cp")
        .args(["-r", CHART])
        .arg(folder.path())
        .status()
        .unwrap();
    assert!(copied.success());
    let chart = folder.path().join("akv2k8s");
    for (path, text) in [
        ("files/rules/probe.yaml", "groups:\n  - name: probe\n    rules: []\n"),
        ("files/dashboards/probe.json", "{\n  \"title\": \"{{ $labels }}\"\n}\n"),
    ] {
        std::fs::create_dir_all(chart.join(path).parent().unwrap()).unwrap();
        std::fs::write(chart.join(path), text).unwrap();
    }
    let helm = helm().with_chart(&chart);
    (folder, helm)
}
