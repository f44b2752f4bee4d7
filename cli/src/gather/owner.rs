//! Who made a pod: `ReplicaSet` → `Deployment`, or one of the others with a pod template.

use akv2k8s_shared::diagnosis::workload::Owner;
use akv2k8s_shared::doctor::Seen;
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::{Api, Client};

use crate::cluster::seen;

/// Follows the controllers of an object of `namespace` with these `metadata`, up to the one that people write.
pub(super) async fn of(client: &Client, namespace: &str, metadata: &ObjectMeta) -> anyhow::Result<Seen<Owner>> {
    let Some(first) = controller(metadata) else {
        return Ok(Seen::Missing);
    };
    if first.kind != "ReplicaSet" {
        return template(client, namespace, &first.kind, &first.name).await;
    }
    let sets: Api<ReplicaSet> = Api::namespaced(client.clone(), namespace);
    match seen(sets.get(&first.name).await, "the pod's ReplicaSet")? {
        Seen::NotAllowed => Ok(Seen::NotAllowed),
        Seen::Missing => Ok(Seen::Missing),
        Seen::Found(set) => match controller(&set.metadata) {
            Some(owner) => template(client, namespace, &owner.kind, &owner.name).await,
            None => Ok(Seen::Found(described(
                "ReplicaSet",
                &set.metadata,
                set.spec.and_then(|spec| spec.template),
            ))),
        },
    }
}

fn controller(metadata: &ObjectMeta) -> Option<&OwnerReference> {
    let owners = metadata.owner_references.iter().flatten();
    owners.into_iter().find(|owner| owner.controller == Some(true))
}

async fn template(client: &Client, namespace: &str, kind: &str, name: &str) -> anyhow::Result<Seen<Owner>> {
    macro_rules! read {
        ($type:ty, $template:expr) => {{
            let api: Api<$type> = Api::namespaced(client.clone(), namespace);
            match seen(api.get(name).await, "the pod's owner")? {
                Seen::Found(it) => Seen::Found(described(kind, &it.metadata, it.spec.and_then($template))),
                Seen::Missing => Seen::Missing,
                Seen::NotAllowed => Seen::NotAllowed,
            }
        }};
    }
    Ok(match kind {
        "Deployment" => read!(Deployment, |spec| Some(spec.template)),
        "StatefulSet" => read!(StatefulSet, |spec| Some(spec.template)),
        "DaemonSet" => read!(DaemonSet, |spec| Some(spec.template)),
        "Job" => read!(Job, |spec| Some(spec.template)),
        // Somebody's own resource: what its template looks like is not known.
        _ => Seen::Missing,
    })
}

fn described(kind: &str, metadata: &ObjectMeta, template: Option<PodTemplateSpec>) -> Owner {
    let template = template.unwrap_or_default();
    let containers = template.spec.iter().flat_map(|spec| &spec.containers);
    let variables = containers
        .flat_map(|it| it.env.iter().flatten())
        .map(|it| it.name.clone());
    Owner {
        kind: kind.to_owned(),
        name: metadata.name.clone().unwrap_or_default(),
        labels: metadata.labels.clone().unwrap_or_default(),
        template_variables: variables.collect(),
        template_labels: template
            .metadata
            .and_then(|metadata| metadata.labels)
            .unwrap_or_default(),
    }
}
