//! The controller as it shows in the cluster: its Deployment and its Lease.

use akv2k8s_shared::doctor::Seen;
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt};

use crate::args::Installation;
use crate::cluster::seen;

/// How the names of the Deployments end: what comes before is the release's.
const CONTROLLER: &str = "controller";
const INJECTOR: &str = "envinjector";

/// What is known of the controller.
pub(crate) struct Controller {
    pub(crate) namespace: String,
    /// `NAMESPACE/NAME` of its Lease.
    pub(crate) lease_name: String,
    /// Its Deployment; [`Seen::Missing`] when there is none by name or label.
    pub(crate) deployment: Seen<Deployment>,
    pub(crate) lease: Seen<LeaseState>,
}

/// Who leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LeaseState {
    /// The holder; `None` when it was given back.
    pub(crate) holder: Option<String>,
    /// For how many seconds it has not been renewed, by this computer's clock.
    pub(crate) silent: i64,
    /// For how many seconds it lasts.
    pub(crate) lasts: i64,
}

/// Reads the Lease; the Deployment is among `deployments`.
pub(super) async fn controller(
    client: &Client,
    at: &Installation,
    deployments: &Seen<Vec<Deployment>>,
) -> anyhow::Result<Controller> {
    let leases: Api<Lease> = Api::namespaced(client.clone(), at.lease_namespace());
    let lease = match seen(leases.get(&at.lease_name).await, "the controller's Lease")? {
        Seen::Found(lease) => Seen::Found(state(&lease, Timestamp::now())),
        Seen::Missing => Seen::Missing,
        Seen::NotAllowed => Seen::NotAllowed,
    };
    Ok(Controller {
        namespace: at.controller_namespace.clone(),
        lease_name: format!("{}/{}", at.lease_namespace(), at.lease_name),
        deployment: of_controller(deployments),
        lease,
    })
}

/// The controller's Deployment in `namespace`.
pub(super) async fn deployment(client: &Client, namespace: &str) -> anyhow::Result<Seen<Deployment>> {
    Ok(of_controller(&deployments(client, namespace).await?))
}

/// The controller's among the Deployments of an installation.
fn of_controller(deployments: &Seen<Vec<Deployment>>) -> Seen<Deployment> {
    match deployments {
        Seen::NotAllowed => Seen::NotAllowed,
        Seen::Missing => Seen::Missing,
        Seen::Found(all) => {
            let found = all.iter().find(|it| it.name_any().ends_with(CONTROLLER));
            found.cloned().map_or(Seen::Missing, Seen::Found)
        }
    }
}

/// The Deployments of controller and env injector in `namespace`.
pub(super) async fn deployments(client: &Client, namespace: &str) -> anyhow::Result<Seen<Vec<Deployment>>> {
    let all: Api<Deployment> = Api::namespaced(client.clone(), namespace);
    let list = all.list(&ListParams::default()).await.map(|list| list.items);
    Ok(match seen(list, "the Deployments")? {
        Seen::Found(mut list) => {
            list.retain(|it| [CONTROLLER, INJECTOR].iter().any(|end| it.name_any().ends_with(end)));
            Seen::Found(list)
        }
        other => other,
    })
}

fn state(lease: &Lease, now: Timestamp) -> LeaseState {
    let spec = lease.spec.clone().unwrap_or_default();
    let renewed = spec.renew_time.map_or(Timestamp::UNIX_EPOCH, |time| time.0);
    LeaseState {
        holder: spec.holder_identity.filter(|holder| !holder.is_empty()),
        silent: now.as_second() - renewed.as_second(),
        lasts: spec.lease_duration_seconds.unwrap_or(15).into(),
    }
}
