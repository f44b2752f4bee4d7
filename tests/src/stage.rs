//! A stage for end-to-end tests: a namespace of a real control plane, an emulated vault, and controllers that run in the test's
//! own process.
//!
//! ```no_run
//! # async fn test() -> anyhow::Result<()> {
//! use akv2k8s_testbed::stage::Stage;
//!
//! let stage = Stage::new("rotation").await?;
//! let vault = stage.vault("kv1");                                   // readable and listable by the controller's identity
//! vault.set_secret("db", "s3cret", Default::default())?;
//! let controller = stage.controller(&["--azure-resync-period=1"]).await?;
//! stage.apply("db", "{vault: {name: kv1, object: {name: db, type: secret}}, output: {secret: {name: db, dataKey: p}}}").await?;
//! stage.wait_for_key("db", "p", "s3cret").await?;
//! controller.stop().await?;
//! # Ok(()) }
//! ```

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use akv2k8s_controller::Controller;
use akv2k8s_controller::args::Args;
use akv2k8s_controller::config::Config;
use akv2k8s_shared::api::{AzureKeyVaultSecret, condition};
use akv2k8s_shared::environment::Environment;
use anyhow::Context;
use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::Api;
use kube::api::{ListParams, Patch, PatchParams};
use tempfile::TempDir;
use tokio::sync::{OnceCell, oneshot};
use tokio::task::JoinHandle;

use crate::controlplane::{ControlPlane, Namespace};
use crate::crd;
use crate::emulator::{AppHandle, Emulator, Options, Role, VaultHandle};
use crate::hardened;
use crate::wait::until;

/// How long a test waits for what should take well under a second, on a busy machine. The garbage collector, though, learns
/// of a CRD it has not seen before only every 30 s.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// The control plane a stage stands on.
pub enum Cluster {
    /// That of all tests of the process.
    Shared(&'static ControlPlane),
    /// One of the stage's own, for tests that change what all others rely on.
    Own(Box<ControlPlane>),
}

impl std::ops::Deref for Cluster {
    type Target = ControlPlane;

    fn deref(&self) -> &ControlPlane {
        match self {
            Self::Shared(cluster) => cluster,
            Self::Own(cluster) => cluster,
        }
    }
}

/// The stage of one test.
pub struct Stage {
    /// The control plane.
    pub cluster: Cluster,
    /// This test's namespace.
    pub namespace: Namespace,
    /// This test's own vaults, Entra and IMDS.
    pub emulator: Emulator,
    /// The application whose client secret controllers use.
    pub app: AppHandle,
    client: kube::Client,
    files: TempDir,
    kubeconfig: PathBuf,
    environment: Vec<(String, String)>,
}

impl Stage {
    /// Sets everything up but the controller. `prefix` begins the namespace's name.
    pub async fn new(prefix: &str) -> anyhow::Result<Self> {
        let cluster = ControlPlane::shared().await?;
        install_crd(&cluster.client()?).await?;
        Self::on(Cluster::Shared(cluster), prefix).await
    }

    /// The same on any control plane; the CRD is the caller's business.
    pub async fn on(cluster: Cluster, prefix: &str) -> anyhow::Result<Self> {
        let client = cluster.client()?;
        let namespace = cluster.namespace(prefix).await?;
        let emulator = Emulator::start(Options::default()).await?;
        let app = emulator.entra().register_app();
        let files = tempfile::tempdir()?;
        let (ca, cloud) = (files.path().join("ca.pem"), files.path().join("cloud.json"));
        emulator.write_ca_file(&ca)?;
        emulator.write_cloud_file(&cloud)?;
        let kubeconfig = if hardened::is_on() {
            let kubeconfig = files.path().join("kubeconfig");
            hardened::prepare(&cluster, namespace.name(), &kubeconfig).await?;
            kubeconfig
        } else {
            cluster.kubeconfig().to_owned()
        };
        let environment = [
            ("AUTH_TYPE", "environment".to_owned()),
            ("HTTP_PORT", "0".to_owned()),
            ("METRICS_ENABLED", "true".to_owned()),
            ("RUNTIME_NAMESPACE", namespace.name().to_owned()),
            ("SSL_CERT_FILE", ca.display().to_string()),
            ("AZURE_ENVIRONMENT", "AzureStackCloud".to_owned()),
            ("AZURE_ENVIRONMENT_FILEPATH", cloud.display().to_string()),
            ("AZURE_TENANT_ID", emulator.entra().tenant_id().to_owned()),
            ("AZURE_CLIENT_ID", app.client_id().to_owned()),
            ("AZURE_CLIENT_SECRET", app.add_secret()),
        ];
        let environment = environment
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        Ok(Self {
            cluster,
            namespace,
            emulator,
            app,
            client,
            files,
            kubeconfig,
            environment,
        })
    }

