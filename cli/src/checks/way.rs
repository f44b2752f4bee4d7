//! May the controller read a vault for this ServiceAccount?

use std::collections::BTreeMap;

use akv2k8s_shared::diagnosis::{Code, Diagnosis};
use akv2k8s_shared::doctor::{Check, Seen};
use akv2k8s_shared::grants::{Grants, Namespace};
use akv2k8s_shared::reference::{ObjectKind, ObjectName, ObjectRef, VaultName};

use crate::gather::{POLICY, Rules, Way};

/// The id of what is said of grants.
const GRANTS: &str = "grants";
/// The label that the policy of `examples/isolation` asks for.
const LABEL: &str = "akv2k8s.spv.no/service-account-identities";

/// Checks `asked-for`, `identities-flag`, `namespace-label`, `token-right` and `grants`. What only keeps the controller from reading is a
/// failure when an AKVS asks for just that; the account's own pods are not concerned.
pub(crate) fn way(facts: &Way, vault: &VaultName) -> Vec<Check> {
    let mut checks = vec![asked_for(facts)];
    let Seen::Found(controller) = &facts.controller else {
        checks.push(Check::not_made(
            "identities-flag",
            "Whether a controller reads vaults for ServiceAccounts: its Deployment was not found or may not be read \
             (--controller-namespace names another place).",
        ));
        return checks;
    };
    checks.push(flag(facts, controller.service_account_identities));
    if controller.service_account_identities {
        checks.push(label(facts));
        checks.push(token_right(facts, &controller.user));
    }
    checks.push(grants(facts, &controller.grants, vault));
    checks
}

fn asked_for(facts: &Way) -> Check {
    const ID: &str = "asked-for";
    let account = &facts.account;
    match &facts.asks {
        Seen::Found(names) if !names.is_empty() => Check::passed(
            ID,
            format!(
                "AzureKeyVaultSecrets that name ServiceAccount {account}: {}.",
                names.join(", ")
            ),
        ),
        Seen::Found(_) | Seen::Missing => Check::not_made(
            ID,
            format!("No AzureKeyVaultSecret names ServiceAccount {account}: only pods use it."),
        ),
        Seen::NotAllowed => Check::not_made(
            ID,
            format!("AzureKeyVaultSecrets that name ServiceAccount {account}: no right to list them."),
        ),
    }
}

/// A failure where an AKVS is held up by it, else a remark.
fn unless_asked(facts: &Way, id: &'static str, diagnosis: Diagnosis) -> Check {
    if facts.asks.found().is_some_and(|names| !names.is_empty()) {
        return Check::failed(id, diagnosis);
    }
    let Diagnosis { code, what, cause, .. } = diagnosis;
    Check::not_made(
        id,
        format!("{what} {cause} ({code}) No AzureKeyVaultSecret asks for it."),
    )
}

fn flag(facts: &Way, is_on: bool) -> Check {
    const ID: &str = "identities-flag";
    if is_on {
        return Check::passed(
            ID,
            "The controller reads vaults as ServiceAccounts (--service-account-identities).",
        );
    }
    let what = "The controller does not read vaults as ServiceAccounts.";
    unless_asked(facts, ID, Diagnosis::of(Code::ServiceAccountIdentitiesOff, what, &[]))
}

fn label(facts: &Way) -> Check {
    const ID: &str = "namespace-label";
    let namespace = &facts.account.namespace;
    let Seen::Found(found) = &facts.namespace else {
        return Check::not_made(
            ID,
            format!("The labels of namespace {namespace}: no right to read them, or no such namespace."),
        );
    };
    let value = found.metadata.labels.as_ref().and_then(|labels| labels.get(LABEL));
    match (&facts.policy, value.is_some_and(|value| value == "enabled")) {
        (_, true) => Check::passed(ID, format!("Namespace {namespace} is labelled {LABEL}=enabled.")),
        (Seen::Missing, false) => Check::not_made(
            ID,
            format!(
                "There is no ValidatingAdmissionPolicy {POLICY} (examples/isolation), so no label of namespace {namespace} is asked for."
            ),
        ),
        (Seen::NotAllowed, false) => Check::not_made(
            ID,
            format!(
                "Namespace {namespace} lacks the label {LABEL}=enabled; whether a policy asks for it: no right to read \
                 validatingadmissionpolicies."
            ),
        ),
        (Seen::Found(()), false) => {
            let what = format!("Namespace {namespace} lacks the label {LABEL}=enabled, and a policy asks for it.");
            let names = [("namespace", namespace.as_str())];
            unless_asked(facts, ID, Diagnosis::of(Code::ServiceAccountTokenRefused, what, &names))
        }
    }
}

