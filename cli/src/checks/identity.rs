//! Identities: of a ServiceAccount, and of a pod.

use akv2k8s_shared::diagnosis::UNSEEN;
use akv2k8s_shared::diagnosis::workload::{
    self, Federation, Intent, intent, issuer_check, role_check, service_account_checks,
};
use akv2k8s_shared::doctor::Check;

use super::prepared;
use crate::args::{Mint, ServiceAccountName};
use crate::gather::{Identity, Pod, Prepared};

/// The checks of a ServiceAccount's identity. Where it is not tried, what Entra and the vault have to hold is said.
pub(crate) fn identity(facts: &Identity, try_it: &Mint) -> Vec<Check> {
    let ServiceAccountName { namespace, name } = &facts.name;
    let mut checks = vec![issuer_check(&facts.issuer)];
    checks.extend(service_account_checks(namespace, name, &facts.account, false));
    if !try_it.mint {
        let client_id = facts.client_id();
        let federation = Federation::of(namespace, name, facts.issuer.found().cloned());
        checks.push(federation.check(client_id.as_deref()));
        checks.extend(role(try_it, client_id.as_deref()));
    }
    checks
}

fn role(try_it: &Mint, client_id: Option<&str>) -> Option<Check> {
    try_it.vault.as_ref().map(|vault| role_check(vault, client_id))
}

/// The checks of a pod's identity, as above.
pub(crate) fn pod(facts: &Pod, try_it: &Mint) -> Vec<Check> {
    let federated = intent(&facts.workload) == Intent::WorkloadIdentity;
    let mut checks = Vec::new();
    if federated {
        checks.push(issuer_check(&facts.issuer));
    }
    checks.extend(workload::checks(&facts.workload));
    if !try_it.mint {
        let (client_id, _) = facts.workload.who();
        if federated {
            let ServiceAccountName { namespace, name } = facts.account();
            let federation = Federation::of(&namespace, &name, facts.issuer.found().cloned());
            checks.push(federation.check(client_id.as_deref()));
        }
        checks.extend(role(try_it, client_id.as_deref()));
    }
    let workload = &facts.workload;
    let prepared = Prepared::of(&workload.pod, workload.owner.clone());
    checks.extend(prepared::one(prepared, &workload.webhooks));
    if checks.iter().all(|check| check.failure().is_none()) {
        checks.push(unseen());
    }
    checks
}

/// What no API object tells, for a pod that fails in spite of all.
fn unseen() -> Check {
    let titles: Vec<_> = UNSEEN.iter().map(|it| it.title).collect();
    Check::not_made(
        "application",
        format!(
            "Inside the application, not to be seen from here: {}.",
            titles.join("; ")
        ),
    )
}
