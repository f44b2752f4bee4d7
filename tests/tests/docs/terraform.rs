//! The example for Terraform, as text: it names the ServiceAccounts that there are, and the audience that programs ask tokens for.

use std::collections::BTreeSet;
use std::fs;

use akv2k8s_shared::diagnosis::AUDIENCE;
use akv2k8s_testbed::helm::{Helm, RELEASE, objects};
use akv2k8s_testbed::provision::Program;
use serde_json::Value;

use crate::page::root;

/// `system:serviceaccount:NAMESPACE:NAME` of each ServiceAccount that is somebody at Entra ID.
pub(crate) fn subjects(objects: &[Value], namespace: &str) -> BTreeSet<String> {
    let accounts = objects.iter().filter(|it| {
        it["kind"] == "ServiceAccount" && it["metadata"]["annotations"]["azure.workload.identity/client-id"].is_string()
    });
    accounts
        .map(|it| {
            let namespace = it["metadata"]["namespace"].as_str().unwrap_or(namespace);
            format!(
                "system:serviceaccount:{namespace}:{}",
                it["metadata"]["name"].as_str().unwrap()
            )
        })
        .collect()
}

/// What is quoted and begins so.
fn quoted<'t>(text: &'t str, start: &str) -> BTreeSet<&'t str> {
    text.split('"')
        .skip(1)
        .step_by(2)
        .filter(|it| it.starts_with(start))
        .collect()
}

#[test]
fn subjects_and_audience_are_those_of_the_charts_and_the_examples_service_accounts() {
    let text = fs::read_to_string(root().join("examples/terraform/main.tf")).unwrap();
    let chart = Helm::of(Program::Helm3).unwrap();
    let chart = chart
        .objects("workloadIdentity: {enabled: true, clientId: an-id}")
        .unwrap();
    let team = fs::read_to_string(root().join("examples/isolation/03-team.yaml")).unwrap();
    let mut expected = subjects(&chart, RELEASE);
    assert_eq!(expected.len(), 2);
    expected.extend(subjects(&objects(&team).unwrap(), ""));
    assert_eq!(expected.len(), 3);
    let found = quoted(&text, "system:serviceaccount:");
    assert!(
        found.iter().copied().eq(expected.iter().map(String::as_str)),
        "{found:?} {expected:?}"
    );
    assert_eq!(quoted(&text, "api://"), BTreeSet::from([AUDIENCE]));
    assert!(text.contains("NOT EXECUTED BY US"));
}
