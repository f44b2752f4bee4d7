//! The running env injector, and the API server that calls it.

use std::time::Duration;

use akv2k8s_shared::injection::names;
use anyhow::Context;
use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use kube::api::{Api, ApiResource, DynamicObject, PostParams};
use serde_json::{Value, json};

use super::account::Account;
use super::launch::{Launch, Program, Running};
use super::program::injector_program;
use super::{NAMESPACE, Stack};
use crate::controlplane::{ControlPlane, Namespace};
use crate::hardened;
use crate::wait::until;

/// The name of everything that belongs to it: ServiceAccount, Service, webhook configuration.
pub const INJECTOR: &str = "akv2k8s-envinjector";
/// How it is started.
pub(super) const PROGRAM: Program = Program {
    name: INJECTOR,
    path: injector_program,
    ports: 3,
};
const WEBHOOK: &str = include_str!("../../../examples/injector/webhook.yaml");
/// A port that nobody listens on.
const NOWHERE: u16 = 1;
/// As long as the API server waits at all, for a busy machine.
const PATIENT_SECONDS: u32 = 30;
/// For what takes a moment on a machine with nothing else to do.
const PATIENCE: Duration = Duration::from_mins(2);

/// A running env injector program; dropping it kills it as `kill -9` would.
pub struct Injector {
    launch: Launch,
    running: Option<Running>,
    /// Health and metrics, the webhook, the broker.
    ports: [u16; 3],
    /// Where its Service would be.
    namespace: String,
    // Held for its tokens, unless somebody else does.
    _account: Option<Account>,
}

impl Injector {
    /// Installs the env injector of `stack`, starts it with these flags and variables besides the usual ones, and has the API server call it.
    pub(super) async fn start(stack: &Stack, flags: &[&str], variables: &[(&str, &str)]) -> anyhow::Result<Self> {
        let cluster = &stack.cluster;
        cluster.kubectl_apply(&hardened::injector_rights()?).await?;
        stack.federate_with(INJECTOR).await?;
        let account = Account::new(cluster, NAMESPACE, INJECTOR, &stack.folder.path().join(INJECTOR)).await?;
        let usual = [
            ("AZUREKEYVAULT_ENV_IMAGE", "example.org/azure-keyvault-env:1"),
            ("POD_NAMESPACE", NAMESPACE),
            ("WEBHOOK_CONFIGURATION", INJECTOR),
            ("IMAGE_LOOKUP", "false"),
        ];
        let launch = stack.launch(PROGRAM, &account);
        let launch = flags.iter().fold(launch, |launch, flag| launch.arg(flag));
        let hardened = hardened::is_on().then_some(hardened::SETTING);
        let variables = usual.iter().chain(&hardened).chain(variables);
        let launch = variables.fold(launch, |launch, (name, value)| launch.env(name, value));

        // There before it starts, it is given its authorities at once, and not at the second look.
        cluster.kubectl_apply(&webhook(NOWHERE)?).await?;
        let injector = Self {
            _account: Some(account),
            ..Self::run(launch, NAMESPACE).await?
        };
        cluster.kubectl_apply(&webhook(injector.ports[1])?).await?;
        Ok(injector)
    }

    /// Starts the program of an installed env injector, and has the API server call it in place of the Service, which nobody serves without a node.
    ///
    /// # Errors
    /// It does not start, or is not registered.
    pub async fn installed(cluster: &ControlPlane, namespace: &str, launch: Launch) -> anyhow::Result<Self> {
        let injector = Self::run(launch, namespace).await?;
        let registered: Api<MutatingWebhookConfiguration> = Api::all(cluster.client()?);
        // What the env injector has written stays: else it would look again, but not soon.
        let written = async || {
            let configuration = registered.get(INJECTOR).await.ok()?;
            let place = configuration.webhooks?.pop()?.client_config;
            Some((place.ca_bundle?, place.service?.path?))
        };
        let (authorities, path) = until("the env injector to write to its webhook", PATIENCE, written).await?;
        let url = format!("https://127.0.0.1:{}{path}", injector.ports[1]);
        let changes = json!([
            {"op": "replace", "path": "/webhooks/0/clientConfig", "value": {"url": url, "caBundle": authorities}},
            {"op": "replace", "path": "/webhooks/0/timeoutSeconds", "value": PATIENT_SECONDS},
        ]);
        let kind = "mutatingwebhookconfiguration";
        let line = ["patch", kind, INJECTOR, "--type=json", "--patch", &changes.to_string()];
        cluster.kubectl(&line).await?.success()?;
        Ok(injector)
    }

