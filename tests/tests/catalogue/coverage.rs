//! How many rows of the catalogue have a test that causes them.

use std::collections::BTreeMap;
use std::path::Path;

use akv2k8s_shared::diagnosis::Code;
use anyhow::{Context, ensure};

use crate::rows::ROWS;

/// Rows that other tests cause, since it takes more than an emulator: objects in a cluster, a value of a certain kind.
#[rustfmt::skip]
const ELSEWHERE: &[(&str, &[Code])] = &[
    ("tests/tests/faults/names.rs", &[Code::InvalidSpec]),
    ("shared/src/api/parse/tests.rs", &[Code::DataKeyMissing]),
    ("tests/tests/faults/values.rs", &[
        Code::DataKeyInvalid, Code::TransformFailed, Code::ValueMalformed, Code::ValueTooLarge, Code::CertificateUnreadable,
        Code::CertificatePasswordProtected,
    ]),
    ("tests/tests/faults/api_server.rs", &[Code::ApiServerUnavailable, Code::OutputRejected]),
    ("tests/tests/output/writing.rs", &[
        Code::ApiServerForbidden, Code::OutputTypeRefused, Code::OutputTypeImmutable, Code::OutputImmutable, Code::OutputNotOwned,
    ]),
    ("tests/tests/output/ownership.rs", &[Code::OutputConflict]),
    ("tests/tests/doctor/installation.rs", &[Code::CrdNotInstalled, Code::ControllerNotRunning]),
    ("tests/tests/grants/reload.rs", &[Code::VaultGrantsUnreadable, Code::VaultNotGranted]),
    ("shared/src/diagnosis/workload/tests.rs", &[
        Code::WorkloadIdentityWebhookMissing, Code::ServiceAccountNotFound, Code::ServiceAccountNotAnnotated, Code::WorkloadIdentityLabelMissing,
        Code::PodOlderThanSetUp, Code::ClientIdMismatch, Code::VariableMalformed, Code::SecretShadowsWorkloadIdentity,
    ]),
];

/// Rows that no test causes yet, with the reason. The goal is an empty list.
#[rustfmt::skip]
const MISSING: &[(Code, &str)] = &[
    (Code::ServiceAccountIdentitiesOff, "serviceAccountName is to come"),
    (Code::ServiceAccountTokenRefused, "serviceAccountName is to come"),
    (Code::AuthTypeUnknown, "AUTH_TYPE's methods are to come"),
    (Code::CloudConfigUnreadable, "azure.json is to come"),
    (Code::CloudConfigMsiPlaceholder, "azure.json is to come"),
    (Code::ClientCertificateUnreadable, "client certificates are to come"),
    (Code::AzureCliMissing, "the Azure CLI is to come"),
    (Code::AzureCliLoggedOut, "the Azure CLI is to come"),
    (Code::AzureCliFailed, "the Azure CLI is to come"),
    (Code::AssertionSignatureInvalid, "client certificates are to come"),
    (Code::UserPasswordInvalid, "signing in by user name is to come"),
    (Code::NoMethodWorked, "AUTH_TYPE's methods are to come"),
];

#[test]
fn every_row_of_the_catalogue_has_a_test_that_causes_it() -> anyhow::Result<()> {
    let mut caused: BTreeMap<Code, &str> = ROWS.iter().map(|row| (row.code, file!())).collect();
    for (path, codes) in ELSEWHERE {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
        let text = std::fs::read_to_string(&file).with_context(|| file.display().to_string())?;
        for code in *codes {
            ensure!(text.contains(code.as_str()), "{path} says nothing of {code}");
            caused.insert(*code, path);
        }
    }
    let missing: Vec<_> = Code::ALL.iter().filter(|code| !caused.contains_key(code)).collect();
    println!(
        "rows with a test that causes them: {} of {}",
        caused.len(),
        Code::ALL.len()
    );
    let known: Vec<_> = MISSING.iter().map(|(code, _)| code).collect();
    ensure!(missing == known, "without a test: {missing:?}");
    Ok(())
}
