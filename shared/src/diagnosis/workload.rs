//! How a pod's Azure identity stands, by its API objects alone: any pod, not only ours.
//!
//! Follows the chain in which things depend on each other, and stops at the first link that is broken: a pod without its label
//! was never given variables or a token, and telling that, too, would help nobody.
//!
//! What the webhook reads and writes: <https://azure.github.io/azure-workload-identity/docs/topics/service-account-labels-and-annotations.html>.

mod container;
mod injected;
mod principal;
mod service_account;
mod set_up;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use k8s_openapi::api::core::v1::{Namespace, Pod, ServiceAccount};

use self::container::{Presence, Variables};
pub use self::service_account::{Federation, checks as service_account_checks, issuer as issuer_check, role_check};
use super::AUDIENCE;
use crate::doctor::{Check, Seen};

/// Label that a pod must carry, value `true`, for the webhook to see it.
pub const USE_LABEL: &str = "azure.workload.identity/use";
/// Annotation of a ServiceAccount: the client id of its identity.
pub const CLIENT_ID_ANNOTATION: &str = "azure.workload.identity/client-id";
/// Annotation of a ServiceAccount: its identity's tenant, where that is not the webhook's default.
pub const TENANT_ID_ANNOTATION: &str = "azure.workload.identity/tenant-id";
/// Annotation of a pod: containers, parted by semicolons, that the webhook leaves alone.
const SKIP_ANNOTATION: &str = "azure.workload.identity/skip-containers";
/// Label of a pod with the predecessor, aad-pod-identity.
const POD_IDENTITY_LABEL: &str = "aadpodidbinding";

const CLIENT_ID: &str = "AZURE_CLIENT_ID";
const TENANT_ID: &str = "AZURE_TENANT_ID";
const TOKEN_FILE: &str = "AZURE_FEDERATED_TOKEN_FILE";
const CLIENT_SECRET: &str = "AZURE_CLIENT_SECRET";
const CERTIFICATE: [&str; 2] = ["AZURE_CLIENT_CERTIFICATE_PATH", "AZURE_CERTIFICATE_PATH"];
const USERNAME: &str = "AZURE_USERNAME";
const PASSWORD: &str = "AZURE_PASSWORD";

/// A pod and what stands around it, as far as it could be looked at.
#[derive(Debug, Clone)]
pub struct Workload {
    /// The pod.
    pub pod: Pod,
    /// The ServiceAccount it runs as.
    pub service_account: Seen<ServiceAccount>,
    /// Its namespace.
    pub namespace: Seen<Namespace>,
    /// What made it; [`Seen::Missing`] for a pod that somebody created by hand.
    pub owner: Seen<Owner>,
    /// All configurations of mutating webhooks in the cluster.
    pub webhooks: Seen<Vec<MutatingWebhookConfiguration>>,
}

/// The `Deployment`, `StatefulSet`, `DaemonSet` or `Job` that a pod comes from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Owner {
    /// Its kind, as in manifests.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Its own labels.
    pub labels: BTreeMap<String, String>,
    /// The labels of its pod template.
    pub template_labels: BTreeMap<String, String>,
    /// The names of the variables that containers of its pod template set.
    pub template_variables: BTreeSet<String>,
}

impl Workload {
    fn namespace(&self) -> &str {
        self.pod.metadata.namespace.as_deref().unwrap_or("default")
    }

    fn name(&self) -> &str {
        self.pod.metadata.name.as_deref().unwrap_or_default()
    }

    /// The name of the ServiceAccount the pod runs as.
    pub fn service_account_name(&self) -> &str {
        service_account_name(&self.pod)
    }

    fn label(&self, name: &str) -> Option<&str> {
        self.pod.metadata.labels.as_ref()?.get(name).map(String::as_str)
    }

    /// `pod shop/web-0`.
    fn subject(&self) -> String {
        format!("pod {}/{}", self.namespace(), self.name())
    }

    /// The variables of each container the webhook would touch.
    fn variables(&self) -> Vec<Variables<'_>> {
        container::of(&self.pod)
    }

    /// How to have the pod created anew.
    fn recreate(&self) -> String {
        recreate(self.namespace(), self.name(), self.owner.found())
    }

    /// The identity that the pod's variables or its ServiceAccount name, for trying it; client id, tenant.
    pub fn who(&self) -> (Option<String>, Option<String>) {
        let of_variable = |name: &str| {
            let variables = self.variables();
            let value = variables.iter().find_map(|it| it.literal(name));
            value.map(str::to_owned)
        };
        let of_annotation = |name: &str| {
            let account = self.service_account.found()?;
            service_account::annotation(account, name).map(str::to_owned)
        };
        (
            of_variable(CLIENT_ID).or_else(|| of_annotation(CLIENT_ID_ANNOTATION)),
            of_variable(TENANT_ID).or_else(|| of_annotation(TENANT_ID_ANNOTATION)),
        )
    }
}

