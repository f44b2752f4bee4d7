//! The texts of outputs that are refused before anything is written. They are stable: equal cases, equal words.

use akv2k8s_shared::diagnosis::{Code, Diagnosis, case};

use super::Target;
use super::owner::AkvsId;

/// The type is one that gives rights.
pub(super) fn type_refused(akvs: &AkvsId, target: &Target, secret_type: &str) -> Diagnosis {
    Diagnosis::case(
        Code::OutputTypeRefused,
        format!(
            "{target} in namespace {} is not written with type {secret_type}.",
            akvs.namespace
        ),
    )
}

/// The object is there, and no AKVS has to do with it.
pub(super) fn not_owned(akvs: &AkvsId, target: &Target) -> Diagnosis {
    Diagnosis::case(
        case::ObjectOfOthers {
            namespace: &akvs.namespace,
            name: &akvs.name,
            kind: &target.kind,
        },
        format!(
            "{target} in namespace {} exists and was not made by an AzureKeyVaultSecret.",
            akvs.namespace
        ),
    )
}

/// The object is shared by AKVS, and somebody who is none holds the key.
pub(super) fn key_held(akvs: &AkvsId, target: &Target, key: &str, holder: &str) -> Diagnosis {
    Diagnosis::case(
        case::KeyOfOthers {
            namespace: &akvs.namespace,
            name: &akvs.name,
        },
        format!(
            "Data key \"{key}\" of {target} in namespace {} was written by {holder}.",
            akvs.namespace
        ),
    )
}

/// Another AKVS has the key.
pub(super) fn conflict(akvs: &AkvsId, target: &Target, key: &str, other: Option<&str>) -> Diagnosis {
    let other = match other {
        Some(name) => format!("AzureKeyVaultSecret {name}"),
        None => "another AzureKeyVaultSecret (just removed, or managed by another controller)".to_owned(),
    };
    Diagnosis::case(
        case::KeyClaimedTwice,
        format!(
            "Data key \"{key}\" of {target} in namespace {} is already written by {other}.",
            akvs.namespace
        ),
    )
}
