//! The examples of identity and tenancy, as users apply them: the chart by real Helm with the values of each, the pod that the API server
//! admits, the real controller with just what that pod has, real kubectl for the manifests.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

mod bed;
mod identity;
#[path = "../identity/openssl.rs"]
#[allow(dead_code, reason = "the tests of identity use all of it")]
mod openssl;
mod pod_identity;
mod tenancy;

use std::collections::BTreeSet;
use std::path::Path;

/// Every file below `folder`, by its path below `examples`.
fn files(folder: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(bed::path(folder)).unwrap() {
        let entry = entry.unwrap();
        let path = format!("{folder}/{}", entry.file_name().into_string().unwrap());
        if entry.path().is_dir() {
            found.extend(files(&path));
        } else if Path::new(&path).extension().is_none_or(|it| it != "md") {
            found.insert(path);
        }
    }
    found
}

#[test]
fn every_file_is_used_by_a_test() {
    let used: BTreeSet<_> = identity::files().chain(tenancy::FILES).map(str::to_owned).collect();
    let there: BTreeSet<_> = ["identity", "tenancy"].into_iter().flat_map(files).collect();
    assert_eq!(used, there);
}