fn token_right(facts: &Way, user: &str) -> Check {
    const ID: &str = "token-right";
    let namespace = &facts.account.namespace;
    match facts.may_request {
        Seen::Found(true) => Check::passed(
            ID,
            format!("{user} may ask for tokens of ServiceAccount {}.", facts.account),
        ),
        Seen::Found(false) => {
            let what = format!("{user} may not ask for tokens of ServiceAccount {}.", facts.account);
            let controller = user.trim_start_matches("system:serviceaccount:");
            let names = [("namespace", namespace.as_str()), ("controller", controller)];
            unless_asked(facts, ID, Diagnosis::of(Code::ServiceAccountForbidden, what, &names))
        }
        Seen::Missing | Seen::NotAllowed => Check::not_made(
            ID,
            format!("Whether {user} may ask for tokens: no right to create localsubjectaccessreviews in {namespace}."),
        ),
    }
}

fn grants(facts: &Way, rules: &Rules, vault: &VaultName) -> Check {
    let every = "every namespace may use every vault";
    let said = |text: String| Check::not_made(GRANTS, format!("Vault grants: {text}."));
    match rules {
        Rules::None => said(format!("there are none, so {every} (--vault-grants)")),
        Rules::Unknown(why) => said(why.clone()),
        Rules::Text(text, place) => match Grants::parse(text) {
            Err(error) => {
                let what = format!("The grants in {place} cannot be used: {error}.");
                Check::failed(GRANTS, Diagnosis::of(Code::VaultGrantsUnreadable, what, &[]))
            }
            Ok(grants) if grants.is_empty() => said(format!("{place} has no rule, so {every}")),
            Ok(grants) => applied(facts, &grants, vault, place),
        },
    }
}

/// What `grants` give the namespace of `vault`.
fn applied(facts: &Way, grants: &Grants, vault: &VaultName, place: &str) -> Check {
    let namespace = &facts.account.namespace;
    let none = BTreeMap::new();
    let labels = match &facts.namespace {
        Seen::Found(found) => Ok(found.metadata.labels.as_ref().unwrap_or(&none)),
        Seen::Missing | Seen::NotAllowed => Err("no right to read the namespace"),
    };
    let space = Namespace {
        name: namespace,
        labels,
    };
    let allowed = grants.of_vault(&space, vault);
    if !allowed.is_empty() {
        let text = format!(
            "Vault grants: namespace {namespace} may use of vault '{vault}': {}.",
            allowed.join("; ")
        );
        return Check::passed(GRANTS, text);
    }
    if grants.needs_labels() && labels.is_err() {
        return Check::not_made(
            GRANTS,
            "Vault grants: some rules select namespaces by label, and there is no right to read the namespace.",
        );
    }
    unless_asked(facts, GRANTS, denied(grants, &space, vault, place))
}

/// Why nothing of `vault` is granted, in the words that the controller would use of a secret.
fn denied(grants: &Grants, namespace: &Namespace<'_>, vault: &VaultName, place: &str) -> Diagnosis {
    let object = ObjectRef {
        vault: vault.clone(),
        kind: ObjectKind::Secret,
        name: ObjectName::parse("NAME").expect("the constant is an object's name"),
        version: None,
    };
    let what = format!("Namespace '{}' may not use vault '{vault}'.", namespace.name);
    match grants.allows(namespace, &object) {
        Err(denied) => Diagnosis {
            what,
            ..denied.explain(place)
        },
        Ok(()) => Diagnosis::of(Code::VaultNotGranted, what, &[]),
    }
}
