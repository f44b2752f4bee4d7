//! What a pod may have. Pure.

use std::collections::{BTreeMap, BTreeSet};

use akv2k8s_shared::api::AzureKeyVaultSecretSpec;
use akv2k8s_shared::diagnosis::{Code, Diagnosis, Explanation, case};
use akv2k8s_shared::injection::reference::{Query, Reference};
use akv2k8s_shared::injection::source::Source;
use akv2k8s_shared::injection::wire::Ask;
use akv2k8s_shared::reference::ObjectRef;
use serde::Deserialize;

use super::authenticate::{Caller, Standing};
use super::refusal::Refused;
use crate::cluster::Specs;
use crate::label::NamespaceLabel;
use crate::likeness::nearest;

/// How soon an AKVS that is missing may be there: manifests of one folder are applied in any order.
const SOON: std::time::Duration = std::time::Duration::from_secs(2);

/// What is known.
pub(super) struct Facts<'f> {
    /// The label that switches injection on in a namespace.
    pub(super) label: &'f NamespaceLabel,
    /// Labels of the pod's namespace; `None`: it is not known.
    pub(super) labels: Option<&'f BTreeMap<String, String>>,
    /// The AKVS of the pod's namespace.
    pub(super) specs: &'f Specs,
    /// Whether the pod's namespace may read an object.
    pub(super) grants: &'f dyn Fn(&ObjectRef) -> Result<(), Box<Diagnosis>>,
}

/// One value that may be given.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Release {
    /// As asked.
    pub(super) reference: String,
    /// The AKVS's name.
    pub(super) akvs: String,
    pub(super) source: Source,
    pub(super) query: Option<Query>,
}

/// What `caller` may have of what it asks for: all, or nothing.
pub(super) fn decide(caller: &Caller, ask: Ask, facts: &Facts<'_>) -> Result<Vec<Release>, Refused> {
    standing(caller)?;
    enabled(caller, facts)?;
    let references: BTreeSet<_> = ask.references.into_iter().collect();
    references
        .into_iter()
        .map(|reference| release(caller, &reference, facts).map_err(|refused| refused.about(&reference)))
        .collect()
}

fn standing(caller: &Caller) -> Result<(), Refused> {
    let Caller { namespace, pod, .. } = caller;
    let why: Explanation = match caller.standing {
        Standing::Prepared => return Ok(()),
        Standing::Unprepared => case::WrapperNotStarted.into(),
        Standing::Gone => case::PodGone.into(),
    };
    let what = format!("Pod '{pod}' of namespace '{namespace}' may not have values from the broker.");
    Err(Refused::new(403, Diagnosis::case(why, what)))
}

fn enabled(caller: &Caller, facts: &Facts<'_>) -> Result<(), Refused> {
    let Facts { label, labels, .. } = facts;
    let namespace = &caller.namespace;
    if labels.is_some_and(|labels| label.is_on(labels)) {
        return Ok(());
    }
    let what = format!("Pods of namespace '{namespace}' may not have values from the broker.");
    let diagnosis = Diagnosis::of(
        Code::InjectionNotEnabled,
        what,
        &[("namespace", namespace), ("label", &label.to_string())],
    );
    let refused = Refused::new(403, diagnosis);
    // A pod cannot be in a namespace that does not exist: the watch has yet to show it.
    Err(if labels.is_none() { refused.again(SOON) } else { refused })
}

fn release(caller: &Caller, reference: &str, facts: &Facts<'_>) -> Result<Release, Refused> {
    let (name, query) = match Reference::parse(reference) {
        Some(Ok(Reference::Akvs { name, query })) => (name, query),
        Some(Ok(Reference::Direct { .. })) => {
            let what = format!("The broker does not resolve '{reference}'.");
            return Err(Refused::new(403, Diagnosis::of(Code::ReferenceInvalid, what, &[])));
        }
        Some(Err(_)) | None => return Err(Refused::malformed(400, case::NotAReference)),
    };
    let spec = facts
        .specs
        .get(&name)
        .ok_or_else(|| missing(caller, &name, facts.specs))?;
    let source = AzureKeyVaultSecretSpec::deserialize(&**spec)
        .map_err(|error| {
            let what = format!("AzureKeyVaultSecret '{name}' cannot be used: {error}.");
            Box::new(Diagnosis::of(Code::InvalidSpec, what, &[]))
        })
        .and_then(|spec| Source::of(&spec.vault, spec.output.as_ref()));
    let source = source.map_err(|diagnosis| Refused::new(409, *diagnosis))?;
    let granted = (facts.grants)(&source.object(query.as_ref()));
    granted.map_err(|diagnosis| Refused::new(403, *diagnosis))?;
    Ok(Release {
        reference: reference.to_owned(),
        akvs: name,
        source,
        query,
    })
}

