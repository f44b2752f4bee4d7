//! Is there a controller at work?

use akv2k8s_shared::diagnosis::{Diagnosis, Explanation, case};
use akv2k8s_shared::doctor::{Check, Seen};
use k8s_openapi::api::apps::v1::Deployment;

use crate::gather::{Controller, LeaseState};

/// What is said of its Deployment.
pub(super) const DEPLOYMENT: &str = "controller-deployment";

/// A computer's clock may differ from that of the nodes by so many seconds.
const CLOCKS_DIFFER: i64 = 30;

/// Checks `controller-deployment` and `controller-lease`. Where neither is, there is no controller.
pub(super) fn checks(controller: &Controller) -> Vec<Check> {
    if is_missing(controller) {
        let namespace = &controller.namespace;
        let what = format!("There is no controller in namespace {namespace}.");
        let why = case::ControllerMissing { namespace };
        return vec![Check::failed(DEPLOYMENT, Diagnosis::case(why, what))];
    }
    vec![deployment(controller), lease(controller)]
}

/// Whether it is known that there is none: what may not be read may be there.
fn is_missing(controller: &Controller) -> bool {
    matches!(
        (&controller.deployment, &controller.lease),
        (Seen::Missing, Seen::Missing)
    )
}

fn deployment(controller: &Controller) -> Check {
    const ID: &str = DEPLOYMENT;
    let namespace = &controller.namespace;
    match &controller.deployment {
        Seen::NotAllowed => Check::not_made(
            ID,
            format!("The controller's Deployment: no right to list deployments.apps in namespace {namespace}."),
        ),
        Seen::Missing => Check::not_made(
            ID,
            format!(
                "The controller's Deployment: there is none in {namespace} (--controller-namespace names another)."
            ),
        ),
        Seen::Found(deployment) => {
            let name = deployment.metadata.name.as_deref().unwrap_or_default();
            let available = available(deployment);
            if available > 0 {
                return Check::passed(
                    ID,
                    format!("Deployment {namespace}/{name} has {available} available replicas."),
                );
            }
            let is_off = is_scaled_to_zero(deployment);
            let deployment = &name;
            let why: Explanation = if is_off {
                case::ScaledToZero { deployment, namespace }.into()
            } else {
                case::ReplicasNotReady { deployment, namespace }.into()
            };
            let what = format!("Deployment {namespace}/{name} has no available replica.");
            Check::failed(ID, Diagnosis::case(why, what))
        }
    }
}

/// How many of its replicas are at work.
pub(super) fn available(deployment: &Deployment) -> i32 {
    let status = deployment.status.as_ref();
    status.and_then(|status| status.available_replicas).unwrap_or(0)
}

/// Whether it is to have none.
pub(super) fn is_scaled_to_zero(deployment: &Deployment) -> bool {
    deployment.spec.as_ref().and_then(|spec| spec.replicas) == Some(0)
}

fn lease(controller: &Controller) -> Check {
    const ID: &str = "controller-lease";
    let (namespace, name) = (&controller.namespace, &controller.lease_name);
    match &controller.lease {
        Seen::NotAllowed => {
            let text = format!("The controller's Lease: no right to read {name}.");
            // Without a Deployment nothing else tells whether there is a controller.
            match controller.deployment {
                Seen::Missing => Check::not_allowed(ID, text),
                Seen::Found(_) | Seen::NotAllowed => Check::not_made(ID, text),
            }
        }
        Seen::Missing => Check::not_made(
            ID,
            format!(
                "The controller's Lease: there is no {name}. The controller runs elsewhere (--controller-namespace), with another \
                 (--lease-name, --lease-namespace), without one, or not at all."
            ),
        ),
        Seen::Found(LeaseState { holder: None, .. }) => {
            let what = format!("Nobody holds the Lease {name}.");
            Check::failed(ID, Diagnosis::case(case::LeaseGivenBack { namespace }, what))
        }
        Seen::Found(LeaseState {
            holder: Some(holder),
            silent,
            lasts,
        }) => {
            if *silent <= lasts + CLOCKS_DIFFER {
                return Check::passed(ID, format!("{holder} holds the Lease and renews it."));
            }
            let what = format!("{holder} has not renewed the Lease {name} for {silent} s.");
            Check::failed(ID, Diagnosis::case(case::LeaseNotRenewed { namespace }, what))
        }
    }
}

#[cfg(test)]
mod tests {
    use akv2k8s_shared::doctor::Outcome;

    use super::*;

    /// The marks of the checks, as people see them.
    fn marks(deployment: Seen<Deployment>, lease: Seen<LeaseState>) -> String {
        let controller = Controller {
            namespace: "akv2k8s".to_owned(),
            lease_name: "akv2k8s/akv2k8s-controller".to_owned(),
            deployment,
            lease,
        };
        let marks = checks(&controller).into_iter().map(|check| match check.outcome {
            Outcome::Passed(_) => '✓',
            Outcome::Failed(_) => '✗',
            Outcome::NotMade(_) => '–',
            Outcome::NotAllowed(_) => '?',
        });
        marks.collect()
    }

    #[test]
    fn there_is_no_controller_only_where_both_were_looked_for_in_vain() {
        let held = || {
            Seen::Found(LeaseState {
                holder: Some("controller-0".to_owned()),
                silent: 0,
                lasts: 15,
            })
        };
        assert_eq!(marks(Seen::Missing, Seen::Missing), "✗");
        assert_eq!(marks(Seen::Missing, Seen::NotAllowed), "–?");
        assert_eq!(marks(Seen::Missing, held()), "–✓");
        assert_eq!(marks(Seen::NotAllowed, Seen::NotAllowed), "––");
        assert_eq!(marks(Seen::NotAllowed, Seen::Missing), "––");
    }
}
