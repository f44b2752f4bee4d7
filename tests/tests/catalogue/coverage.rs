//! How many rows of the catalogue have a test that causes them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use akv2k8s_shared::diagnosis::Code;
use anyhow::{Context, ensure};

use crate::reach;
use crate::rows::ROWS;

/// Rows that other tests cause, since it takes more than an emulator: objects in a cluster, a value of a certain kind.
#[rustfmt::skip]
const ELSEWHERE: &[(&str, &[Code])] = &[
    ("tests/tests/faults/names.rs", &[Code::InvalidSpec]),
    ("shared/src/api/parse/tests.rs", &[Code::DataKeyMissing]),
    ("tests/tests/pki/webhook_configuration.rs", &[Code::WebhookConfigurationRefused]),
    ("tests/tests/webhook/callers.rs", &[Code::WebhookCallerUnknown]),
    ("tests/tests/pki/chains.rs", &[Code::ServingCertificateUnusable]),
    ("tests/tests/faults/{data,values}.rs", &[
        Code::DataKeyInvalid, Code::TransformFailed, Code::ValueMalformed, Code::ValueTooLarge, Code::CertificateUnreadable,
        Code::CertificatePasswordProtected,
    ]),
    ("shared/src/injection/value/tests.rs", &[Code::QueryInvalid]),
    ("tests/tests/wrapper/broker.rs", &[
        Code::InjectionMisconfigured, Code::BrokerUnavailable, Code::BrokerNotTrusted, Code::ValueNotForEnvironment,
        Code::EnvironmentTooLarge,
    ]),
    ("tests/tests/broker/attacks.rs", &[
        Code::PodTokenRefused, Code::PodNotPrepared, Code::InjectionNotEnabled, Code::BrokerRequestInvalid, Code::BrokerBusy,
        Code::WrapperOutdated,
    ]),
    ("tests/tests/faults/api_server.rs", &[Code::ApiServerUnavailable, Code::OutputRejected]),
    ("tests/tests/output/writing.rs", &[
        Code::ApiServerForbidden, Code::OutputTypeRefused, Code::OutputTypeImmutable, Code::OutputImmutable, Code::OutputNotOwned,
    ]),
    ("tests/tests/output/ownership.rs", &[Code::OutputConflict]),
    ("tests/tests/doctor/controller.rs", &[Code::TokenRequestsUnrestricted]),
    ("tests/tests/controller/definition.rs", &[Code::CrdNotUpgraded]),
    ("tests/tests/doctor/installation.rs", &[Code::CrdNotInstalled, Code::ControllerNotRunning, Code::InjectorNotRunning]),
    ("tests/tests/doctor/pod_security.rs", &[Code::PodsRefusedByPodSecurity]),
    ("shared/src/identity/auth_type.rs", &[Code::AuthTypeUnknown]),
    ("tests/tests/identity/cloud_config.rs", &[Code::CloudConfigUnreadable, Code::CloudConfigMsiPlaceholder]),
    ("tests/tests/identity/methods.rs", &[
        Code::ClientCertificateUnreadable, Code::AssertionSignatureInvalid, Code::UserPasswordInvalid, Code::NoMethodWorked,
    ]),
    ("tests/tests/identity/azure_cli.rs", &[Code::AzureCliMissing, Code::AzureCliLoggedOut, Code::AzureCliFailed]),
    ("tests/tests/isolation/off.rs", &[Code::ServiceAccountIdentitiesOff]),
    ("tests/tests/isolation/setup.rs", &[Code::ServiceAccountForbidden, Code::ServiceAccountTokenRefused]),
    ("tests/tests/image_lookup/denials.rs", &[
        Code::ImageNameInvalid, Code::ImageLookUpsExceeded, Code::RegistryNotAllowed, Code::ImagePullDenied, Code::ImageNotFound, Code::RegistryUnavailable, Code::ImagePlatformUnclear, Code::ImageUnusable,
    ]),
    ("tests/tests/grants/reload.rs", &[Code::VaultGrantsUnreadable, Code::VaultNotGranted]),
    ("env-injector/webhook/src/admission/tests.rs", &[
        Code::InjectionImpossible, Code::InjectionSettingInvalid, Code::ReferenceInvalid, Code::AkvsNotFound,
    ]),
    ("shared/src/diagnosis/workload/tests.rs", &[
        Code::WorkloadIdentityWebhookMissing, Code::ServiceAccountNotFound, Code::ServiceAccountNotAnnotated, Code::WorkloadIdentityLabelMissing,
        Code::PodOlderThanSetUp, Code::ClientIdMismatch, Code::VariableMalformed, Code::SecretShadowsWorkloadIdentity,
    ]),
];

/// The text of a file, or of the two that `{a,b}` in its path stands for.
fn source(path: &str) -> anyhow::Result<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let read = |path: &str| std::fs::read_to_string(folder.join(path)).with_context(|| path.to_owned());
    let Some((before, (names, after))) = path
        .split_once('{')
        .and_then(|(before, rest)| Some((before, rest.split_once('}')?)))
    else {
        return read(path);
    };
    names
        .split(',')
        .map(|name| read(&format!("{before}{name}{after}")))
        .collect()
}

#[test]
fn every_row_of_the_catalogue_has_a_test_that_causes_it() -> anyhow::Result<()> {
    let mut caused: BTreeMap<Code, &str> = ROWS.iter().map(|row| (row.code, file!())).collect();
    for (path, codes) in ELSEWHERE {
        let said = reach::words(&source(path)?);
        for code in *codes {
            ensure!(
                said.contains(code.as_str()),
                "no test in {path} says anything of {code}"
            );
            caused.insert(*code, path);
        }
    }
    let missing: Vec<_> = Code::ALL.iter().filter(|code| !caused.contains_key(code)).collect();
    println!(
        "rows with a test that causes them: {} of {}",
        caused.len(),
        Code::ALL.len()
    );
    ensure!(missing.is_empty(), "without a test: {missing:?}");
    Ok(())
}

/// The Rust sources below `folder`.
fn sources(folder: &Path, found: &mut String) -> anyhow::Result<()> {
    for entry in std::fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if path.is_dir() {
            sources(&path, found)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push_str(&std::fs::read_to_string(&path)?);
        }
    }
    Ok(())
}

#[test]
fn every_case_of_the_catalogue_is_told_by_some_program() -> anyhow::Result<()> {
    let mut text = String::new();
    for folder in ["shared/src", "controller/src", "cli/src", "env-injector"] {
        sources(
            &Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(folder),
            &mut text,
        )?;
    }
    let told: BTreeSet<&str> = text
        .split("case::")
        .skip(1)
        .map(|rest| rest.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default())
        .collect();
    let cases = Code::ALL.iter().flat_map(|code| code.row().cases);
    let all: Vec<_> = cases.map(|case| case.name).collect();
    println!("cases of the catalogue: {}", all.len());
    let idle: Vec<_> = all.iter().filter(|name| !told.contains(*name)).collect();
    ensure!(idle.is_empty(), "nobody tells {idle:?}");
    Ok(())
}
