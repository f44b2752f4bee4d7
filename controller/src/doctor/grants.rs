//! The rules about who may use which vault, applied to the objects that are there.

use std::path::Path;

use akv2k8s_shared::diagnosis::{Diagnosis, case};
use akv2k8s_shared::doctor::Check;
use akv2k8s_shared::file;
use akv2k8s_shared::grants::{Grants, Namespace};

use super::vaults::Asked;

const ID: &str = "grants";

/// What the rules make of what is asked for.
#[derive(Debug)]
pub(super) struct Applied {
    /// Check `grants`.
    pub(super) check: Check,
    /// What they allow.
    pub(super) allowed: Vec<Asked>,
    /// Whether some select namespaces by label; those are not applied.
    pub(super) by_label: bool,
}

impl Applied {
    fn new((check, allowed): (Check, Vec<Asked>), by_label: bool) -> Self {
        Self {
            check,
            allowed,
            by_label,
        }
    }
}

/// Applies the rules in `file` to `asked`.
pub(super) async fn apply_file(file: Option<&Path>, asked: Vec<Asked>) -> Applied {
    let Some(path) = file else {
        return Applied::new((open(), asked), false);
    };
    let text = file::read(path).await.map_err(|error| error.to_string());
    let text = text.and_then(|text| Ok(text.expose_str().ok_or("the file is not UTF-8 text")?.to_owned()));
    match text.and_then(|text| Grants::parse(&text).map_err(|error| error.to_string())) {
        Ok(grants) => Applied::new(apply(&grants, asked), grants.needs_labels()),
        Err(error) => {
            let what = format!("The grants in {} cannot be used.", path.display());
            let diagnosis = Diagnosis::case(case::GrantsUnusableAtStart { error: &error }, what);
            Applied::new((Check::failed(ID, diagnosis), Vec::new()), false)
        }
    }
}

/// The warning that there are no rules.
fn open() -> Check {
    let text =
        "Vault grants: there are none, so every namespace may use every vault this identity reads (--vault-grants).";
    Check::not_made(ID, text)
}

fn apply(grants: &Grants, asked: Vec<Asked>) -> (Check, Vec<Asked>) {
    if grants.is_empty() {
        return (open(), asked);
    }
    let all = asked.len();
    let rules = grants.len();
    if grants.needs_labels() {
        let text = format!("Vault grants: {rules} rules, some by labels of namespaces, which are not applied here.");
        return (Check::not_made(ID, text), asked);
    }
    let is_allowed = |it: &Asked| {
        let namespace = Namespace {
            name: &it.namespace,
            labels: Err("not looked at"),
        };
        grants.allows(&namespace, &it.object).is_ok()
    };
    let (allowed, denied): (Vec<_>, Vec<_>) = asked.into_iter().partition(is_allowed);
    let text = match denied.first() {
        None => format!("Vault grants: {rules} rules allow what all {all} objects ask for."),
        Some(first) => format!(
            "Vault grants: {rules} rules deny {} of {all} objects, the first in namespace {}: {}.",
            denied.len(),
            first.namespace,
            first.object
        ),
    };
    (Check::passed(ID, text), allowed)
}

#[cfg(test)]
mod tests {
    use akv2k8s_shared::diagnosis::Code;
    use akv2k8s_shared::doctor::Outcome;
    use akv2k8s_shared::reference::{ObjectKind, ObjectName, ObjectRef, VaultName};

    use super::*;

    fn asked(namespace: &str, vault: &str) -> Asked {
        Asked {
            namespace: namespace.to_owned(),
            object: ObjectRef {
                vault: VaultName::parse(vault).unwrap(),
                kind: ObjectKind::Secret,
                name: ObjectName::parse("db").unwrap(),
                version: None,
            },
        }
    }

    #[test]
    fn what_is_denied_is_counted_and_not_asked_of_a_vault() {
        let grants = Grants::parse("grants: [{namespaces: [shop], vaults: [kv1]}]").unwrap();
        let (check, allowed) = apply(&grants, vec![asked("shop", "kv1"), asked("bank", "kv1")]);
        assert_eq!(allowed, [asked("shop", "kv1")]);
        let Outcome::Passed(text) = check.outcome else {
            unreachable!("{check:?}")
        };
        assert!(
            text.contains("deny 1 of 2") && text.contains("namespace bank"),
            "{text}"
        );
    }

    #[tokio::test]
    async fn a_file_that_cannot_be_read_allows_nothing_and_none_allows_all() {
        let Applied {
            check: said, allowed, ..
        } = apply_file(Some("/does/not/exist".as_ref()), vec![asked("shop", "kv1")]).await;
        assert_eq!(said.failure().map(|it| it.code), Some(Code::VaultGrantsUnreadable));
        assert!(allowed.is_empty());
        for (said, allowed) in [
            {
                let Applied { check, allowed, .. } = apply_file(None, vec![asked("shop", "kv1")]).await;
                (check, allowed)
            },
            apply(&Grants::parse("grants: []").unwrap(), vec![asked("shop", "kv1")]),
        ] {
            assert!(matches!(said.outcome, Outcome::NotMade(_)), "{said:?}");
            assert_eq!(allowed.len(), 1);
        }
    }
}
