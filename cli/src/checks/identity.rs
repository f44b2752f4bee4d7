//! Identities: of a ServiceAccount, and of a pod.

use akv2k8s_shared::diagnosis::UNSEEN;
use akv2k8s_shared::diagnosis::workload::{self, Federation, Intent, intent, issuer_check, service_account_checks};
use akv2k8s_shared::doctor::Check;

use crate::args::ServiceAccountName;
use crate::gather::{Identity, Pod};

/// The checks of a ServiceAccount's identity. `tried`: Entra is asked as well, so it need not be said what it would have to hold.
pub(crate) fn identity(facts: &Identity, tried: bool) -> Vec<Check> {
    let ServiceAccountName { namespace, name } = &facts.name;
    let mut checks = vec![issuer_check(&facts.issuer)];
    checks.extend(service_account_checks(namespace, name, &facts.account, false));
    if !tried {
        checks.push(Federation::of(namespace, name, facts.issuer.found().cloned()).check());
    }
    checks
}

/// The checks of a pod's identity. `tried` as above.
pub(crate) fn pod(facts: &Pod, tried: bool) -> Vec<Check> {
    let federated = intent(&facts.workload) == Intent::WorkloadIdentity;
    let mut checks = Vec::new();
    if federated {
        checks.push(issuer_check(&facts.issuer));
    }
    checks.extend(workload::checks(&facts.workload));
    if federated && !tried {
        let ServiceAccountName { namespace, name } = facts.account();
        checks.push(Federation::of(&namespace, &name, facts.issuer.found().cloned()).check());
    }
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