    /// On free ports of this machine.
    async fn run(launch: Launch, namespace: &str) -> anyhow::Result<Self> {
        let names = ["HTTP_PORT", "TLS_PORT", "MTLS_PORT"];
        let launch = names.iter().fold(launch, |launch, name| launch.env(name, "0"));
        let launch = launch.env("SERVING_NAMES", "127.0.0.1").env("DRAIN_SECONDS", "0");
        // Rights that were just given take effect a moment later; until then it ends.
        let mut last = None;
        let running = until("the env injector to start", PATIENCE, async || {
            match launch.run().await {
                Ok(running) => Some(running),
                Err(error) => {
                    last = Some(error);
                    None
                }
            }
        })
        .await;
        let running = running.or_else(|timed_out| Err(last.context(timed_out)?))?;
        let ports = <[u16; 3]>::try_from(running.ports.as_slice()).context("it has three ports")?;
        let fixed = names.iter().zip(ports);
        Ok(Self {
            launch: fixed.fold(launch, |launch, (name, port)| launch.env(name, &port.to_string())),
            running: Some(running),
            ports,
            namespace: namespace.to_owned(),
            _account: None,
        })
    }

    /// Ends it, as `kill -9` does.
    pub fn kill(&mut self) {
        self.running = None;
    }

    /// Asks it to stop, as the kubelet does, and waits until it has.
    pub async fn stop(&mut self) -> anyhow::Result<()> {
        self.running.as_mut().context("it does not run")?.stop().await?;
        self.running = None;
        Ok(())
    }

    /// Starts it again, on the same ports.
    pub async fn restart(&mut self) -> anyhow::Result<()> {
        self.running = None;
        self.running = Some(self.launch.run().await?);
        Ok(())
    }

    /// Everything it has logged since it was started; nothing while it does not run.
    pub fn log(&self) -> String {
        self.running.as_ref().map(Running::log).unwrap_or_default()
    }

    /// Where its probes and metrics are: `http://127.0.0.1:PORT`.
    pub fn http(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports[0])
    }

    /// The broker's port.
    pub fn broker_port(&self) -> u16 {
        self.ports[2]
    }

    /// Where pods are told that the broker is.
    pub(crate) fn service(&self) -> String {
        format!("https://{INJECTOR}.{}.svc:9443", self.namespace)
    }

    /// A fresh namespace whose pods it prepares; waits until it does.
    pub async fn namespace(&self, cluster: &ControlPlane, prefix: &str) -> anyhow::Result<Namespace> {
        prepared_namespace(cluster, prefix).await
    }
}

/// The configuration that users apply, but with an address in place of the Service that nobody serves without a node.
fn webhook(port: u16) -> anyhow::Result<String> {
    let mut webhook: Value = serde_yaml::from_str(WEBHOOK)?;
    webhook["webhooks"][0]["clientConfig"] = json!({"url": format!("https://127.0.0.1:{port}/pods")});
    webhook["webhooks"][0]["timeoutSeconds"] = json!(PATIENT_SECONDS);
    Ok(webhook.to_string())
}

/// A fresh namespace whose pods the installed env injector prepares; waits until it does.
pub async fn prepared_namespace(cluster: &ControlPlane, prefix: &str) -> anyhow::Result<Namespace> {
    let namespace = cluster.namespace(prefix).await?;
    let label = format!("{}={}", names::LABEL, names::ENABLED);
    cluster
        .kubectl(&["label", "namespace", namespace.name(), &label])
        .await?
        .success()?;
    prepares(cluster, namespace.name()).await?;
    Ok(namespace)
}

/// Waits until pods of a namespace are prepared: the API server learns of labels, configuration and authorities a moment later.
pub async fn prepares(cluster: &ControlPlane, namespace: &str) -> anyhow::Result<()> {
    let resource = ApiResource::erase::<k8s_openapi::api::core::v1::Pod>(&());
    let pods: Api<DynamicObject> = Api::namespaced_with(cluster.client()?, namespace, &resource);
    let dry_run = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    let container = json!({
        "name": "probe", "image": "probe", "command": ["probe"], "env": [{"name": "PROBE", "value": "probe@azurekeyvault"}],
    });
    let pod: DynamicObject = serde_json::from_value(json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "probe"}, "spec": {"containers": [container]},
    }))?;
    let mut last = String::new();
    let prepared = until("pods to be prepared", PATIENCE, async || {
        match pods.create(&dry_run, &pod).await {
            Ok(answer) if answer.data["spec"]["containers"][0]["command"][0] == names::WRAPPER => return Some(()),
            Ok(_) => "the webhook was not called".clone_into(&mut last),
            Err(error) => last = error.to_string(),
        }
        None
    });
    prepared.await.context(last)
}
