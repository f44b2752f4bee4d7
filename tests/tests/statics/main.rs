//! The programs as users get them: `cargo test --package akv2k8s-testbed --test statics`.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

#[path = "../wrapper/bed.rs"]
mod bed;
mod empty_root;
mod foreign;
mod reproducible;
#[path = "../wrapper/stub.rs"]
#[expect(dead_code, reason = "tests of the wrapper need more of it")]
mod stub;
#[path = "../wrapper/vault.rs"]
#[expect(dead_code, reason = "tests of the wrapper need more of it")]
mod vault;
