//! The controller as it shows in the cluster: its Deployment and its Lease.

use akv2k8s_shared::doctor::Seen;
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::ListParams;
use kube::{Api, Client};

use crate::args::Installation;
use crate::cluster::seen;

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

/// Reads both.
pub(super) async fn controller(client: &Client, at: &Installation) -> anyhow::Result<Controller> {
    let leases: Api<Lease> = Api::namespaced(client.clone(), at.lease_namespace());
    let lease = match seen(leases.get(&at.lease_name).await, "the controller's Lease")? {
        Seen::Found(lease) => Seen::Found(state(&lease, Timestamp::now())),
        Seen::Missing => Seen::Missing,
        Seen::NotAllowed => Seen::NotAllowed,
    };
    Ok(Controller {
        namespace: at.controller_namespace.clone(),
        lease_name: format!("{}/{}", at.lease_namespace(), at.lease_name),
        deployment: deployment(client, &at.controller_namespace).await?,
        lease,
    })
}

pub(super) async fn deployment(client: &Client, namespace: &str) -> anyhow::Result<Seen<Deployment>> {
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), namespace);
    let list = seen(deployments.list(&ListParams::default()).await, "the Deployments")?;
    Ok(match list {
        Seen::NotAllowed => Seen::NotAllowed,
        Seen::Missing => Seen::Missing,
        Seen::Found(list) => list
            .items
            .into_iter()
            .find(|it| {
                it.metadata
                    .name
                    .as_deref()
                    .is_some_and(|name| name.ends_with("controller"))
            })
            .map_or(Seen::Missing, Seen::Found),
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