    /// The vault `name`, in which the controller's identity may read everything.
    pub fn vault(&self, name: &str) -> VaultHandle {
        let vault = self.emulator.vault(name);
        for role in [Role::SecretsUser, Role::Reader, Role::CertificateUser, Role::CryptoUser] {
            vault.grant(self.app.principal(), role);
        }
        vault
    }

    /// Sets a variable for controllers started from now on.
    pub fn set_variable(&mut self, name: &str, value: &str) {
        self.environment.retain(|(known, _)| known != name);
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    /// The variables by which a program is who the controllers are, and finds cloud and authorities.
    pub fn variables(&self) -> &[(String, String)] {
        &self.environment
    }

    /// Starts a controller that watches this namespace only, with a poll period of one second unless `flags` say otherwise.
    pub async fn controller(&self, flags: &[&str]) -> anyhow::Result<Running> {
        let kubeconfig = self.kubeconfig.display().to_string();
        let mut line = vec!["controller", "--kubeconfig", &kubeconfig];
        let usual = ["--watch-all-namespaces=false", "--azure-resync-period=1"];
        for default in usual.into_iter().chain(hardened::is_on().then_some(hardened::FLAG)) {
            let name = default.split('=').next();
            if !flags.iter().any(|flag| flag.split('=').next() == name) {
                line.push(default);
            }
        }
        line.extend(flags);
        let args = Args::from_command_line(line.into_iter().map(Into::into))?;
        let environment: Environment = self.environment.iter().cloned().collect();
        let controller = Controller::new(Config::new(args, environment)?).await?;
        let address = SocketAddr::from(([127, 0, 0, 1], controller.http_address()?.port()));
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(controller.run(async move {
            // Dropping the sender stops the controller, too.
            let _ = stopped.await;
        }));
        Ok(Running { address, stop, task })
    }

    /// The API for a type in this namespace.
    pub fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), self.namespace.name())
    }

    /// Creates or changes the AKVS `name`; `spec` is YAML.
    pub async fn apply(&self, name: &str, spec: &str) -> anyhow::Result<AzureKeyVaultSecret> {
        let spec: serde_json::Value = serde_yaml::from_str(spec).context("the test's spec is no YAML")?;
        let object = serde_json::json!({
            "apiVersion": "spv.no/v2beta1", "kind": "AzureKeyVaultSecret", "metadata": {"name": name}, "spec": spec,
        });
        let api = self.api::<AzureKeyVaultSecret>();
        Ok(api
            .patch(name, &PatchParams::apply("test").force(), &Patch::Apply(object))
            .await?)
    }

    /// The AKVS `name`.
    pub async fn akvs(&self, name: &str) -> anyhow::Result<AzureKeyVaultSecret> {
        Ok(self.api::<AzureKeyVaultSecret>().get(name).await?)
    }

    /// Waits until the Ready condition of AKVS `name` has this reason (`Synced` or a failure code), for its present spec.
    pub async fn wait_for_reason(&self, name: &str, reason: &str) -> anyhow::Result<AzureKeyVaultSecret> {
        let what = format!("{name} to become {reason}");
        let found = until(&what, PATIENCE, async || {
            let akvs = self.akvs(name).await.ok()?;
            let status = akvs.status.as_ref()?;
            let ready = condition::get(&status.conditions, condition::READY)?;
            let current = status.observed_generation == akvs.metadata.generation;
            (current && ready.reason == reason).then_some(akvs.clone())
        });
        match found.await {
            Ok(akvs) => Ok(akvs),
            Err(error) => Err(anyhow::Error::new(error).context(format!("{:?}", self.akvs(name).await?.status))),
        }
    }

    /// Creates `count` AKVS called `s0`, `s1`, …; `object` gives the vault object's name for a number. Each writes its value under
    /// `v` of a Secret of the AKVS's name.
    pub async fn apply_many(
        &self,
        vault: &str,
        numbers: impl IntoIterator<Item = usize>,
        object: impl Fn(usize) -> String,
    ) -> anyhow::Result<()> {
        let apply = async |number: usize| {
            let (name, object) = (format!("s{number}"), object(number));
            let spec = format!(
                "{{vault: {{name: {vault}, object: {{name: {object}, type: secret}}}}, output: {{secret: {{name: {name}, dataKey: v}}}}}}"
            );
            self.apply(&name, &spec).await.map(drop)
        };
        stream::iter(numbers)
            .map(apply)
            .buffer_unordered(16)
            .try_collect::<()>()
            .await
    }

    /// Waits until `count` AKVS are `Synced`.
    pub async fn wait_for_synced(&self, count: usize) -> anyhow::Result<()> {
        let what = format!("{count} objects to become Synced");
        until(&what, 2 * PATIENCE, async || {
            let list = self
                .api::<AzureKeyVaultSecret>()
                .list(&ListParams::default())
                .await
                .ok()?;
            let synced = |akvs: &&AzureKeyVaultSecret| {
                let conditions = akvs.status.as_ref().map_or(&[][..], |status| &status.conditions);
                condition::get(conditions, condition::READY).is_some_and(|ready| ready.reason == "Synced")
            };
            (list.items.iter().filter(synced).count() == count).then_some(())
        })
        .await?;
        Ok(())
    }

    /// The Secret `name`, if it exists.
    pub async fn secret(&self, name: &str) -> anyhow::Result<Option<Secret>> {
        Ok(self.api::<Secret>().get_opt(name).await?)
    }

    /// The text under `key` of the Secret `name`.
    pub async fn key(&self, name: &str, key: &str) -> Option<String> {
        let secret = self.secret(name).await.ok()??;
        String::from_utf8(secret.data?.get(key)?.0.clone()).ok()
    }

    /// Waits until the Secret `name` holds `value` under `key`.
    pub async fn wait_for_key(&self, name: &str, key: &str, value: &str) -> anyhow::Result<()> {
        let what = format!("Secret {name} to hold the expected value under {key}");
        until(&what, PATIENCE, async || {
            (self.key(name, key).await? == value).then_some(())
        })
        .await?;
        Ok(())
    }

    /// Waits until the Secret `name` is gone.
    pub async fn wait_until_gone(&self, name: &str) -> anyhow::Result<()> {
        let what = format!("Secret {name} to go");
        until(&what, PATIENCE, async || {
            self.secret(name).await.ok()?.is_none().then_some(())
        })
        .await?;
        Ok(())
    }

    /// The text under `key` of the ConfigMap `name`.
    pub async fn config_map_key(&self, name: &str, key: &str) -> Option<String> {
        self.api::<ConfigMap>().get_opt(name).await.ok()??.data?.remove(key)
    }

    /// A place for files that goes with the stage.
    pub fn files(&self) -> &std::path::Path {
        self.files.path()
    }
}

