//! `testbed provision` as a newcomer meets it.

use std::process::Command;

use akv2k8s_testbed::provision::Program;

#[test]
fn without_go_the_error_names_both_ways_out() {
    let empty = tempfile::tempdir().expect("temporary folder");
    let output = Command::new(env!("CARGO_BIN_EXE_testbed"))
        .arg("provision")
        .env_remove("KUBEBUILDER_ASSETS")
        .env("XDG_CACHE_HOME", empty.path())
        .env("PATH", empty.path())
        .output()
        .expect("start `testbed provision`");
    assert!(!output.status.success());
    let message = String::from_utf8_lossy(&output.stderr);
    for way_out in ["install Go", "set KUBEBUILDER_ASSETS"] {
        assert!(message.contains(way_out), "{way_out} is not in: {message}");
    }
}

#[test]
fn programs_that_are_there_are_not_built_again() {
    let assets = tempfile::tempdir().expect("temporary folder");
    for program in Program::of_tests() {
        std::fs::write(assets.path().join(program.name()), "").expect("write");
    }
    let empty = tempfile::tempdir().expect("temporary folder");
    let output = Command::new(env!("CARGO_BIN_EXE_testbed"))
        .arg("provision")
        .env("KUBEBUILDER_ASSETS", assets.path())
        .env("XDG_CACHE_HOME", empty.path())
        .env("PATH", empty.path())
        .output()
        .expect("start `testbed provision`");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stdout).contains("complete"));
}
