//! The controller as it shows in the cluster: its Deployment and its Lease.

use akv2k8s_shared::doctor::Seen;
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::ListParams;
use kube::{Api, Client};

use super::Component;
use crate::args::Installation;
use crate::cluster::seen;
use crate::flags::Flags;

/// The Lease of a controller that was not told of another.
const LEASE: &str = "akv2k8s-controller";

/// What is known of the controller.
pub(crate) struct Controller {
    pub(crate) namespace: String,
    /// `NAMESPACE/NAME` of its Lease.
    pub(crate) lease_name: String,
    /// Its Deployment; [`Seen::Missing`] when none has the labels of one.
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

/// Reads the Lease; the Deployment is among `deployments`. Which Lease it is says the command line, else the Deployment's.
pub(super) async fn controller(
    client: &Client,
    at: &Installation,
    deployments: &Seen<Vec<Deployment>>,
) -> anyhow::Result<Controller> {
    let deployment = find(deployments, Component::Controller);
    let template = deployment.found().and_then(|it| Some(&it.spec.as_ref()?.template));
    let flags = Flags::of(template.and_then(|template| template.spec.as_ref()));
    let name = at.lease_name.as_deref().or(flags.value("lease-name")).unwrap_or(LEASE);
    let namespace = at.lease_namespace.as_deref().or(flags.value("lease-namespace"));
    let namespace = namespace.unwrap_or(&at.controller_namespace);
    let leases: Api<Lease> = Api::namespaced(client.clone(), namespace);
    let lease = match seen(leases.get(name).await, "the controller's Lease")? {
        Seen::Found(lease) => Seen::Found(state(&lease, Timestamp::now())),
        Seen::Missing => Seen::Missing,
        Seen::NotAllowed => Seen::NotAllowed,
    };
    Ok(Controller {
        namespace: at.controller_namespace.clone(),
        lease_name: format!("{namespace}/{name}"),
        deployment,
        lease,
    })
}

/// The Deployment of `component` in `namespace`.
pub(super) async fn deployment(
    client: &Client,
    namespace: &str,
    component: Component,
) -> anyhow::Result<Seen<Deployment>> {
    Ok(find(&deployments(client, namespace).await?, component))
}

/// That of `component` among the Deployments of an installation.
pub(crate) fn find(deployments: &Seen<Vec<Deployment>>, component: Component) -> Seen<Deployment> {
    match deployments {
        Seen::NotAllowed => Seen::NotAllowed,
        Seen::Missing => Seen::Missing,
        Seen::Found(all) => {
            let found = all.iter().find(|it| Component::of(it) == Some(component));
            found.cloned().map_or(Seen::Missing, Seen::Found)
        }
    }
}

/// The Deployments of controllers and env injectors in `namespace`.
pub(crate) async fn deployments(client: &Client, namespace: &str) -> anyhow::Result<Seen<Vec<Deployment>>> {
    let all: Api<Deployment> = Api::namespaced(client.clone(), namespace);
    let list = all.list(&ListParams::default()).await.map(|list| list.items);
    Ok(match seen(list, "the Deployments")? {
        Seen::Found(mut list) => {
            list.retain(|it| Component::of(it).is_some());
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
