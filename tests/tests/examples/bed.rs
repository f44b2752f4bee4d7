//! A cluster in which Helm installs the chart, and an Azure with the ids that the examples have in them.

use std::path::PathBuf;

use akv2k8s_shared::api::{AzureKeyVaultSecret, condition};
use akv2k8s_testbed::container::Container;
use akv2k8s_testbed::controlplane::ControlPlane;
use akv2k8s_testbed::emulator::{
    AppHandle, Emulator, FederatedCredential, Options, Principal, Role, SecretOptions, VaultHandle,
};
use akv2k8s_testbed::helm::Helm;
use akv2k8s_testbed::provision::Program;
use akv2k8s_testbed::stack::{Deployed, INJECTOR, Injector, Launch, Surroundings};
use akv2k8s_testbed::stage::PATIENCE;
use akv2k8s_testbed::wait::until;
use anyhow::{Context, ensure};
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::Api;
use kube::api::ListParams;
use serde_json::{Value, json};
use tempfile::TempDir;

/// Name of the release.
pub(crate) const RELEASE: &str = "akv2k8s";
/// The vault of the examples.
pub(crate) const VAULT: &str = "my-vault";
/// Who reads it, in the examples.
pub(crate) const CLIENT: &str = "11111111-2222-3333-4444-555555555555";
pub(crate) const TENANT: &str = "66666666-7777-8888-9999-000000000000";

/// A path below `examples`.
pub(crate) fn path(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../examples")).join(name)
}

pub(crate) fn text(name: &str) -> anyhow::Result<String> {
    std::fs::read_to_string(path(name)).with_context(|| format!("examples/{name}"))
}

/// A control plane, and Helm for it.
pub(crate) struct World {
    pub(crate) cluster: ControlPlane,
    helm: Helm,
}

