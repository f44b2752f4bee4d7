//! The env injector on a real node, as users install it: images that hold our static programs and nothing else, the manifests of
//! `examples`, workload identity.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use crate::controlplane::{ControlPlane, Namespace};
use crate::emulator::{AppHandle, Emulator, FederatedCredential, Role, VaultHandle};
use crate::image::{Format, Image};
use crate::images::{self, OurImage};
use crate::node::Node;
use crate::registry::{self, Registry};
use crate::stack::{INJECTOR, NAMESPACE, prepared_namespace};
use crate::statics::Architecture;

const MANIFESTS: [&str; 3] = [
    include_str!("../../examples/injector/namespace.yaml"),
    include_str!("../../examples/install/envinjector-rbac.yaml"),
    include_str!("../../examples/injector/deployment.yaml"),
];
const WEBHOOK: &str = include_str!("../../examples/injector/webhook.yaml");
/// What the examples call our images.
const IMAGES: [(&str, OurImage); 2] = [
    ("example.org/akv2k8s/envinjector:0.1.0", images::INJECTOR),
    ("example.org/akv2k8s/azure-keyvault-env:0.1.0", images::WRAPPER),
];
/// Stands in the examples for what differs between installations.
const TO_BE_REPLACED: &str = "value: 00000000-0000-0000-0000-000000000000";
/// Where everybody who has to trust the emulator and the registry finds their authorities, in a ConfigMap of this name.
const TRUST: &str = "test-authorities";
/// How long the Deployment may take to become available.
const LIMIT: &str = "--timeout=300s";

/// An installed env injector, and what it needs around it.
pub struct Installation<'n> {
    /// Where it runs.
    pub node: &'n Node,
    /// Key Vault, Entra and metadata service of all pods.
    pub emulator: Emulator,
    /// Who the broker is at Entra.
    pub app: AppHandle,
    /// Images whose entrypoints are looked up.
    pub registry: Registry,
}

impl<'n> Installation<'n> {
    /// Installs it and waits until both replicas are ready and the API server calls them.
    ///
    /// # Errors
    /// A program cannot be built, or the Deployment does not become available: what became of its pods.
    pub async fn new(node: &'n Node) -> anyhow::Result<Self> {
        for (name, ours) in IMAGES {
            let image = tokio::task::spawn_blocking(move || ours.build(Architecture::here()));
            node.add_image(name, &image.await??).await?;
        }
        let emulator = node.emulator().await?;
        let app = emulator.entra().register_app();
        let issuer = node.cluster.issuer().await?;
        app.add_federated_credential(FederatedCredential::service_account(&issuer, NAMESPACE, INJECTOR));
        let registry = Registry::start(registry::Options {
            listen: SocketAddr::from((node.gateway(), 0)),
            ..registry::Options::default()
        })
        .await?;
        let installation = Self {
            node,
            emulator,
            app,
            registry,
        };
        installation.apply().await?;
        Ok(installation)
    }

    async fn apply(&self) -> anyhow::Result<()> {
        let cluster = &self.node.cluster;
        cluster.kubectl_apply(&akv2k8s_shared::api::crd_yaml()).await?;
        let established = ["wait", "--for=condition=Established", "crd/azurekeyvaultsecrets.spv.no"];
        cluster.kubectl(&established).await?.success()?;
        let [namespace, rights, deployment] = MANIFESTS;
        cluster.kubectl_apply(namespace).await?;
        cluster.kubectl_apply(rights).await?;
        self.trust(NAMESPACE).await?;
        let mut webhook: Value = serde_yaml::from_str(WEBHOOK)?;
        // As long as the API server waits at all, for a busy machine.
        webhook["webhooks"][0]["timeoutSeconds"] = json!(30);
        cluster.kubectl_apply(&webhook.to_string()).await?;
        cluster.kubectl_apply(&self.deployment(deployment)?).await?;
        self.rolled_out().await?;
        self.node.service_ready(NAMESPACE, INJECTOR).await
    }

    /// The example, with the identity of this installation, and with what users do not need: trust in the test's authorities, and patience
    /// with a busy machine.
    fn deployment(&self, example: &str) -> anyhow::Result<String> {
        let mut text = example.to_owned();
        for id in [self.app.client_id(), self.emulator.entra().tenant_id()] {
            text = text.replacen(TO_BE_REPLACED, &format!("value: {id}"), 1);
        }
        let mut documents = Vec::new();
        for document in serde_yaml::Deserializer::from_str(&text) {
            let mut document: Value = serde::Deserialize::deserialize(document)?;
            if document["kind"] == "Deployment" {
                trusting(&mut document["spec"]["template"]["spec"])?;
                let variables = &mut document["spec"]["template"]["spec"]["containers"][0]["env"];
                let variables = variables.as_array_mut().context("it has variables")?;
                variables.push(json!({"name": "IMAGE_LOOKUP_CA_FILE", "value": "/test/ca.pem"}));
                variables.push(json!({"name": "DOCKER_IMAGE_INSPECTION_TIMEOUT", "value": "20"}));
            }
            documents.push(document);
        }
        let list = json!({"apiVersion": "v1", "kind": "List", "items": documents});
        Ok(list.to_string())
    }

