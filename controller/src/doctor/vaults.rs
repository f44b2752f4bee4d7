//! Which vaults, and what in them, the controller is asked to read.

use std::collections::BTreeSet;

use akv2k8s_shared::api::{AzureKeyVaultSecret, parse};
use akv2k8s_shared::diagnosis::{Code, Diagnosis, case};
use akv2k8s_shared::doctor::Check;
use akv2k8s_shared::reference::{ObjectKind, ObjectRef, VaultName};
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt};

use crate::namespaces::{Namespaces, Scope};

/// What is to be tried of a vault.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Wanted {
    /// Whether objects of this kind, which an AKVS names there, may be read.
    Objects(VaultName, ObjectKind),
    /// What the identity may do with objects of each kind.
    Rights(VaultName),
}

/// An object of a vault, and the namespace in which an AKVS names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) namespace: String,
    pub(super) object: ObjectRef,
}

/// The AKVS in `namespaces`.
pub(super) async fn objects(client: &Client, namespaces: &Namespaces) -> Result<Vec<AzureKeyVaultSecret>, Check> {
    let mut objects = Vec::new();
    for scope in namespaces.scopes() {
        let api: Api<AzureKeyVaultSecret> = scope.api(client.clone());
        match api.list(&ListParams::default()).await {
            Ok(list) => objects.extend(list.items),
            Err(error) => return Err(not_listed(&scope, &error)),
        }
    }
    Ok(objects)
}

/// Why it is not known which vaults are named. Of a list, 404 says that there is no such resource.
fn not_listed(scope: &Scope, error: &kube::Error) -> Check {
    const ID: &str = "vault";
    match error {
        kube::Error::Api(status) if status.code == 403 => Check::not_allowed(
            ID,
            format!("Vaults: no right to list the AzureKeyVaultSecrets{scope} ({error}); --vault names one."),
        ),
        kube::Error::Api(status) if status.code == 404 => {
            let what = "The cluster does not know the resource AzureKeyVaultSecret.";
            Check::failed(ID, Diagnosis::of(Code::CrdNotInstalled, what, &[]))
        }
        error => {
            let what = format!("The API server does not list the AzureKeyVaultSecrets{scope}.");
            Check::failed(ID, Diagnosis::case(case::ApiServerOutOfReach { error }, what))
        }
    }
}

/// What `objects` ask the controller's own identity for: not those that name a ServiceAccount. Those whose specification is at fault
/// take no part: they say so themselves.
pub(super) fn asked(objects: &[AzureKeyVaultSecret]) -> Vec<Asked> {
    objects.iter().filter_map(of_object).collect()
}

fn of_object(akvs: &AzureKeyVaultSecret) -> Option<Asked> {
    let own = akvs.spec.vault.service_account_name.is_none();
    let request = own.then(|| parse(akvs).ok())??;
    Some(Asked {
        namespace: akvs.namespace()?,
        object: request.object,
    })
}

/// Each vault once for each kind of object.
pub(super) fn wanted(asked: Vec<Asked>) -> Vec<Wanted> {
    let wanted: BTreeSet<_> = asked
        .into_iter()
        .map(|it| Wanted::Objects(it.object.vault, it.object.kind))
        .collect();
    wanted.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use akv2k8s_shared::doctor::Outcome;
    use kube::core::Status;
    use serde_json::json;

    use super::*;

    #[test]
    fn only_a_denied_list_is_a_right_that_is_missing_and_all_else_is_what_it_is() {
        let answer = |code| {
            let status = Status {
                code,
                ..Status::failure("no", "")
            };
            kube::Error::Api(status.boxed())
        };
        let cut_off = kube::Error::Service(Box::new(std::io::Error::from(std::io::ErrorKind::TimedOut)));
        for (error, expected) in [
            (answer(403), "not allowed"),
            (answer(404), "CrdNotInstalled"),
            (answer(503), "ApiServerUnavailable"),
            (cut_off, "ApiServerUnavailable"),
        ] {
            let check = not_listed(&Scope::Cluster, &error);
            let found = match &check.outcome {
                Outcome::NotAllowed(_) => "not allowed",
                Outcome::Failed(diagnosis) => diagnosis.code.as_str(),
                Outcome::Passed(_) | Outcome::NotMade(_) => "neither",
            };
            assert_eq!(found, expected, "{check:?}");
        }
    }

    #[test]
    fn each_vault_is_tried_once_for_each_kind_of_object() {
        let akvs = |vault: &str, kind: &str| {
            let spec = json!({"vault": {"name": vault, "object": {"name": "a", "type": kind}}});
            serde_json::from_value(json!({
                "apiVersion": "spv.no/v2beta1", "kind": "AzureKeyVaultSecret", "metadata": {"name": "a", "namespace": "n"}, "spec": spec,
            }))
            .unwrap()
        };
        let mut of_account: AzureKeyVaultSecret = akvs("kv3", "secret");
        of_account.spec.vault.service_account_name = Some("team".to_owned());
        let all = [
            akvs("kv2", "secret"),
            akvs("kv1", "key"),
            akvs("kv1", "secret"),
            akvs("KV1", "secret"),
            akvs("not a vault", "secret"),
            of_account,
        ];
        let objects = |vault, kind| Wanted::Objects(VaultName::parse(vault).unwrap(), kind);
        assert_eq!(
            wanted(asked(&all)),
            [
                objects("kv1", ObjectKind::Secret),
                objects("kv1", ObjectKind::Key),
                objects("kv2", ObjectKind::Secret)
            ]
        );
    }
}