fn missing(caller: &Caller, name: &str, specs: &Specs) -> Refused {
    let namespace = &caller.namespace;
    let mean = match nearest(name, specs.keys().map(String::as_str)) {
        Some(nearest) => format!(" Is '{nearest}' meant?"),
        None => String::new(),
    };
    let what = format!("Namespace '{namespace}' has no AzureKeyVaultSecret '{name}'.{mean}");
    let diagnosis = Diagnosis::of(Code::AkvsNotFound, what, &[("namespace", namespace)]);
    Refused::new(404, diagnosis).again(SOON)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use akv2k8s_shared::injection::names;

    use super::*;

    fn granted(object: &ObjectRef) -> Result<(), Box<Diagnosis>> {
        if object.vault.as_str() == "granted" {
            return Ok(());
        }
        Err(Box::new(Diagnosis::of(Code::VaultNotGranted, "No.", &[])))
    }

    fn caller(standing: Standing) -> Caller {
        Caller {
            namespace: "shop".to_owned(),
            service_account: "default".to_owned(),
            pod: "cart".to_owned(),
            uid: "u".to_owned(),
            standing,
        }
    }

    fn specs() -> Specs {
        let of = |vault: &str| json!({"vault": {"name": vault, "object": {"name": "db", "type": "secret"}}});
        let all = [
            ("db", of("granted")),
            ("other", of("denied")),
            ("bad", of("no vault!")),
            ("worse", json!({"vault": {"name": 7}})),
        ];
        all.into_iter()
            .map(|(name, spec)| (name.to_owned(), spec.into()))
            .collect()
    }

    fn ask(standing: Standing, label: &str, references: &[&str]) -> Result<Vec<Release>, (u16, Code, bool, String)> {
        let labels = BTreeMap::from([(names::LABEL.to_owned(), label.to_owned())]);
        let facts = Facts {
            label: &NamespaceLabel::default(),
            labels: (label != "unknown").then_some(&labels),
            specs: &specs(),
            grants: &granted,
        };
        let references = references.iter().map(|it| (*it).to_owned()).collect();
        decide(&caller(standing), Ask { references }, &facts)
            .map_err(|it| (it.status, it.code, it.refusal.retry, it.refusal.message))
    }

    #[test]
    fn a_prepared_pod_of_a_labelled_namespace_gets_what_its_akvs_name() {
        let releases = ask(
            Standing::Prepared,
            "enabled",
            &["db@azurekeyvault", "db@azurekeyvault?username"],
        )
        .unwrap();
        let described: Vec<_> = releases
            .iter()
            .map(|it| {
                (
                    it.akvs.as_str(),
                    it.query.as_ref().map(Query::as_str),
                    it.source.object(None).to_string(),
                )
            })
            .collect();
        let object = "secret 'db' in vault 'granted'".to_owned();
        assert_eq!(
            described,
            [("db", None, object.clone()), ("db", Some("username"), object)]
        );
        assert_eq!(ask(Standing::Prepared, "enabled", &[]), Ok(Vec::new()));
        let twice = ask(Standing::Prepared, "enabled", &["db@azurekeyvault", "db@azurekeyvault"]);
        assert_eq!(twice.unwrap().len(), 1);
    }

    #[test]
    fn another_label_switches_injection_on_in_place_of_the_usual_one() {
        let label: NamespaceLabel = "inject=yes".parse().unwrap();
        let ask = |labels: &BTreeMap<String, String>| {
            let facts = Facts {
                label: &label,
                labels: Some(labels),
                specs: &specs(),
                grants: &granted,
            };
            let references = vec!["db@azurekeyvault".to_owned()];
            decide(&caller(Standing::Prepared), Ask { references }, &facts)
        };
        let labels = |name: &str, value: &str| BTreeMap::from([(name.to_owned(), value.to_owned())]);
        assert!(ask(&labels("inject", "yes")).is_ok());
        let refused = ask(&labels(names::LABEL, names::ENABLED)).unwrap_err();
        assert_eq!(refused.code, Code::InjectionNotEnabled);
        assert!(refused.refusal.fix.contains("inject=yes"), "{}", refused.refusal.fix);
    }

    #[test]
    fn everything_else_is_refused_with_its_own_code() {
        use Standing::{Gone, Prepared, Unprepared};
        let db = "db@azurekeyvault";
        for (standing, label, reference, status, code, retry) in [
            (Unprepared, "enabled", db, 403, Code::PodNotPrepared, false),
            (Gone, "enabled", db, 403, Code::PodNotPrepared, false),
            (Prepared, "disabled", db, 403, Code::InjectionNotEnabled, false),
            (Prepared, "Enabled", db, 403, Code::InjectionNotEnabled, false),
            (Prepared, "unknown", db, 403, Code::InjectionNotEnabled, true),
            (Prepared, "enabled", "dbx@azurekeyvault", 404, Code::AkvsNotFound, true),
            (
                Prepared,
                "enabled",
                "other@azurekeyvault",
                403,
                Code::VaultNotGranted,
                false,
            ),
            (Prepared, "enabled", "bad@azurekeyvault", 409, Code::InvalidSpec, false),
            (
                Prepared,
                "enabled",
                "worse@azurekeyvault",
                409,
                Code::InvalidSpec,
                false,
            ),
            (
                Prepared,
                "enabled",
                "azurekeyvault://granted/secrets/db",
                403,
                Code::ReferenceInvalid,
                false,
            ),
            (
                Prepared,
                "enabled",
                "../db@azurekeyvault",
                400,
                Code::BrokerRequestInvalid,
                false,
            ),
            (Prepared, "enabled", "plain", 400, Code::BrokerRequestInvalid, false),
        ] {
            let refused = ask(standing, label, &[db, reference]).unwrap_err();
            assert_eq!(
                (refused.0, refused.1, refused.2),
                (status, code, retry),
                "{label} {reference}"
            );
        }
    }

    #[test]
    fn a_misspelt_name_is_answered_with_the_nearest() {
        let refused = ask(Standing::Prepared, "enabled", &["othe@azurekeyvault"]).unwrap_err();
        assert!(refused.3.contains("Is 'other' meant?"), "{}", refused.3);
        let refused = ask(Standing::Prepared, "enabled", &["zzz@azurekeyvault"]).unwrap_err();
        assert!(!refused.3.contains("meant"), "{}", refused.3);
    }
}