impl World {
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let cluster = ControlPlane::start().await?;
        let helm = Helm::of(Program::Helm3)?.with_cluster(cluster.kubeconfig());
        Ok(Self { cluster, helm })
    }

    /// Installs the chart in `namespace` with these values files.
    pub(crate) fn install(&self, namespace: &str, values: &[&str]) -> anyhow::Result<()> {
        self.install_with(namespace, values, "")
    }

    /// The same with `further` values, in YAML.
    pub(crate) fn install_with(&self, namespace: &str, values: &[&str], further: &str) -> anyhow::Result<()> {
        let paths: Vec<_> = values.iter().map(|it| path(it).display().to_string()).collect();
        let mut line = vec![
            "install",
            RELEASE,
            "CHART",
            "--namespace",
            namespace,
            "--create-namespace",
        ];
        line.extend(paths.iter().flat_map(|it| ["--values", it]));
        self.helm.run(&line, further)?;
        Ok(())
    }

    /// Takes the release away, and waits until its pods are gone.
    pub(crate) async fn uninstall(&self, namespace: &str) -> anyhow::Result<()> {
        self.helm.run(&["uninstall", RELEASE, "--namespace", namespace], "")?;
        let pods: Api<Pod> = Api::namespaced(self.cluster.client()?, namespace);
        let gone = async || {
            let left = pods.list(&ListParams::default()).await.ok()?;
            left.items.is_empty().then_some(())
        };
        Ok(until("the pods to go", PATIENCE, gone).await?)
    }

    /// The controller that the release's pod would start, in the world of `azure`; to be changed and started.
    pub(crate) async fn controller(&self, namespace: &str, azure: &Azure) -> anyhow::Result<(Deployed, Launch)> {
        let pod = self.pod(namespace, "akv2k8s-controller", azure).await?;
        let launch = azure.known_to(pod.controller());
        Ok((pod, launch))
    }

    /// The same of the env injector, running.
    pub(crate) async fn injector(&self, namespace: &str, azure: &Azure) -> anyhow::Result<(Deployed, Injector)> {
        let pod = self.pod(namespace, INJECTOR, azure).await?;
        let launch = azure.known_to(pod.injector());
        let injector = Injector::installed(&self.cluster, namespace, launch).await?;
        Ok((pod, injector))
    }

    async fn pod(&self, namespace: &str, deployment: &str, azure: &Azure) -> anyhow::Result<Deployed> {
        let around = Surroundings {
            host: azure.folder.path(),
            webhook: Some(TENANT),
        };
        Deployed::new(&self.cluster, namespace, deployment, around).await
    }

    /// Lets the ServiceAccounts of the release in `namespace` become the examples' application.
    pub(crate) async fn federate(&self, namespace: &str, azure: &Azure) -> anyhow::Result<()> {
        azure.emulator.entra().trust_issuer_ca(self.cluster.ca_pem());
        let issuer = self.cluster.issuer().await?;
        for account in ["akv2k8s-controller", INJECTOR] {
            let credential = FederatedCredential::service_account(&issuer, namespace, account);
            azure.app.add_federated_credential(credential);
        }
        Ok(())
    }

    /// Creates a pod whose variable `DB` is `db-password@azurekeyvault`; gives what the API server made of it.
    pub(crate) async fn create_pod(&self, namespace: &str) -> anyhow::Result<Value> {
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "app", "namespace": namespace},
            "spec": {"containers": [{
                "name": "app", "image": "app:1", "command": ["env"], "env": [{"name": "DB", "value": "db-password@azurekeyvault"}],
            }]},
        });
        let line = ["create", "-o", "json", "-f", "-"];
        let output = self.cluster.kubectl_with_input(&line, &pod.to_string()).await?;
        serde_json::from_str(&output.success()?).context("kubectl printed no JSON")
    }

    /// Fails unless the program of a pod made now gets this value from the vault.
    pub(crate) async fn injects(&self, injector: &Injector, namespace: &str, value: &str) -> anyhow::Result<()> {
        let pod = self.create_pod(namespace).await?;
        let app = Container::new(&self.cluster, injector, &pod, "app").await?;
        let output = app.run().await?;
        let said = String::from_utf8_lossy(&output.stdout);
        let is_there = said.lines().any(|line| line == format!("DB={value}"));
        ensure!(
            is_there,
            "{said}\n{}\n{}",
            String::from_utf8_lossy(&output.stderr),
            injector.log()
        );
        Ok(())
    }

    pub(crate) async fn kubectl(&self, line: &str) -> anyhow::Result<String> {
        let words: Vec<_> = line.split_whitespace().collect();
        Ok(self.cluster.kubectl(&words).await?.success()?)
    }

    /// Makes a namespace.
    pub(crate) async fn namespace(&self, name: &str) -> anyhow::Result<()> {
        self.kubectl(&format!("create namespace {name}")).await.map(drop)
    }

    /// Applies a file of the examples as it is.
    pub(crate) async fn apply(&self, file: &str) -> anyhow::Result<()> {
        self.run_on(file, "apply").await
    }

    /// The same where its objects name no namespace.
    pub(crate) async fn apply_in(&self, namespace: &str, file: &str) -> anyhow::Result<()> {
        self.run_on(file, &format!("apply --namespace {namespace}")).await
    }

    async fn run_on(&self, file: &str, command: &str) -> anyhow::Result<()> {
        let line = format!("{command} -f {}", path(file).display());
        // The definition may have come a moment ago.
        let mut last = None;
        let done = until(&line, PATIENCE, async || match self.kubectl(&line).await {
            Ok(_) => Some(()),
            Err(error) => {
                last = Some(error);
                None
            }
        });
        let done = done.await;
        done.or_else(|timed_out| Err(last.context(timed_out)?))
    }

    pub(crate) async fn akvs(&self, namespace: &str, name: &str) -> anyhow::Result<AzureKeyVaultSecret> {
        let api: Api<AzureKeyVaultSecret> = Api::namespaced(self.cluster.client()?, namespace);
        Ok(api.get(name).await?)
    }

    /// The value under `password` of a Secret, if it is there.
    pub(crate) async fn value(&self, namespace: &str, name: &str) -> anyhow::Result<Option<String>> {
        let api: Api<Secret> = Api::namespaced(self.cluster.client()?, namespace);
        let Some(secret) = api.get_opt(name).await? else {
            return Ok(None);
        };
        let value = secret.data.unwrap_or_default().remove("password");
        Ok(Some(String::from_utf8(value.context("it has a password")?.0)?))
    }

    /// Waits until the object has this reason.
    pub(crate) async fn becomes(
        &self,
        namespace: &str,
        name: &str,
        reason: &str,
    ) -> anyhow::Result<AzureKeyVaultSecret> {
        let what = format!("{namespace}/{name} to be {reason}");
        let found = until(&what, PATIENCE, async || {
            let akvs = self.akvs(namespace, name).await.ok()?;
            let ready = condition::get(&akvs.status.as_ref()?.conditions, condition::READY)?;
            (ready.reason == reason).then_some(akvs.clone())
        });
        match found.await {
            Ok(akvs) => Ok(akvs),
            Err(error) => {
                let status = self.akvs(namespace, name).await?.status;
                Err(anyhow::Error::new(error).context(format!("{status:?}")))
            }
        }
    }

    /// Waits until the Secret holds `value`.
    pub(crate) async fn holds(&self, namespace: &str, name: &str, value: &str) -> anyhow::Result<()> {
        let what = format!("the Secret {namespace}/{name} to hold {value}");
        let holds = async || (self.value(namespace, name).await.ok()?? == value).then_some(());
        Ok(until(&what, PATIENCE, holds).await?)
    }
}

/// The examples' tenant with their application, which alone may read their vault.
pub(crate) struct Azure {
    pub(crate) emulator: Emulator,
    pub(crate) vault: VaultHandle,
    pub(crate) app: AppHandle,
    /// Stands for the root of a node, too.
    pub(crate) folder: TempDir,
}

impl Azure {
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let emulator = Emulator::start(Options::default()).await?;
        let app = emulator.entra().register(Principal {
            tenant_id: TENANT.to_owned(),
            client_id: CLIENT.to_owned(),
            object_id: "77777777-7777-7777-7777-777777777777".to_owned(),
        });
        let vault = emulator.vault(VAULT);
        vault.set_tenant(TENANT);
        vault.grant(app.principal(), Role::SecretsUser);
        let folder = tempfile::tempdir()?;
        emulator.write_ca_file(&folder.path().join("ca.pem"))?;
        emulator.write_cloud_file(&folder.path().join("cloud.json"))?;
        Ok(Self {
            emulator,
            vault,
            app,
            folder,
        })
    }

    pub(crate) fn set(&self, name: &str, value: &str) -> anyhow::Result<()> {
        self.vault.set_secret(name, value, SecretOptions::default())?;
        Ok(())
    }

    /// What a program has to know of an Azure that is not Azure.
    fn known_to(&self, launch: Launch) -> Launch {
        let file = |name: &str| self.folder.path().join(name).display().to_string();
        launch
            .env("AZURE_ENVIRONMENT", "AzureStackCloud")
            .env("AZURE_ENVIRONMENT_FILEPATH", &file("cloud.json"))
            .env("SSL_CERT_FILE", &file("ca.pem"))
    }
}
