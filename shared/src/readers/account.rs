//! What a ServiceAccount says of itself: its annotations, as Azure's workload identity reads them. Pure.
//!
//! Annotations: <https://azure.github.io/azure-workload-identity/docs/topics/service-account-labels-and-annotations.html>.

use std::collections::BTreeMap;
use std::fmt;

use crate::diagnosis::{Diagnosis, Explanation, case};
use crate::identity::IdentityInfo;

/// Annotation: client id of the application or managed identity.
pub(super) const CLIENT_ID: &str = "azure.workload.identity/client-id";
/// Annotation: its tenant, where it is not the cluster's.
pub(super) const TENANT_ID: &str = "azure.workload.identity/tenant-id";

/// A ServiceAccount, by name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Account {
    /// Its namespace: always the one of the AKVS that names it.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl Account {
    /// The account `name` of `namespace`.
    pub fn new(namespace: &str, name: &str) -> Self {
        Self {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        }
    }

    /// `sub` of its tokens, and what a federated credential must name.
    pub(super) fn subject(&self) -> String {
        format!("system:serviceaccount:{}:{}", self.namespace, self.name)
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// Whom a ServiceAccount wants to be at Entra.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Federation {
    pub(super) client_id: String,
    pub(super) tenant_id: String,
}

impl Federation {
    /// Whether `info`, an identity of the same ServiceAccount, is still this one.
    pub(super) fn is_of(&self, info: &IdentityInfo) -> bool {
        info.client_id.as_ref() == Some(&self.client_id) && info.tenant_id.as_ref() == Some(&self.tenant_id)
    }
}

/// Reads the annotations of `account`; `default_tenant` is the tenant where none is annotated.
///
/// # Errors
/// [`Code::ServiceAccountNotAnnotated`]: one is missing, or is not an id.
pub(super) fn federation(
    account: &Account,
    annotations: &BTreeMap<String, String>,
    default_tenant: Option<&str>,
) -> Result<Federation, Diagnosis> {
    let value = |name| {
        annotations
            .get(name)
            .map(|value| value.trim())
            .filter(|it| !it.is_empty())
    };
    let Account { namespace, name } = account;
    let Some(client_id) = value(CLIENT_ID) else {
        return Err(not_annotated(account, case::ClientIdMissing { name, namespace }));
    };
    if !is_id(client_id) {
        return Err(not_annotated(account, case::ClientIdMalformed { name, namespace }));
    }
    let Some(tenant_id) = value(TENANT_ID).or(default_tenant) else {
        return Err(not_annotated(account, case::TenantMissing { name, namespace }));
    };
    if !tenant_id.split('.').all(is_id) {
        return Err(not_annotated(account, case::TenantMalformed { name, namespace }));
    }
    Ok(Federation {
        client_id: client_id.to_owned(),
        tenant_id: tenant_id.to_owned(),
    })
}

fn is_id(text: &str) -> bool {
    !text.is_empty() && text.len() <= 128 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

fn not_annotated(account: &Account, why: impl Into<Explanation>) -> Diagnosis {
    let Account { namespace, name } = account;
    Diagnosis::case(
        why,
        format!("ServiceAccount '{name}' in namespace '{namespace}' names no identity to read vaults as."),
    )
}

#[cfg(test)]
mod tests {
    use crate::diagnosis::Code;
    use proptest::prelude::*;

    use super::*;

    fn read(annotations: &[(&str, &str)], tenant: Option<&str>) -> Result<(String, String), Diagnosis> {
        let annotations = annotations.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        federation(&Account::new("shop", "reader"), &annotations.collect(), tenant)
            .map(|it| (it.client_id, it.tenant_id))
    }

    #[test]
    fn annotations_name_the_identity_and_the_tenant_may_be_the_clusters() {
        for (annotations, cluster, client, tenant) in [
            (&[(CLIENT_ID, "c-1")][..], Some("t-0"), "c-1", "t-0"),
            (&[(CLIENT_ID, " c-1\n"), (TENANT_ID, "t-1")], Some("t-0"), "c-1", "t-1"),
            (&[(CLIENT_ID, "c-1"), (TENANT_ID, "")], Some("t-0"), "c-1", "t-0"),
            (
                &[(CLIENT_ID, "c-1"), (TENANT_ID, "contoso.onmicrosoft.com")],
                None,
                "c-1",
                "contoso.onmicrosoft.com",
            ),
        ] {
            let (client, tenant) = (client.to_owned(), tenant.to_owned());
            assert_eq!(read(annotations, cluster), Ok((client, tenant)), "{annotations:?}");
        }
    }

    #[test]
    fn what_is_missing_or_is_no_id_is_named_with_the_command_that_writes_it() {
        for (annotations, cluster, annotation) in [
            (&[][..], Some("t"), CLIENT_ID),
            (&[("azure.workload.identity/use", "true")], Some("t"), CLIENT_ID),
            (&[(CLIENT_ID, "")], Some("t"), CLIENT_ID),
            (&[(CLIENT_ID, "a b")], Some("t"), CLIENT_ID),
            (&[(CLIENT_ID, "\"c-1\"")], Some("t"), CLIENT_ID),
            (&[(CLIENT_ID, "c-1")], None, TENANT_ID),
            (&[(CLIENT_ID, "c-1"), (TENANT_ID, "../common")], Some("t"), TENANT_ID),
            (&[(CLIENT_ID, "c-1"), (TENANT_ID, "t?x=y")], Some("t"), TENANT_ID),
            (&[(CLIENT_ID, "c-1"), (TENANT_ID, "..")], Some("t"), TENANT_ID),
        ] {
            let diagnosis = read(annotations, cluster).unwrap_err();
            assert_eq!(diagnosis.code, Code::ServiceAccountNotAnnotated, "{annotations:?}");
            assert!(diagnosis.cause.contains(annotation), "{diagnosis}");
            let command = "kubectl annotate serviceaccount reader --namespace shop --overwrite azure";
            assert!(diagnosis.fix.starts_with(command), "{diagnosis}");
        }
    }

    proptest! {
        #[test]
        fn no_annotation_reaches_a_url_with_more_than_an_id_in_it(client in ".*", tenant in ".*") {
            let read = read(&[(CLIENT_ID, &client), (TENANT_ID, &tenant)], Some("t"));
            if let Ok((client, tenant)) = read {
                prop_assert!(is_id(&client));
                prop_assert!(tenant.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.'));
            }
        }
    }
}
