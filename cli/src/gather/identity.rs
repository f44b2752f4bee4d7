//! A ServiceAccount and the cluster's issuer.

use akv2k8s_shared::diagnosis::workload::{CLIENT_ID_ANNOTATION, TENANT_ID_ANNOTATION};
use akv2k8s_shared::doctor::Seen;
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::{Api, Client};
use serde_json::Value;

use crate::args::ServiceAccountName;
use crate::cluster::{Cluster, seen};

/// What is known of a ServiceAccount's identity.
pub(crate) struct Identity {
    pub(crate) name: ServiceAccountName,
    pub(crate) account: Seen<ServiceAccount>,
    pub(crate) issuer: Seen<String>,
}

impl Identity {
    /// The client id its annotation names.
    pub(crate) fn client_id(&self) -> Option<String> {
        self.annotation(CLIENT_ID_ANNOTATION)
    }

    /// The tenant its annotation names.
    pub(crate) fn tenant_id(&self) -> Option<String> {
        self.annotation(TENANT_ID_ANNOTATION)
    }

    fn annotation(&self, name: &str) -> Option<String> {
        self.account.found()?.metadata.annotations.as_ref()?.get(name).cloned()
    }
}

/// Reads the ServiceAccount `name`.
pub(crate) async fn identity(cluster: &Cluster, name: &ServiceAccountName) -> anyhow::Result<Identity> {
    let accounts: Api<ServiceAccount> = Api::namespaced(cluster.client.clone(), &name.namespace);
    Ok(Identity {
        account: seen(accounts.get(&name.name).await, "the ServiceAccount")?,
        issuer: issuer(&cluster.client).await?,
        name: name.clone(),
    })
}

/// The issuer of ServiceAccount tokens, as the cluster's discovery document names it.
pub(super) async fn issuer(client: &Client) -> anyhow::Result<Seen<String>> {
    let request = hyper::Request::get("/.well-known/openid-configuration").body(Vec::new())?;
    let document = seen(
        client.request::<Value>(request).await,
        "the issuer's discovery document",
    )?;
    Ok(match document {
        Seen::Found(document) => document["issuer"]
            .as_str()
            .map_or(Seen::Missing, |issuer| Seen::Found(issuer.to_owned())),
        Seen::Missing => Seen::Missing,
        Seen::NotAllowed => Seen::NotAllowed,
    })
}
