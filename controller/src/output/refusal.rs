//! The texts of outputs that are refused before anything is written. They are stable: equal cases, equal words.

use akv2k8s_shared::api::ADOPT;
use akv2k8s_shared::diagnosis::{Code, Diagnosis};

use super::Target;
use super::owner::AkvsId;

/// The type is one that gives rights.
pub(super) fn type_refused(akvs: &AkvsId, target: &Target, secret_type: &str) -> Diagnosis {
    Diagnosis::new(
        Code::OutputTypeRefused,
        format!(
            "{target} in namespace {} is not written with type {secret_type}.",
            akvs.namespace
        ),
        "Secrets of this type give their holder rights in the cluster, so they are never made from a vault.",
        "Set spec.output.secret.type to another type, e.g. Opaque.",
    )
}

/// The object is there, and no AKVS has to do with it.
pub(super) fn not_owned(akvs: &AkvsId, target: &Target) -> Diagnosis {
    Diagnosis::new(
        Code::OutputNotOwned,
        format!(
            "{target} in namespace {} exists and was not made by an AzureKeyVaultSecret.",
            akvs.namespace
        ),
        "An object that belongs to somebody else is never taken over silently; it would be deleted with the AzureKeyVaultSecret.",
        format!(
            "{} Or delete the {}, or choose another name.",
            adopt_line(akvs),
            target.kind
        ),
    )
}

/// The object is shared by AKVS, and somebody who is none holds the key.
pub(super) fn key_held(akvs: &AkvsId, target: &Target, key: &str, holder: &str) -> Diagnosis {
    Diagnosis::new(
        Code::OutputNotOwned,
        format!(
            "Data key \"{key}\" of {target} in namespace {} was written by {holder}.",
            akvs.namespace
        ),
        "A key that somebody else wrote is never taken over silently.",
        format!("{} Or choose another data key.", adopt_line(akvs)),
    )
}

/// Another AKVS has the key.
pub(super) fn conflict(akvs: &AkvsId, target: &Target, key: &str, other: Option<&str>) -> Diagnosis {
    let other = match other {
        Some(name) => format!("AzureKeyVaultSecret {name}"),
        None => "another AzureKeyVaultSecret (just removed, or managed by another controller)".to_owned(),
    };
    Diagnosis::new(
        Code::OutputConflict,
        format!(
            "Data key \"{key}\" of {target} in namespace {} is already written by {other}.",
            akvs.namespace
        ),
        "Of two AzureKeyVaultSecrets that claim one key, the older keeps it.",
        "Choose another data key or another name in spec.output, or delete one of the two.",
    )
}

/// The line that permits the takeover.
fn adopt_line(akvs: &AkvsId) -> String {
    format!(
        "To hand it over: kubectl annotate azurekeyvaultsecret --namespace {} {} {ADOPT}=true",
        akvs.namespace, akvs.name
    )
}