/// How to have the pod `name` created anew that `owner` made.
pub fn recreate(namespace: &str, name: &str, owner: Option<&Owner>) -> String {
    match owner.map(|owner| (owner.kind.as_str(), &owner.name)) {
        Some((kind @ ("Deployment" | "StatefulSet" | "DaemonSet"), owner)) => {
            format!("kubectl rollout restart {}/{owner} -n {namespace}", kind.to_lowercase())
        }
        Some(("Job", owner)) => format!("delete the Job {owner} in {namespace} and apply it again"),
        Some(_) => format!("kubectl delete pod {name} -n {namespace}"),
        None => format!("kubectl delete pod {name} -n {namespace}, and create it again"),
    }
}

/// The name of the ServiceAccount `pod` runs as.
pub fn service_account_name(pod: &Pod) -> &str {
    let name = pod.spec.as_ref().and_then(|spec| spec.service_account_name.as_deref());
    name.filter(|name| !name.is_empty()).unwrap_or("default")
}

/// By which method a pod means to become somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Intent {
    /// A ServiceAccount token, exchanged at Entra.
    WorkloadIdentity,
    /// An application's secret, certificate or a user's password, in variables.
    Variables,
    /// The predecessor of workload identity.
    PodIdentity,
    /// Nothing in the objects says; the node's identity is what is left.
    Node,
}

/// What `workload` means to do, by its own objects.
pub fn intent(workload: &Workload) -> Intent {
    let variables = workload.variables();
    let names = |name: &str| variables.iter().any(|it| it.presence(name) == Presence::Set);
    let has_secret = [CLIENT_SECRET, CERTIFICATE[0], CERTIFICATE[1], USERNAME]
        .into_iter()
        .any(names);
    let of_owner =
        |owner: &Owner| owner.labels.contains_key(USE_LABEL) || owner.template_labels.contains_key(USE_LABEL);
    let labelled = workload.label(USE_LABEL).is_some() || workload.owner.found().is_some_and(of_owner);
    if labelled || set_up::is_done(&workload.pod) {
        return Intent::WorkloadIdentity;
    }
    if has_secret {
        return Intent::Variables;
    }
    let meant = |account: &ServiceAccount| {
        let labels = account.metadata.labels.as_ref();
        service_account::annotation(account, CLIENT_ID_ANNOTATION).is_some()
            || labels.is_some_and(|labels| labels.contains_key(USE_LABEL))
    };
    if workload.label(POD_IDENTITY_LABEL).is_some() {
        Intent::PodIdentity
    } else if workload.service_account.found().is_some_and(meant) {
        Intent::WorkloadIdentity
    } else if names(CLIENT_ID) && names(TENANT_ID) {
        Intent::Variables
    } else {
        Intent::Node
    }
}

/// Everything that can be said of `workload`, first causes first.
pub fn checks(workload: &Workload) -> Vec<Check> {
    let mut checks = match intent(workload) {
        Intent::WorkloadIdentity => workload_identity(workload),
        Intent::Variables => principal::checks(workload),
        Intent::PodIdentity => vec![Check::not_made(
            "method",
            format!(
                "The label {POD_IDENTITY_LABEL} asks aad-pod-identity for an identity: not to be seen in the pod. Microsoft has \
                 retired it; use workload identity."
            ),
        )],
        Intent::Node => vec![Check::not_made(
            "method",
            "No Azure identity is set up in this pod's objects: whether its program uses the node's managed identity, or builds \
             its credential in code, is not to be seen from here.",
        )],
    };
    checks.extend(principal::values(workload));
    checks
}

/// The chain of workload identity, up to its first broken link.
fn workload_identity(workload: &Workload) -> Vec<Check> {
    let mut checks = set_up::checks(workload);
    if checks.iter().any(|check| check.failure().is_some()) {
        checks.push(Check::not_made(
            "variables",
            "Variables and token of the containers: they come with what is missing above.",
        ));
        return checks;
    }
    checks.extend(injected::checks(workload));
    checks
}
