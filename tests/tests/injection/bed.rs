//! One control plane, emulator and env injector for all tests of this binary, and a namespace for each.

use std::process::Output;
use std::sync::OnceLock;

use akv2k8s_testbed::container::Container;
use akv2k8s_testbed::controlplane::Namespace;
use akv2k8s_testbed::emulator::{SecretOptions, VaultHandle};
use akv2k8s_testbed::stack::{Injector, Stack};
use anyhow::{Context, anyhow};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

/// The vault of all tests.
pub(crate) const VAULT: &str = "kv1";

/// What all tests stand on.
pub(crate) struct World {
    pub(crate) stack: Stack,
    pub(crate) injector: Injector,
}

impl World {
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let stack = Stack::start().await?;
        stack.vault(VAULT);
        let injector = stack.injector(&[]).await?;
        Ok(Self { stack, injector })
    }

    /// A labelled namespace in which `db` is an AKVS of a secret with this value.
    pub(crate) async fn team(&self, prefix: &str, value: &str) -> anyhow::Result<Team<'_>> {
        let namespace = self.injector.namespace(&self.stack.cluster, prefix).await?;
        let team = Team { world: self, namespace };
        team.secret("db", value).await?;
        Ok(team)
    }
}

/// Runs `test` in the shared world, whose tasks live in a runtime of their own: those of single tests end with their test.
pub(crate) fn in_world(test: impl AsyncFnOnce(&'static World) -> anyhow::Result<()>) -> anyhow::Result<()> {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    static WORLD: OnceLock<Result<World, String>> = OnceLock::new();
    let runtime = RUNTIME.get_or_init(|| Runtime::new().expect("a runtime"));
    let start = || runtime.block_on(World::start()).map_err(|error| format!("{error:#}"));
    let world = WORLD.get_or_init(start).as_ref().map_err(|error| anyhow!("{error}"))?;
    runtime.block_on(test(world))
}

/// A namespace whose pods are prepared.
pub(crate) struct Team<'w> {
    pub(crate) world: &'w World,
    pub(crate) namespace: Namespace,
}

impl Team<'_> {
    /// The vault, for objects of this namespace's own.
    pub(crate) fn vault(&self) -> VaultHandle {
        self.world.stack.emulator.vault(VAULT)
    }

    /// The name of an object of the vault that no other namespace has.
    pub(crate) fn own(&self, name: &str) -> String {
        format!("{}-{name}", self.namespace)
    }

    /// Sets a secret in the vault, and applies the AKVS of that name.
    pub(crate) async fn secret(&self, name: &str, value: &str) -> anyhow::Result<()> {
        self.vault()
            .set_secret(&self.own(name), value, SecretOptions::default())?;
        self.akvs(name, &self.own(name), "secret", &json!({})).await
    }

    /// Applies the AKVS `name` of this object.
    pub(crate) async fn akvs(&self, name: &str, object: &str, kind: &str, further: &Value) -> anyhow::Result<()> {
        let mut object = json!({"name": object, "type": kind});
        let further = further.as_object().cloned().unwrap_or_default();
        object.as_object_mut().expect("it is one").extend(further);
        let akvs = json!({
            "apiVersion": "spv.no/v2beta1", "kind": "AzureKeyVaultSecret",
            "metadata": {"name": name, "namespace": self.namespace.name()},
            "spec": {"vault": {"name": VAULT, "object": object}},
        });
        self.world.stack.cluster.kubectl_apply(&akvs.to_string()).await?;
        Ok(())
    }

    /// Creates what a document describes, as a user does, and gives what the API server made of it.
    pub(crate) async fn create(&self, document: &Value) -> anyhow::Result<Value> {
        let line = ["--namespace", self.namespace.name(), "create", "-o", "json", "-f", "-"];
        let cluster = &self.world.stack.cluster;
        let output = cluster.kubectl_with_input(&line, &document.to_string()).await?;
        serde_json::from_str(&output.success()?).context("kubectl printed no JSON")
    }

    /// A container of a pod, ready to be started.
    pub(crate) async fn container(&self, pod: &Value, name: &str) -> anyhow::Result<Container> {
        let World { stack, injector } = self.world;
        Container::new(&stack.cluster, injector, pod, name).await
    }

    /// Creates a pod with one container `app` and these variables, and prepares to start it.
    pub(crate) async fn app(&self, variables: &[(&str, &str)]) -> anyhow::Result<Container> {
        let pod = self.create(&pod("app", &["env"], variables)).await?;
        self.container(&pod, "app").await
    }
}

/// A pod with one container `app` that has this command.
pub(crate) fn pod(name: &str, command: &[&str], variables: &[(&str, &str)]) -> Value {
    let env: Vec<_> = variables
        .iter()
        .map(|(name, value)| json!({"name": name, "value": value}))
        .collect();
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
        "spec": {"containers": [{"name": "app", "image": "app:1", "command": command, "env": env}]},
    })
}

/// How a container ended: exit code, output, and what it complained of.
pub(crate) fn ended(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

/// Fails unless it started nothing, and said this code.
pub(crate) fn assert_refused(output: &Output, code: &str) {
    let (exit, out, err) = ended(output);
    assert_eq!((exit, out.as_str()), (Some(1), ""), "{err}");
    assert!(err.contains(code), "{code} is not in: {err}");
}

/// The value of a variable in the output of `env`.
pub(crate) fn value<'o>(out: &'o str, name: &str) -> Option<&'o str> {
    out.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
}
