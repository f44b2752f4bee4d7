//! Which vaults, and what in them, the controller is asked to read.

use std::collections::BTreeSet;

use akv2k8s_shared::api::{AzureKeyVaultSecret, parse};
use akv2k8s_shared::doctor::Check;
use akv2k8s_shared::reference::{ObjectKind, VaultName};
use kube::api::ListParams;
use kube::{Api, Client};

/// A vault, and what is to be read there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Wanted {
    pub(super) vault: VaultName,
    pub(super) kind: ObjectKind,
}

impl Wanted {
    /// The secrets of `vault`.
    pub(super) fn secrets(vault: VaultName) -> Self {
        let kind = ObjectKind::Secret;
        Self { vault, kind }
    }
}

/// What the AKVS in `namespace` (`None` = all) name, each once.
pub(super) async fn named_by_objects(client: &Client, namespace: Option<&str>) -> Result<Vec<Wanted>, Check> {
    let api: Api<AzureKeyVaultSecret> = match namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    };
    match api.list(&ListParams::default()).await {
        Ok(list) => Ok(wanted(&list.items)),
        Err(error) => Err(Check::not_made(
            "vault",
            format!("Vaults: the AzureKeyVaultSecrets cannot be listed ({error}); --vault names one."),
        )),
    }
}

/// Objects whose specification is at fault take no part: they say so themselves.
fn wanted(objects: &[AzureKeyVaultSecret]) -> Vec<Wanted> {
    let requests = objects.iter().filter_map(|akvs| parse(akvs).ok());
    let wanted: BTreeSet<_> = requests
        .map(|request| Wanted {
            vault: request.object.vault,
            kind: request.object.kind,
        })
        .collect();
    wanted.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_vault_is_tried_once_for_each_kind_of_object() {
        let akvs = |vault: &str, kind: &str| {
            let spec = json!({"vault": {"name": vault, "object": {"name": "a", "type": kind}}});
            serde_json::from_value(json!({
                "apiVersion": "spv.no/v2beta1", "kind": "AzureKeyVaultSecret", "metadata": {"name": "a"}, "spec": spec,
            }))
            .unwrap()
        };
        let all = [
            akvs("kv2", "secret"),
            akvs("kv1", "key"),
            akvs("kv1", "secret"),
            akvs("KV1", "secret"),
            akvs("not a vault", "secret"),
        ];
        let found: Vec<_> = wanted(&all)
            .into_iter()
            .map(|it| (it.vault.to_string(), it.kind))
            .collect();
        assert_eq!(
            found,
            [
                ("kv1".to_owned(), ObjectKind::Secret),
                ("kv1".to_owned(), ObjectKind::Key),
                ("kv2".to_owned(), ObjectKind::Secret)
            ]
        );
    }
}
