//! Does Pod Security Admission let the installation's pods in?

use akv2k8s_shared::diagnosis::{Diagnosis, Explanation, case};
use akv2k8s_shared::doctor::{Check, Seen};
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use kube::ResourceExt;

/// Annotation of a Deployment, and of the `ReplicaSet` of its present template.
const REVISION: &str = "deployment.kubernetes.io/revision";
/// What Pod Security Admission says of a pod that it refuses begins so, in all versions.
const REFUSED: &str = "violates PodSecurity";
/// The chart's volume of the node's file.
const HOST_FILE: &str = "azure-config";

/// One check for each of `deployments` whose pods are refused, or one that says that none is.
pub(super) fn checks(deployments: &Seen<Vec<Deployment>>, sets: &Seen<Vec<ReplicaSet>>, namespace: &str) -> Vec<Check> {
    const ID: &str = "pod-security";
    let (all, sets) = match (deployments, sets) {
        (Seen::NotAllowed, _) | (_, Seen::NotAllowed) => {
            let text = format!(
                "Whether Pod Security refuses pods: no right to list Deployments and ReplicaSets in {namespace}."
            );
            return vec![Check::not_made(ID, text)];
        }
        (Seen::Missing, _) | (_, Seen::Missing) => return Vec::new(),
        (Seen::Found(all), Seen::Found(sets)) => (all, sets),
    };
    let refused: Vec<_> = all
        .iter()
        .filter_map(|it| Some((it, refusal(it, sets)?)))
        .map(|(it, said)| Check::failed(ID, diagnosis(it, namespace, said)))
        .collect();
    if !refused.is_empty() || all.is_empty() {
        return refused;
    }
    let names: Vec<_> = all.iter().map(ResourceExt::name_any).collect();
    vec![Check::passed(
        ID,
        format!("Pod Security refuses no pod of {}.", names.join(", ")),
    )]
}

/// Its words, if it refuses pods of the present template. The Deployment's own condition also tells of templates before.
fn refusal<'s>(deployment: &Deployment, sets: &'s [ReplicaSet]) -> Option<&'s str> {
    let revision = deployment.annotations().get(REVISION)?;
    let set = sets.iter().find(|set| {
        let owners = set.owner_references();
        let owned = owners
            .iter()
            .any(|owner| Some(&owner.uid) == deployment.metadata.uid.as_ref());
        owned && set.annotations().get(REVISION) == Some(revision)
    })?;
    let conditions = set.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let mut failures = conditions.filter(|it| it.type_ == "ReplicaFailure" && it.status == "True");
    let message = failures.find_map(|it| it.message.as_deref())?;
    message.find(REFUSED).map(|start| &message[start..])
}

fn diagnosis(deployment: &Deployment, namespace: &str, said: &str) -> Diagnosis {
    let name = deployment.name_any();
    let what = format!("Deployment {namespace}/{name} gets no new pods: {said}");
    let (namespace, deployment, file) = (&namespace, &name, host_file(deployment));
    let why: Explanation = match file {
        Some(path) if said.contains("hostPath") => case::PodsReadHostFile {
            path: &path,
            namespace,
            deployment,
        }
        .into(),
        _ => case::PodsAskForMore { namespace, deployment }.into(),
    };
    Diagnosis::case(why, what)
}

/// The file of the node that its pods read.
fn host_file(deployment: &Deployment) -> Option<&str> {
    let pod = deployment.spec.as_ref()?.template.spec.as_ref()?;
    let mut volumes = pod.volumes.iter().flatten();
    let volume = volumes.find(|volume| volume.name == HOST_FILE)?;
    volume.host_path.as_ref().map(|it| it.path.as_str())
}
