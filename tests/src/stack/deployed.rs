//! A pod of a Deployment, run without a node: the test does what kubelet, volumes and Azure's webhook would.
//!
//! The pod is the one that the API server has, made for the Deployment that Helm installed and admitted like any other. From it come
//! arguments, variables and files. Paths below a mount become paths of a temporary folder.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context;
use k8s_openapi::api::core::v1::{Pod, ServiceAccount};
use kube::api::{Api, ListParams};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::account::Account;
use super::launch::{Launch, Program};
use super::{controller, injector};
use crate::controlplane::ControlPlane;
use crate::kubelet::{self, text};
use crate::stage::PATIENCE;
use crate::wait::until;

/// Where every pod finds its ServiceAccount; the program is given a kubeconfig in its place.
const OWN_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// Label of the pods, and prefix of a ServiceAccount's annotations, that Azure's webhook goes by.
const WORKLOAD_IDENTITY: &str = "azure.workload.identity";
/// Where it mounts the token.
const TOKENS: &str = "/var/run/secrets/azure/tokens";

/// What is around the pod.
#[derive(Debug, Clone, Copy)]
pub struct Surroundings<'a> {
    /// Stands for the root of the node.
    pub host: &'a Path,
    /// Azure's workload identity webhook is in the cluster, set up for this tenant.
    pub webhook: Option<&'a str>,
}

/// A pod that can be started.
pub struct Deployed {
    /// The pod, as the API server has it.
    pub pod: Value,
    arguments: Vec<String>,
    variables: BTreeMap<String, String>,
    account: Account,
    folder: TempDir,
}

impl Deployed {
    /// Waits for a pod of the Deployment `name`, and prepares what its container would find.
    ///
    /// # Errors
    /// No pod is made, or it names what is not there.
    pub async fn new(
        cluster: &ControlPlane,
        namespace: &str,
        name: &str,
        around: Surroundings<'_>,
    ) -> anyhow::Result<Self> {
        let client = cluster.client()?;
        let mut pod = pod_of(&client, namespace, name).await?;
        if let Some(tenant) = around.webhook {
            let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), namespace);
            let account = accounts.get(text(&pod["spec"]["serviceAccountName"])).await?;
            workload_identity(&mut pod, &account.metadata.annotations.unwrap_or_default(), tenant);
        }
        let folder = TempDir::with_prefix("akv2k8s-pod-")?;
        let account = text(&pod["spec"]["serviceAccountName"]);
        let account = Account::new(cluster, namespace, account, &folder.path().join("account")).await?;

        let container = &pod["spec"]["containers"][0];
        let mut mounts = Vec::new();
        for mount in container["volumeMounts"].as_array().into_iter().flatten() {
            if mount["mountPath"] == OWN_ACCOUNT {
                continue;
            }
            let volumes = pod["spec"]["volumes"].as_array();
            let volume = volumes.into_iter().flatten().find(|it| it["name"] == mount["name"]);
            let volume = volume.with_context(|| format!("{mount} is of no volume"))?;
            let place = kubelet::volume(&client, &pod, volume, around.host, folder.path()).await?;
            mounts.push((text(&mount["mountPath"]).to_owned(), place));
        }
        let variables = kubelet::variables(&client, &pod, container, &BTreeMap::new()).await?;
        let arguments = container["args"].as_array().into_iter().flatten();
        let arguments = arguments.map(|it| moved(&kubelet::expand(text(it), &variables), &mounts));
        Ok(Self {
            arguments: arguments.collect(),
            variables: variables
                .iter()
                .map(|(name, value)| (name.clone(), moved(value, &mounts)))
                .collect(),
            account,
            folder,
            pod,
        })
    }

    /// The controller with just what the pod gives it, on a free port; to be changed and started.
    pub fn controller(&self) -> Launch {
        self.launch(controller::PROGRAM).env("HTTP_PORT", "0")
    }

    /// The env injector with just what the pod gives it, for [`Injector::installed`](super::Injector::installed).
    pub fn injector(&self) -> Launch {
        self.launch(injector::PROGRAM)
    }

    fn launch(&self, program: Program) -> Launch {
        let launch = Launch::new(program, self.folder.path(), &self.account.kubeconfig(), []);
        let launch = self.arguments.iter().fold(launch, |launch, it| launch.arg(it));
        let variables = self.variables.iter();
        variables.fold(launch, |launch, (name, value)| launch.env(name, value))
    }
}

