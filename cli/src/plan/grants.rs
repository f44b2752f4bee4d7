//! What the controller's grants say of what manifests ask for.

use std::collections::{BTreeMap, BTreeSet};

use akv2k8s_shared::diagnosis::Diagnosis;
use akv2k8s_shared::doctor::Seen;
use akv2k8s_shared::grants::{Grants, Namespace};
use akv2k8s_shared::reference::ObjectRef;
use k8s_openapi::api::core::v1;
use kube::Api;

use crate::args::Installation;
use crate::cluster::{Cluster, seen};
use crate::gather::{Rules, rules};

type Labels = BTreeMap<String, String>;

/// The grants, as far as they are known from here.
pub(super) struct Rulebook {
    /// With the place where they are; `None`: every namespace may use every vault, or that is not known.
    grants: Option<(Grants, String)>,
    /// The labels of each namespace; `None`: no right to read them.
    labels: BTreeMap<String, Option<Labels>>,
    /// What is not known, one sentence each.
    pub(super) unknown: Vec<String>,
}

impl Rulebook {
    /// Reads the controller's rules, and what they need to know of `namespaces`.
    ///
    /// # Errors
    /// The API server failed in another way than 403 or 404.
    pub(super) async fn read(
        cluster: &Cluster,
        at: &Installation,
        namespaces: BTreeSet<String>,
    ) -> anyhow::Result<Self> {
        let mut book = Self::of(rules(cluster, at).await?);
        if book.grants.as_ref().is_none_or(|(grants, _)| !grants.needs_labels()) {
            book.labels = namespaces.into_iter().map(|name| (name, Some(Labels::new()))).collect();
            return Ok(book);
        }
        let api: Api<v1::Namespace> = Api::all(cluster.client.clone());
        for name in namespaces {
            let found = seen(api.get(&name).await, "a namespace")?;
            let labels = match found {
                Seen::Found(found) => Some(found.metadata.labels.unwrap_or_default()),
                Seen::Missing => Some(Labels::new()),
                Seen::NotAllowed => None,
            };
            if labels.is_none() {
                book.unknown
                    .push(format!("Vault grants by label: no right to read namespace {name}."));
            }
            book.labels.insert(name, labels);
        }
        Ok(book)
    }

    fn of(rules: Rules) -> Self {
        let mut unknown = Vec::new();
        let grants = match rules {
            Rules::None => None,
            Rules::Unknown(why) => {
                unknown.push(format!("Vault grants: {why}."));
                None
            }
            Rules::Text(text, place) => match Grants::parse(&text) {
                Ok(grants) if grants.is_empty() => None,
                Ok(grants) => Some((grants, place)),
                Err(error) => {
                    unknown.push(format!("Vault grants: those in {place} cannot be used: {error}."));
                    None
                }
            },
        };
        Self {
            grants,
            labels: BTreeMap::new(),
            unknown,
        }
    }

    /// Why the controller would not read `object` for `namespace`; `None`: it would, or that is not known.
    pub(super) fn denied(&self, namespace: &str, object: &ObjectRef) -> Option<Diagnosis> {
        let (grants, place) = self.grants.as_ref()?;
        let labels = self.labels.get(namespace)?.as_ref();
        let space = Namespace {
            name: namespace,
            labels: labels.ok_or("no right to read the namespace"),
        };
        let denied = grants.allows(&space, object).err()?;
        (labels.is_some()).then(|| denied.explain(place))
    }
}

#[cfg(test)]
mod tests {
    use akv2k8s_shared::diagnosis::Code;
    use akv2k8s_shared::reference::{ObjectKind, ObjectName, VaultName};

    use super::*;

    fn book(text: &str, labels: Option<&[(&str, &str)]>) -> Rulebook {
        let mut book = Rulebook::of(Rules::Text(text.to_owned(), "ConfigMap akv2k8s/grants".to_owned()));
        let pairs = |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        book.labels.insert("shop".to_owned(), labels.map(pairs));
        book
    }

    fn denied(book: &Rulebook, vault: &str) -> Option<Code> {
        let object = ObjectRef {
            vault: VaultName::parse(vault).unwrap(),
            kind: ObjectKind::Secret,
            name: ObjectName::parse("db").unwrap(),
            version: None,
        };
        book.denied("shop", &object).map(|diagnosis| diagnosis.code)
    }

    #[test]
    fn what_is_granted_is_not_denied_and_what_is_not_known_is_neither() {
        let by_name = "grants: [{namespaces: [shop], vaults: [kv1]}]\n";
        let by_label = "grants: [{namespaceSelector: {matchLabels: {team: pay}}, vaults: [kv1]}]\n";
        for (text, labels, vault, expected) in [
            (by_name, Some(&[][..]), "kv1", None),
            (by_name, Some(&[][..]), "kv2", Some(Code::VaultNotGranted)),
            (by_label, Some(&[("team", "pay")][..]), "kv1", None),
            (by_label, Some(&[][..]), "kv1", Some(Code::VaultNotGranted)),
            (by_label, None, "kv1", None),
            ("grants: []\n", Some(&[][..]), "kv1", None),
            ("nonsense", Some(&[][..]), "kv1", None),
        ] {
            assert_eq!(
                denied(&book(text, labels), vault),
                expected,
                "{text} {labels:?} {vault}"
            );
        }
        assert_eq!(book("nonsense", None).unknown.len(), 1);
    }
}
