//! Pods that an env injector prepared: today's, or that of akv2k8s 1.x.

use std::collections::HashMap;

use akv2k8s_shared::diagnosis::workload::Owner;
use akv2k8s_shared::doctor::Seen;
use akv2k8s_shared::injection::names;
use k8s_openapi::api::core::v1::{EnvVar, Pod};
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt};

use super::owner;
use crate::cluster::seen;

/// Variables that only akv2k8s 1.x gave to containers.
const VARIABLES_OF_1X: [&str; 2] = ["ENV_INJECTOR_ARGS_SIGNATURE", "ENV_INJECTOR_CLIENT_CERT_DIR"];
/// The volume that only it gave to pods.
const VOLUME_OF_1X: &str = "akv2k8s-client-cert";
/// Pods in one answer of the API server.
const PAGE: u32 = 500;

/// A prepared pod that may start a container again.
pub(crate) struct Prepared {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) owner: Seen<Owner>,
    /// Prepared by akv2k8s 1.x.
    pub(crate) is_of_1x: bool,
    /// The bundles (PEM) by which its containers know the broker.
    pub(crate) bundles: Vec<String>,
}

impl Prepared {
    /// `pod`, if it is one.
    pub(crate) fn of(pod: &Pod, owner: Seen<Owner>) -> Option<Self> {
        if matches!(phase(pod), Some("Succeeded" | "Failed")) {
            return None;
        }
        let mut volumes = pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
        let is_of_1x = volumes.any(|volume| volume.name == VOLUME_OF_1X)
            || variables(pod).any(|it| VARIABLES_OF_1X.contains(&it.name.as_str()));
        let bundles: Vec<_> = variables(pod)
            .filter(|it| it.name == names::AUTH_SERVICE_CA)
            .filter_map(|it| it.value.clone())
            .collect();
        (is_of_1x || !bundles.is_empty()).then(|| Self {
            namespace: pod.namespace().unwrap_or_default(),
            name: pod.name_any(),
            owner,
            is_of_1x,
            bundles,
        })
    }
}

/// All of them, in all namespaces.
pub(super) async fn prepared(client: &Client) -> anyhow::Result<Seen<Vec<Prepared>>> {
    let pods: Api<Pod> = Api::all(client.clone());
    let (mut page, mut all) = (ListParams::default().limit(PAGE), Vec::new());
    let mut owners = HashMap::new();
    loop {
        let list = match seen(pods.list(&page).await, "the pods")? {
            Seen::Found(list) => list,
            Seen::Missing => return Ok(Seen::Missing),
            Seen::NotAllowed => return Ok(Seen::NotAllowed),
        };
        for pod in &list.items {
            let Some(found) = Prepared::of(pod, Seen::Missing) else {
                continue;
            };
            let owner = owner_of(client, pod, &mut owners).await?;
            all.push(Prepared { owner, ..found });
        }
        match list.metadata.continue_ {
            Some(token) if !token.is_empty() => page = page.continue_token(&token),
            _ => return Ok(Seen::Found(all)),
        }
    }
}

/// Pods of one set have one owner, which is asked for once.
async fn owner_of(client: &Client, pod: &Pod, known: &mut HashMap<String, Seen<Owner>>) -> anyhow::Result<Seen<Owner>> {
    let set = pod
        .owner_references()
        .iter()
        .find(|owner| owner.controller == Some(true));
    let Some(set) = set else { return Ok(Seen::Missing) };
    if let Some(owner) = known.get(&set.uid) {
        return Ok(owner.clone());
    }
    let owner = owner::of(client, &pod.namespace().unwrap_or_default(), &pod.metadata).await?;
    known.insert(set.uid.clone(), owner.clone());
    Ok(owner)
}

fn phase(pod: &Pod) -> Option<&str> {
    pod.status.as_ref()?.phase.as_deref()
}

fn variables(pod: &Pod) -> impl Iterator<Item = &EnvVar> {
    let containers = pod.spec.iter().flat_map(|spec| {
        let init = spec.init_containers.iter().flatten();
        init.chain(&spec.containers)
    });
    containers.flat_map(|container| container.env.iter().flatten())
}
