//! Is there a controller at work?

use akv2k8s_shared::diagnosis::{Diagnosis, Explanation, case};
use akv2k8s_shared::doctor::{Check, Seen};

use crate::gather::{Controller, LeaseState};

/// A computer's clock may differ from that of the nodes by so many seconds.
const CLOCKS_DIFFER: i64 = 30;

/// Checks `controller-deployment` and `controller-lease`.
pub(super) fn checks(controller: &Controller) -> Vec<Check> {
    vec![deployment(controller), lease(controller)]
}

fn deployment(controller: &Controller) -> Check {
    const ID: &str = "controller-deployment";
    let namespace = &controller.namespace;
    match &controller.deployment {
        Seen::NotAllowed => Check::not_made(
            ID,
            format!("The controller's Deployment: no right to list them in {namespace}."),
        ),
        Seen::Missing => Check::not_made(
            ID,
            format!(
                "The controller's Deployment: there is none in {namespace} (--controller-namespace names another)."
            ),
        ),
        Seen::Found(deployment) => {
            let name = deployment.metadata.name.as_deref().unwrap_or_default();
            let available = deployment
                .status
                .as_ref()
                .and_then(|status| status.available_replicas)
                .unwrap_or(0);
            if available > 0 {
                return Check::passed(
                    ID,
                    format!("Deployment {namespace}/{name} has {available} available replicas."),
                );
            }
            let wanted = deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
            let deployment = &name;
            let why: Explanation = if wanted == 0 {
                case::ScaledToZero { deployment, namespace }.into()
            } else {
                case::ReplicasNotReady { deployment, namespace }.into()
            };
            let what = format!("Deployment {namespace}/{name} has no available replica.");
            Check::failed(ID, Diagnosis::case(why, what))
        }
    }
}

fn lease(controller: &Controller) -> Check {
    const ID: &str = "controller-lease";
    let (namespace, name) = (&controller.namespace, &controller.lease_name);
    match &controller.lease {
        Seen::NotAllowed => Check::not_made(ID, format!("The controller's Lease: no right to read {name}.")),
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
