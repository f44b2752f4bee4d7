//! What the real program writes where.

use std::process::Command;

#[test]
fn json_lines_go_to_stdout_unless_they_are_errors() {
    let output = Command::new(env!("CARGO_BIN_EXE_akv2k8s-controller"))
        .args(["-logging-format=json", "-kubeconfig", "/nonexistent"])
        .output()
        .expect("the program runs");
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(
        stdout.starts_with('{') && stdout.contains("\"message\":\"starting\""),
        "{stdout}"
    );
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        !stderr.contains("starting") && stderr.contains("/nonexistent"),
        "{stderr}"
    );
    assert_eq!(output.status.code(), Some(1));
}
