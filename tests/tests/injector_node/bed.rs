//! One node and one installed env injector for all tests of this binary, and a namespace for each.

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::time::Duration;

use akv2k8s_testbed::controlplane::Namespace;
use akv2k8s_testbed::emulator::{SecretOptions, VaultHandle};
use akv2k8s_testbed::installation::{Installation, environment};
use akv2k8s_testbed::node::{self, Node, guest};
use akv2k8s_testbed::wait::until;
use anyhow::{Context, anyhow};
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio::sync::RwLock;

/// The vault of all tests.
pub(crate) const VAULT: &str = "kv1";
/// How long anything may take that takes seconds on a machine with nothing else to do.
pub(crate) const PATIENCE: Duration = Duration::from_mins(4);

/// What all tests stand on.
pub(crate) type World = Installation<'static>;

/// Who disturbs the installation is alone with it.
static PRESENT: RwLock<()> = RwLock::const_new(());

/// Runs `test` beside others; says why not where no node can run.
pub(crate) fn in_world(test: impl AsyncFnOnce(&'static World) -> anyhow::Result<()>) -> anyhow::Result<()> {
    run(async |world| {
        let _present = PRESENT.read().await;
        test(world).await
    })
}

/// Runs `test` while no other runs.
pub(crate) fn alone(test: impl AsyncFnOnce(&'static World) -> anyhow::Result<()>) -> anyhow::Result<()> {
    run(async |world| {
        let _alone = PRESENT.write().await;
        test(world).await
    })
}

fn run(test: impl AsyncFnOnce(&'static World) -> anyhow::Result<()>) -> anyhow::Result<()> {
    /// The runtime of the node's and the emulator's own tasks: those of single tests end with their test.
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    static NODE: OnceLock<Node> = OnceLock::new();
    static WORLD: OnceLock<Result<World, String>> = OnceLock::new();
    if !node::available(1) {
        return Ok(());
    }
    let runtime = RUNTIME.get_or_init(|| Runtime::new().expect("a runtime"));
    let start = async || {
        let node = Node::start().await?;
        let world = Installation::new(NODE.get_or_init(|| node)).await?;
        world.vault(VAULT);
        anyhow::Ok(world)
    };
    let start = || runtime.block_on(start()).map_err(|error| format!("{error:#}"));
    let world = WORLD.get_or_init(start).as_ref().map_err(|error| anyhow!("{error}"))?;
    runtime.block_on(test(world))
}

/// A namespace whose pods are prepared.
pub(crate) struct Team {
    pub(crate) world: &'static World,
    pub(crate) namespace: Namespace,
}

impl Team {
    /// With an AKVS `db` of a secret with this value.
    pub(crate) async fn new(world: &'static World, prefix: &str, value: &str) -> anyhow::Result<Self> {
        let namespace = world.namespace(prefix).await?;
        let team = Self { world, namespace };
        team.secret("db", value).await?;
        Ok(team)
    }

    pub(crate) fn vault(&self) -> VaultHandle {
        self.world.emulator.vault(VAULT)
    }

    /// The name of an object of the vault that no other namespace has.
    pub(crate) fn own(&self, name: &str) -> String {
        format!("{}-{name}", self.namespace)
    }

    /// Sets a secret in the vault, and applies the AKVS of that name.
    pub(crate) async fn secret(&self, name: &str, value: &str) -> anyhow::Result<()> {
        self.vault()
            .set_secret(&self.own(name), value, SecretOptions::default())?;
        self.akvs(name, &json!({"name": self.own(name), "type": "secret"}))
            .await
    }

    /// Applies the AKVS `name` of this object.
    pub(crate) async fn akvs(&self, name: &str, object: &Value) -> anyhow::Result<()> {
        let akvs = json!({
            "apiVersion": "spv.no/v2beta1", "kind": "AzureKeyVaultSecret", "metadata": {"name": name},
            "spec": {"vault": {"name": VAULT, "object": object}},
        });
        self.kubectl_with(&["apply", "-f", "-"], &akvs).await.map(drop)
    }

    /// kubectl in this namespace.
    pub(crate) async fn kubectl(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let line = [&["--namespace", self.namespace.name()], arguments].concat();
        Ok(self.world.node.cluster.kubectl(&line).await?.success()?)
    }

    async fn kubectl_with(&self, arguments: &[&str], document: &Value) -> anyhow::Result<String> {
        let line = [&["--namespace", self.namespace.name()], arguments].concat();
        let cluster = &self.world.node.cluster;
        Ok(cluster
            .kubectl_with_input(&line, &document.to_string())
            .await?
            .success()?)
    }

    /// Creates what a document describes, as a user does, and gives what the API server made of it.
    pub(crate) async fn create(&self, document: &Value) -> anyhow::Result<Value> {
        let printed = self
            .kubectl_with(&["create", "-o", "json", "-f", "-"], document)
            .await?;
        serde_json::from_str(&printed).context("kubectl printed no JSON")
    }

    /// An object, as the API server has it.
    pub(crate) async fn get(&self, object: &str) -> anyhow::Result<Value> {
        let printed = self.kubectl(&["get", object, "-o", "json"]).await?;
        serde_json::from_str(&printed).context("kubectl printed no JSON")
    }

    /// Creates a pod of one container, waits for its end, and gives the variables that its program had.
    pub(crate) async fn variables_of(&self, pod: &Value) -> anyhow::Result<BTreeMap<String, String>> {
        self.create(pod).await?;
        let name = pod["metadata"]["name"].as_str().context("the pod has a name")?;
        let phase = self.world.node.ended(self.namespace.name(), name).await?;
        let log = self.world.node.log_now(self.namespace.name(), name).await?;
        if phase != "Succeeded" {
            let described = self.world.node.describe(self.namespace.name(), name).await;
            return Err(anyhow!("{described}")).with_context(|| format!("it {phase}, and said {log:?}"));
        }
        environment(&log)
    }

    /// Waits until a container has printed its environment, and gives it.
    pub(crate) async fn printed(&self, pod: &str, container: &str) -> anyhow::Result<BTreeMap<String, String>> {
        let what = format!("container {container} of pod {pod} to print its environment");
        let printed = until(&what, PATIENCE, async || {
            let log = self.kubectl(&["logs", pod, "--container", container]).await.ok()?;
            environment(&log).ok()
        })
        .await;
        match printed {
            Ok(variables) => Ok(variables),
            Err(error) => Err(error).context(self.world.node.describe(self.namespace.name(), pod).await),
        }
    }
}

/// The variable `DB`, with a reference to the AKVS `db`.
pub(crate) fn db() -> Value {
    json!([{"name": "DB", "value": "db@azurekeyvault"}])
}

/// A container that prints its environment.
pub(crate) fn container(name: &str) -> Value {
    json!({"name": name, "image": guest::IMAGE, "command": [guest::PATH, "env"], "env": db()})
}

/// A container that prints its environment and stays.
pub(crate) fn staying(name: &str) -> Value {
    json!({"name": name, "image": guest::IMAGE, "command": [guest::PATH, "live"], "env": db()})
}

/// A pod that runs these containers once.
pub(crate) fn pod(name: &str, containers: &Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": name}},
        "spec": {"restartPolicy": "Never", "containers": containers},
    })
}