/// A controller at work; dropping it stops it in the background.
pub struct Running {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<anyhow::Result<()>>,
}

impl Running {
    /// Stops it as SIGTERM would and gives its result.
    pub async fn stop(self) -> anyhow::Result<()> {
        drop(self.stop);
        self.task.await?
    }

    /// Ends it without any farewell, as SIGKILL would.
    pub async fn kill(self) {
        self.task.abort();
        // The result of an aborted task says only that.
        let _ = self.task.await;
    }

    /// Whether it ended by itself.
    pub fn is_finished(&self) -> bool {
        self.task.is_finished()
    }

    /// The status and body of `GET path` from its HTTP server.
    pub async fn get(&self, path: &str) -> anyhow::Result<(u16, String)> {
        use http_body_util::{BodyExt, Empty};
        use hyper_util::client::legacy::Client;
        use hyper_util::rt::TokioExecutor;
        let client = Client::builder(TokioExecutor::new()).build_http::<Empty<hyper::body::Bytes>>();
        let response = client.get(format!("http://{}{path}", self.address).parse()?).await?;
        let status = response.status().as_u16();
        let body = response.into_body().collect().await?.to_bytes();
        Ok((status, String::from_utf8_lossy(&body).into_owned()))
    }

    /// Waits until `/readyz` says that work has begun.
    pub async fn wait_until_ready(&self) -> anyhow::Result<()> {
        let what = "the controller to be ready";
        until(what, PATIENCE, async || {
            let (status, body) = self.get("/readyz").await.ok()?;
            (status == 200 && !body.contains("standby")).then_some(())
        })
        .await?;
        Ok(())
    }
}

/// Installs the CRD once per process.
async fn install_crd(client: &kube::Client) -> anyhow::Result<()> {
    static INSTALLED: OnceCell<()> = OnceCell::const_new();
    INSTALLED.get_or_try_init(|| crd::install(client)).await.copied()
}
