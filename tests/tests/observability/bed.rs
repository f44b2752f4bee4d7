//! Both programs at work, everything that they count caused once, and a Prometheus that reads them: one world for all tests.

use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use akv2k8s_shared::api::{AzureKeyVaultSecret, condition};
use akv2k8s_testbed::container::Container;
use akv2k8s_testbed::controlplane::Namespace;
use akv2k8s_testbed::emulator::{AttributeChange, SecretOptions};
use akv2k8s_testbed::prometheus::Prometheus;
use akv2k8s_testbed::stack::{Controller, Injector, Stack};
use akv2k8s_testbed::wait::until;
use anyhow::{Context, anyhow, ensure};
use kube::Api;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::traces::Receiver;

/// Prometheus' rules, below the repository's root.
pub(crate) const RULES: &str = "charts/akv2k8s/files/rules/akv2k8s.yaml";
/// JSON, and nearly everything.
const LOGGING: [&str; 2] = ["--logging-format=json", "--v=6"];
/// For what takes a moment on a machine with nothing else to do.
pub(crate) const PATIENCE: Duration = Duration::from_mins(2);
/// The value of every secret: it must be seen nowhere.
pub(crate) const CANARY: &str = "canary-9f2c4e";
/// A time at which the test is long over.
const LATER: i64 = 4_000_000_000;

/// The repository's root.
pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A file below the repository's root.
pub(crate) fn read(path: &str) -> anyhow::Result<String> {
    std::fs::read_to_string(root().join(path)).with_context(|| path.to_owned())
}

/// What all tests stand on.
pub(crate) struct World {
    pub(crate) controller: Controller,
    pub(crate) injector: Injector,
    pub(crate) prometheus: Prometheus,
    pub(crate) traces: Receiver,
    stack: Stack,
    team: Namespace,
}

/// Runs `test` in the shared world, whose tasks live in a runtime of their own: those of single tests end with their test.
pub(crate) fn in_world(test: impl AsyncFnOnce(&'static World) -> anyhow::Result<()>) -> anyhow::Result<()> {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    static WORLD: OnceLock<Result<World, String>> = OnceLock::new();
    let runtime = RUNTIME.get_or_init(|| Runtime::new().expect("a runtime"));
    let start = || {
        runtime
            .block_on(Box::pin(World::start()))
            .map_err(|error| format!("{error:#}"))
    };
    let world = WORLD.get_or_init(start).as_ref().map_err(|error| anyhow!("{error}"))?;
    runtime.block_on(test(world))
}

impl World {
    async fn start() -> anyhow::Result<Self> {
        let stack = Stack::start().await?;
        stack.vault("kv1");
        // A vault that nobody may list: a trouble of the vault as a whole.
        stack.emulator.vault("kv2");
        let controller = stack.controller().arg("--azure-resync-period=1");
        let controller = LOGGING.iter().fold(controller, |launch, flag| launch.arg(flag));
        let (traces, endpoint) = Receiver::start().await?;
        let tracing = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &*endpoint),
            ("OTEL_BSP_SCHEDULE_DELAY", "200"),
        ];
        let controller = tracing
            .iter()
            .fold(controller, |launch, (name, value)| launch.env(name, value));
        let controller = controller.start().await?;
        let injector = stack.injector_with(&LOGGING, &tracing).await?;
        let controller_url = controller.http().to_owned();
        let targets = [
            ("controller", controller_url.as_str()),
            ("env-injector", &injector.http()),
        ];
        let prometheus = Prometheus::start(&targets, &root().join(RULES)).await?;
        let team = injector.namespace(&stack.cluster, "metrics").await?;
        let world = Self {
            controller,
            injector,
            prometheus,
            traces,
            stack,
            team,
        };
        world.live().await?;
        Ok(world)
    }

    /// Causes whatever is counted, so that every metric has a series.
    async fn live(&self) -> anyhow::Result<()> {
        self.store(CANARY)?;
        self.akvs("db", "kv1", "Synced").await?;
        self.akvs("missing", "kv1", "ObjectNotFound").await?;
        self.akvs("barred", "kv2", "ForbiddenByRbac").await?;
        self.rotate("db").await?;
        let ended = self.start_pod("none", "none@azurekeyvault").await?;
        ensure!(ended == Some(1), "a pod gets a value that there is not: {ended:?}");
        let denied = pod(
            "denied",
            &json!([
                {"name": "DB", "value": "db@azurekeyvault"},
                {"name": "ENV_INJECTOR_DISABLE_AUTH_SERVICE", "value": "perhaps"},
            ]),
        );
        let denied = self.create(&denied).await;
        ensure!(denied.is_err(), "a pod that should be denied is not");
        Ok(())
    }

    /// What goes on all the time: the vault gets another version, which is synced, and a pod of this name gets a value.
    pub(crate) async fn rotate(&self, pod: &str) -> anyhow::Result<()> {
        self.store(&format!("{CANARY}-for-{pod}"))?;
        let ended = self.start_pod(pod, "db@azurekeyvault").await?;
        ensure!(ended == Some(0), "a pod does not get its value: {ended:?}");
        Ok(())
    }

    fn store(&self, value: &str) -> anyhow::Result<()> {
        let options = SecretOptions {
            attributes: AttributeChange {
                expires: Some(LATER),
                ..AttributeChange::default()
            },
            ..SecretOptions::default()
        };
        self.stack.emulator.vault("kv1").set_secret("db", value, options)?;
        Ok(())
    }

    /// Applies an AKVS of a secret of its own name, and waits until it is in this state.
    async fn akvs(&self, name: &str, vault: &str, reason: &str) -> anyhow::Result<()> {
        let akvs = json!({
            "apiVersion": "spv.no/v2beta1", "kind": "AzureKeyVaultSecret",
            "metadata": {"name": name, "namespace": self.team.name()},
            "spec": {
                "vault": {"name": vault, "object": {"name": name, "type": "secret"}},
                "output": {"secret": {"name": name, "dataKey": "value"}},
            },
        });
        self.stack.cluster.kubectl_apply(&akvs.to_string()).await?;
        let objects: Api<AzureKeyVaultSecret> = Api::namespaced(self.stack.cluster.client()?, self.team.name());
        let told = async || {
            let status = objects.get(name).await.ok()?.status?;
            (condition::get(&status.conditions, condition::READY)?.reason == reason).then_some(())
        };
        Ok(until(&format!("{name} to become {reason}"), PATIENCE, told).await?)
    }

    /// Starts a program that asks for a value, as a pod of this name; its exit code.
    async fn start_pod(&self, name: &str, reference: &str) -> anyhow::Result<Option<i32>> {
        let variables = json!([
            {"name": "DB", "value": reference},
            {"name": "ENV_INJECTOR_START_BUDGET", "value": "3"},
        ]);
        let pod = self.create(&pod(name, &variables)).await?;
        let container = Container::new(&self.stack.cluster, &self.injector, &pod, "app").await?;
        Ok(container.run().await?.status.code())
    }

    async fn create(&self, document: &Value) -> anyhow::Result<Value> {
        let line = ["--namespace", self.team.name(), "create", "-o", "json", "-f", "-"];
        let output = self
            .stack
            .cluster
            .kubectl_with_input(&line, &document.to_string())
            .await?;
        serde_json::from_str(&output.success()?).context("kubectl printed no JSON")
    }
}

fn pod(name: &str, variables: &Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
        "spec": {"containers": [{"name": "app", "image": "app:1", "command": ["true"], "env": variables}]},
    })
}