/// A pod of the Deployment; what `ReplicaSets` say if there is none.
async fn pod_of(client: &kube::Client, namespace: &str, deployment: &str) -> anyhow::Result<Value> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let prefix = format!("{deployment}-");
    let what = format!("a pod of {deployment}");
    let found = until(&what, PATIENCE, async || {
        let all = pods.list(&ListParams::default()).await.ok()?;
        all.items.into_iter().find(|it| {
            let name = it.metadata.name.as_deref().unwrap_or_default();
            name.starts_with(&prefix) && it.metadata.deletion_timestamp.is_none()
        })
    });
    match found.await {
        Ok(pod) => Ok(serde_json::to_value(pod)?),
        Err(error) => {
            let sets: Api<k8s_openapi::api::apps::v1::ReplicaSet> = Api::namespaced(client.clone(), namespace);
            let sets = sets.list(&ListParams::default()).await?;
            let said: Vec<_> = sets.items.into_iter().filter_map(|it| it.status?.conditions).collect();
            Err(anyhow::Error::new(error).context(format!("{said:?}")))
        }
    }
}

/// What Azure's webhook makes of a pod that asks for it: variables that are not there yet, and a token.
fn workload_identity(pod: &mut Value, account: &BTreeMap<String, String>, tenant: &str) {
    if pod["metadata"]["labels"]["azure.workload.identity/use"] != "true" {
        return;
    }
    let annotation = |name: &str| account.get(&format!("{WORKLOAD_IDENTITY}/{name}")).map(String::as_str);
    let variables = [
        (
            "AZURE_CLIENT_ID",
            annotation("client-id").unwrap_or_default().to_owned(),
        ),
        ("AZURE_TENANT_ID", annotation("tenant-id").unwrap_or(tenant).to_owned()),
        ("AZURE_FEDERATED_TOKEN_FILE", format!("{TOKENS}/azure-identity-token")),
        ("AZURE_AUTHORITY_HOST", "https://login.microsoftonline.com/".to_owned()),
    ];
    let token =
        json!({"audience": "api://AzureADTokenExchange", "expirationSeconds": 3600, "path": "azure-identity-token"});
    let container = &mut pod["spec"]["containers"][0];
    for (name, value) in variables {
        let list = container["env"].as_array_mut();
        if let Some(list) = list.filter(|list| list.iter().all(|it| it["name"] != name)) {
            list.push(json!({"name": name, "value": value}));
        }
    }
    if let Some(mounts) = container["volumeMounts"].as_array_mut() {
        mounts.push(json!({"name": "azure-identity-token", "mountPath": TOKENS, "readOnly": true}));
    }
    if let Some(volumes) = pod["spec"]["volumes"].as_array_mut() {
        volumes
            .push(json!({"name": "azure-identity-token", "projected": {"sources": [{"serviceAccountToken": token}]}}));
    }
}

/// A path in the container, or a flag with one, as a path of this machine.
fn moved(word: &str, mounts: &[(String, PathBuf)]) -> String {
    let (flag, path) = match word.split_once('=') {
        Some((flag, path)) if flag.starts_with('-') => (&word[..=flag.len()], path),
        _ => ("", word),
    };
    let place = mounts.iter().find_map(|(mount, place)| {
        let below = Path::new(path).strip_prefix(mount).ok()?;
        // A file that is mounted itself has nothing below it, not even an empty name.
        Some(if below.as_os_str().is_empty() {
            place.clone()
        } else {
            place.join(below)
        })
    });
    place.map_or_else(|| word.to_owned(), |place| format!("{flag}{}", place.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_below_a_mount_are_moved_and_nothing_else_is() {
        let mounts = [("/etc/a", "/x"), ("/etc/b.json", "/y/b")].map(|(at, place)| (at.to_owned(), place.into()));
        for (word, expected) in [
            ("/etc/a/c", "/x/c"),
            ("--file=/etc/a/c", "--file=/x/c"),
            ("--file=/etc/b.json", "--file=/y/b"),
            ("/etc/ab/c", "/etc/ab/c"),
            ("--v=2", "--v=2"),
            ("a=/etc/a", "a=/etc/a"),
        ] {
            assert_eq!(moved(word, &mounts), expected, "{word}");
        }
    }

    #[test]
    fn azures_webhook_leaves_pods_without_its_label_and_variables_that_are_there() {
        let spec = json!({"containers": [{"env": [{"name": "AZURE_CLIENT_ID", "value": "own"}], "volumeMounts": []}], "volumes": []});
        let mut plain = json!({"metadata": {"labels": {}}, "spec": spec});
        let before = plain.clone();
        workload_identity(&mut plain, &BTreeMap::new(), "t");
        assert_eq!(plain, before);
        plain["metadata"]["labels"]["azure.workload.identity/use"] = json!("true");
        let account = [("azure.workload.identity/client-id".to_owned(), "c".to_owned())].into();
        workload_identity(&mut plain, &account, "t");
        let env = &plain["spec"]["containers"][0]["env"];
        assert_eq!((&env[0]["value"], &env[1]["value"]), (&json!("own"), &json!("t")));
        assert_eq!(plain["spec"]["volumes"][0]["name"], "azure-identity-token");
    }
}
