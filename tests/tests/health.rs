//! How tools that nobody here wrote read our conditions: kstatus (Flux, `helm --wait`) and Argo CD's health scripts.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use akv2k8s_shared::api::{AzureKeyVaultSecret, AzureKeyVaultSecretStatus, condition};
use akv2k8s_shared::diagnosis::Code;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use serde_json::json;

/// `kstatus`, built once from `tests/kstatus`.
static PROGRAM: LazyLock<PathBuf> = LazyLock::new(|| {
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join("kstatus");
    let built = Command::new("go")
        .args(["build", "-o"])
        .arg(&program)
        .arg(".")
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("kstatus"))
        .output()
        .expect("this test needs Go 1.25 or later in PATH: https://go.dev/doc/install");
    assert!(
        built.status.success(),
        "go build: {}",
        String::from_utf8_lossy(&built.stderr)
    );
    program
});

/// What `kstatus ARGUMENTS` says about `akvs`.
fn run(arguments: &[&Path], akvs: &AzureKeyVaultSecret) -> String {
    let mut child = Command::new(&*PROGRAM)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(&serde_json::to_vec(akvs).unwrap())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

fn kstatus(akvs: &AzureKeyVaultSecret) -> String {
    run(&[], akvs)
}

fn argocd(akvs: &AzureKeyVaultSecret) -> String {
    run(
        &[&Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/argocd/health.lua")],
        akvs,
    )
}

/// An AKVS of generation 2.
fn akvs(status: Option<AzureKeyVaultSecretStatus>) -> AzureKeyVaultSecret {
    let mut akvs: AzureKeyVaultSecret = serde_json::from_value(json!({
        "apiVersion": "spv.no/v2beta1", "kind": "AzureKeyVaultSecret",
        "metadata": {"name": "db", "namespace": "team", "generation": 2},
        "spec": {
            "vault": {"name": "my-vault", "object": {"name": "db", "type": "secret"}},
            "output": {"secret": {"name": "db", "dataKey": "password"}},
        },
    }))
    .unwrap();
    akvs.status = status;
    akvs
}

/// An AKVS whose status speaks of `generation` and holds the given conditions: type, whether it holds, reason.
fn reported(generation: i64, conditions: &[(&str, bool, &str)]) -> AzureKeyVaultSecret {
    let conditions = conditions
        .iter()
        .map(|(type_, holds, reason)| {
            condition::new(
                type_,
                *holds,
                reason,
                "what happened",
                Some(generation),
                Time(Timestamp::UNIX_EPOCH),
            )
        })
        .collect();
    akvs(Some(AzureKeyVaultSecretStatus {
        conditions,
        observed_generation: Some(generation),
        ..Default::default()
    }))
}

#[test]
fn ready_is_current_and_healthy() {
    let akvs = reported(2, &[(condition::READY, true, "Synced")]);
    assert_eq!(kstatus(&akvs), "Current: Resource is Ready");
    assert_eq!(argocd(&akvs), "Healthy: Synced: what happened");
}

#[test]
fn reconciling_is_in_progress() {
    let reason = Code::Throttled.as_str();
    let akvs = reported(
        2,
        &[
            (condition::READY, false, reason),
            (condition::RECONCILING, true, reason),
        ],
    );
    assert_eq!(kstatus(&akvs), "InProgress: what happened");
    assert_eq!(argocd(&akvs), "Progressing: Throttled: what happened");
}

#[test]
fn stalled_is_failed_and_degraded() {
    let reason = Code::ObjectNotFound.as_str();
    let akvs = reported(
        2,
        &[(condition::READY, false, reason), (condition::STALLED, true, reason)],
    );
    assert_eq!(kstatus(&akvs), "Failed: what happened");
    assert_eq!(argocd(&akvs), "Degraded: ObjectNotFound: what happened");
}

#[test]
fn a_status_of_an_older_generation_is_in_progress() {
    let akvs = reported(1, &[(condition::READY, true, "Synced")]);
    assert!(kstatus(&akvs).starts_with("InProgress: "), "{}", kstatus(&akvs));
    assert_eq!(
        argocd(&akvs),
        "Progressing: Waiting for the controller to see the latest change"
    );
}

/// kstatus takes an object without conditions for current. A default status would change that, and would leave objects for the
/// env injector in progress for ever where no controller runs; Argo CD's script can tell the two apart.
#[test]
fn without_status_kstatus_sees_nothing_to_wait_for_and_argo_cd_waits_for_the_controller() {
    for status in [
        None,
        Some(AzureKeyVaultSecretStatus {
            secret_name: Some("db".to_owned()),
            ..Default::default()
        }),
    ] {
        let akvs = akvs(status);
        assert_eq!(kstatus(&akvs), "Current: Resource is current");
        assert_eq!(argocd(&akvs), "Progressing: Waiting for the controller");
    }
}

#[test]
fn an_object_for_the_env_injector_is_healthy_without_status() {
    let mut akvs = akvs(None);
    akvs.spec.output = None;
    assert_eq!(kstatus(&akvs), "Current: Resource is current");
    assert_eq!(argocd(&akvs), "Healthy: No output: used by the env injector");
}
