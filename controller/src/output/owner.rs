//! Who an AKVS is to the API server: its field manager and its owner reference.

use akv2k8s_shared::api::GROUP;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use sha2::{Digest, Sha256};

use super::Created;

/// What the name of every field manager of ours begins with.
const PREFIX: &str = "akv2k8s-";
/// Hex digits of the digest in a manager's name.
const DIGITS: usize = 32;
/// The kind in owner references.
const KIND: &str = "AzureKeyVaultSecret";
/// The version in the owner references we write, as upstream writes them.
const VERSION: &str = "v2beta1";

/// Identity of one AKVS.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AkvsId {
    /// `metadata.namespace`.
    pub namespace: String,
    /// `metadata.name`.
    pub name: String,
    /// `metadata.uid`.
    pub uid: String,
    /// `metadata.creationTimestamp`.
    pub created: Created,
}

impl AkvsId {
    /// Its field manager, see [`manager_name`].
    pub fn manager(&self) -> String {
        manager_name(&self.namespace, &self.name)
    }

    /// Whether this AKVS wins against `other` when both claim one key: the older does, the name breaks a tie.
    pub fn precedes(&self, other: &Self) -> bool {
        (self.created, &self.name) < (other.created, &other.name)
    }

    /// The owner reference its outputs carry (contract: not the controller, blocks the owner's foreground deletion).
    pub(super) fn owner_reference(&self) -> OwnerReference {
        OwnerReference {
            api_version: format!("{GROUP}/{VERSION}"),
            kind: KIND.to_owned(),
            name: self.name.clone(),
            uid: self.uid.clone(),
            controller: Some(false),
            block_owner_deletion: Some(true),
        }
    }
}

/// The field manager of the AKVS `namespace/name`: `akv2k8s-` and 32 hex digits of SHA-256. It fits the limit of 128
/// characters and is the same after the AKVS was deleted and created again.
pub fn manager_name(namespace: &str, name: &str) -> String {
    use std::fmt::Write as _;
    let digest = Sha256::digest(format!("{namespace}/{name}"));
    let mut manager = PREFIX.to_owned();
    for byte in digest.iter().take(DIGITS / 2) {
        write!(manager, "{byte:02x}").expect("writing to a String cannot fail");
    }
    manager
}

/// Whether `manager` is the field manager of some AKVS.
pub(super) fn is_akvs_manager(manager: &str) -> bool {
    manager
        .strip_prefix(PREFIX)
        .is_some_and(|rest| rest.len() == DIGITS && rest.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')))
}

/// Whether an owner reference names an AKVS, of whatever version of the API.
pub(super) fn is_akvs_reference(reference: &OwnerReference) -> bool {
    reference.kind == KIND && reference.api_version.split('/').next() == Some(GROUP)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn akvs(name: &str, created: &str) -> AkvsId {
        AkvsId {
            namespace: "team".into(),
            name: name.into(),
            uid: format!("uid-{name}"),
            created: created.parse().expect("a timestamp"),
        }
    }

    #[test]
    fn a_manager_name_is_stable_and_tells_namespaces_and_names_apart() {
        // printf 'team/db' | sha256sum | cut -c1-32
        assert_eq!(manager_name("team", "db"), "akv2k8s-0a6bfbf593abbb074110faf200f5f894");
        assert_ne!(manager_name("team", "db"), manager_name("team-2", "db"));
        assert_ne!(manager_name("team", "db"), manager_name("team", "db2"));
    }

    #[test]
    fn only_names_of_our_own_shape_are_taken_for_our_managers() {
        assert!(is_akvs_manager(&manager_name("a", "b")));
        for other in [
            "akv2k8s-controller",
            "kubectl-edit",
            "akv2k8s-",
            "akv2k8s-ABCDEF0123456789ABCDEF0123456789",
        ] {
            assert!(!is_akvs_manager(other), "{other}");
        }
    }

    #[test]
    fn the_older_claimant_wins_and_the_name_breaks_a_tie() {
        let old = akvs("z", "2026-01-01T00:00:00Z");
        let young = akvs("a", "2026-01-01T00:00:01Z");
        let twin = akvs("b", "2026-01-01T00:00:01Z");
        assert!(old.precedes(&young) && !young.precedes(&old));
        assert!(young.precedes(&twin) && !twin.precedes(&young));
    }

    #[test]
    fn the_owner_reference_has_the_shape_upstream_writes() {
        let reference = serde_json::to_value(akvs("db", "2026-01-01T00:00:00Z").owner_reference()).expect("serialises");
        assert_eq!(
            reference,
            serde_json::json!({"apiVersion": "spv.no/v2beta1", "kind": "AzureKeyVaultSecret", "name": "db",
                "uid": "uid-db", "controller": false, "blockOwnerDeletion": true})
        );
    }

    #[test]
    fn references_of_every_api_version_are_recognised_and_other_groups_are_not() {
        let mut reference = akvs("db", "2026-01-01T00:00:00Z").owner_reference();
        for (version, expected) in [
            ("spv.no/v1", true),
            ("spv.no/v2alpha1", true),
            ("example.com/v1", false),
            ("v1", false),
        ] {
            version.clone_into(&mut reference.api_version);
            assert_eq!(is_akvs_reference(&reference), expected, "{version}");
        }
    }
}