    /// Puts the test's authorities into a namespace, for [`trusting`] pods.
    pub async fn trust(&self, namespace: &str) -> anyhow::Result<()> {
        let authorities = format!(
            "{}{}",
            self.emulator.ca_pem(),
            self.registry.ca_pem().unwrap_or_default()
        );
        let map = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": TRUST, "namespace": namespace},
            "data": {"ca.pem": authorities},
        });
        self.node.cluster.kubectl_apply(&map.to_string()).await?;
        Ok(())
    }

    /// Waits until all replicas of the Deployment are those of its present specification, and ready.
    pub async fn rolled_out(&self) -> anyhow::Result<()> {
        let cluster = &self.node.cluster;
        let deployment = format!("deployment/{INJECTOR}");
        let wait = ["--namespace", NAMESPACE, "rollout", "status", &deployment, LIMIT];
        let output = cluster.kubectl(&wait).await?;
        match output.success() {
            Ok(_) => Ok(()),
            Err(error) => Err(error).context(self.what_became_of_it().await),
        }
    }

    async fn what_became_of_it(&self) -> String {
        let cluster = &self.node.cluster;
        let pods = names_of(cluster, NAMESPACE, &format!("app.kubernetes.io/name={INJECTOR}")).await;
        let mut text = self.log().await;
        for pod in pods.unwrap_or_default() {
            text += &self.node.describe(NAMESPACE, &pod).await;
        }
        text
    }

    /// What all replicas that there are have logged.
    pub async fn log(&self) -> String {
        let selector = format!("--selector=app.kubernetes.io/name={INJECTOR}");
        let line = ["--namespace", NAMESPACE, "logs", &selector, "--tail=-1", "--prefix"];
        let output = self.node.cluster.kubectl(&line).await;
        output.map_or_else(|error| error.to_string(), |output| output.stdout + &output.stderr)
    }

    /// The vault `name`, which the broker may read.
    pub fn vault(&self, name: &str) -> VaultHandle {
        let vault = self.emulator.vault(name);
        for role in [Role::SecretsUser, Role::CertificateUser, Role::CryptoUser] {
            vault.grant(self.app.principal(), role);
        }
        vault
    }

    /// A fresh namespace whose pods are prepared; waits until they are.
    pub async fn namespace(&self, prefix: &str) -> anyhow::Result<Namespace> {
        prepared_namespace(&self.node.cluster, prefix).await
    }

    /// Gives an image of this name both to the registry, where it is looked up, and to the node, which runs it; gives its full name.
    pub async fn add_image(&self, repository: &str, image: &Image) -> anyhow::Result<String> {
        self.registry.push(repository, "1", image, Format::Oci)?;
        let name = format!("{}/{repository}:1", self.registry.address());
        self.node.add_image(&name, image).await?;
        Ok(name)
    }
}

/// Lets all containers of a pod's specification trust what [`Installation::trust`] put into their namespace.
pub fn trusting(spec: &mut Value) -> anyhow::Result<()> {
    let containers = spec["containers"].as_array_mut().context("a pod has containers")?;
    ensure!(!containers.is_empty(), "a pod has containers");
    for container in containers {
        push(
            container,
            "env",
            json!({"name": "SSL_CERT_FILE", "value": "/test/ca.pem"}),
        );
        push(
            container,
            "volumeMounts",
            json!({"name": TRUST, "mountPath": "/test", "readOnly": true}),
        );
    }
    push(spec, "volumes", json!({"name": TRUST, "configMap": {"name": TRUST}}));
    Ok(())
}

fn push(object: &mut Value, list: &str, value: Value) {
    match object[list].as_array_mut() {
        Some(list) => list.push(value),
        None => object[list] = json!([value]),
    }
}

/// The names of the pods with this label.
pub async fn names_of(cluster: &ControlPlane, namespace: &str, label: &str) -> anyhow::Result<Vec<String>> {
    let names = "jsonpath={range .items[*]}{.metadata.name}{\"\\n\"}{end}";
    let line = [
        "--namespace",
        namespace,
        "get",
        "pods",
        "--selector",
        label,
        "--output",
        names,
    ];
    let printed = cluster.kubectl(&line).await?.success()?;
    Ok(printed.lines().map(str::to_owned).collect())
}

/// The variables of a guest that printed its environment.
pub fn environment(printed: &str) -> anyhow::Result<BTreeMap<String, String>> {
    let line = printed.lines().next().context("it printed nothing")?;
    let mut document: Value = serde_json::from_str(line).with_context(|| format!("no JSON: {line}"))?;
    Ok(serde_json::from_value(document["env"].take())?)
}
