//! Pods that are an application by secret, certificate or password: is the set of variables whole?

use super::container::{Presence, Variables};
use super::{CERTIFICATE, CLIENT_ID, CLIENT_SECRET, PASSWORD, TENANT_ID, USERNAME, Workload};
use crate::diagnosis::client_secret::is_guid;
use crate::diagnosis::{Code, Diagnosis, case, stray};
use crate::doctor::Check;

/// Variables whose values, quoted or blank at an end, mean something else than was meant.
const CHECKED: [&str; 8] = [
    CLIENT_ID,
    TENANT_ID,
    CLIENT_SECRET,
    CERTIFICATE[0],
    CERTIFICATE[1],
    USERNAME,
    super::TOKEN_FILE,
    "AZURE_AUTHORITY_HOST",
];

/// Check `variables`, for a pod that has some of a method's variables.
pub(super) fn checks(workload: &Workload) -> Vec<Check> {
    const ID: &str = "variables";
    let all = workload.variables();
    let concerned = || all.iter().filter(|it| has_any(it));
    if let Some((it, missing)) = concerned().find_map(|it| Some((it, missing(it)?))) {
        return vec![Check::failed(ID, incomplete(workload, it, &missing))];
    }
    let open = concerned().any(|it| missing_of(it, Presence::Unknown).is_some());
    vec![if open {
        Check::not_made(
            ID,
            "Some variables may come from Secrets or ConfigMaps (envFrom), which are not read.",
        )
    } else {
        Check::passed(ID, "The variables of an application's credential are all set.")
    }]
}

fn has_any(it: &Variables<'_>) -> bool {
    let by_tenant = it.presence(CLIENT_ID) == Presence::Set && it.presence(TENANT_ID) == Presence::Set;
    let by_secret = [CLIENT_SECRET, CERTIFICATE[0], CERTIFICATE[1], USERNAME];
    by_tenant || by_secret.into_iter().any(|name| it.presence(name) == Presence::Set)
}

fn missing(it: &Variables<'_>) -> Option<Vec<&'static str>> {
    missing_of(it, Presence::Unset)
}

/// What the method that is begun lacks, as far as variables are `how`; `None` when it lacks nothing.
fn missing_of(it: &Variables<'_>, how: Presence) -> Option<Vec<&'static str>> {
    let lacks = |name: &str| it.presence(name) == how;
    let mut missing: Vec<_> = [CLIENT_ID, TENANT_ID].into_iter().filter(|name| lacks(name)).collect();
    let set = |name: &str| it.presence(name) == Presence::Set;
    let has_proof = set(CLIENT_SECRET) || CERTIFICATE.into_iter().any(set);
    if set(USERNAME) && !has_proof {
        missing.extend(lacks(PASSWORD).then_some(PASSWORD));
    } else if !has_proof && lacks(CLIENT_SECRET) {
        missing.push(CLIENT_SECRET);
    }
    (!missing.is_empty()).then_some(missing)
}

fn incomplete(workload: &Workload, it: &Variables<'_>, missing: &[&str]) -> Diagnosis {
    let missing = missing.join(" and ");
    let lacking = case::CredentialIncomplete {
        missing: &missing,
        serviceaccount: &format_args!("{}/{}", workload.namespace(), workload.service_account_name()),
    };
    Diagnosis::case(
        lacking,
        format!(
            "Container {} of {} lacks {missing}.",
            it.container.name,
            workload.subject()
        ),
    )
}

/// Check `values`: what can be seen to be wrong with values that stand in the pod. None is ever printed.
pub(super) fn values(workload: &Workload) -> Option<Check> {
    const ID: &str = "values";
    let all = workload.variables();
    let mut literals = all
        .iter()
        .flat_map(|it| it.literals().map(move |(name, value)| (it, name, value)));
    let found = literals.find_map(|(it, name, value)| {
        let stray = CHECKED.contains(&name).then(|| stray(value)).flatten();
        let found = stray.map(Some).or_else(|| is_secret_id(name, value).then_some(None));
        found.map(|stray| (it, name, stray))
    });
    let (it, name, stray) = found?;
    let place = format!("{name} in container {} of {}", it.container.name, workload.subject());
    let diagnosis = match stray {
        None => Diagnosis::of(Code::ClientSecretIsId, format!("{place} looks like a GUID."), &[]),
        Some(stray) => Diagnosis::of(
            Code::VariableMalformed,
            format!("{place} holds {}.", stray.words()),
            &[("names", name)],
        ),
    };
    Some(Check::failed(ID, diagnosis))
}

fn is_secret_id(name: &str, value: &str) -> bool {
    name == CLIENT_SECRET && is_guid(value.trim())
}
