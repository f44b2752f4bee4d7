//! What the tests here share.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use akv2k8s_shared::api::{AzureKeyVaultSecret, Condition, condition};
use akv2k8s_testbed::emulator::{AppHandle, FederatedCredential, Role, SecretOptions, VaultHandle};
use akv2k8s_testbed::gate::{Gate, Moment, Verdict};
use akv2k8s_testbed::proxy::Proxy;
use akv2k8s_testbed::stack::{Controller, Launch, Stack};
use akv2k8s_testbed::wait::until;
use anyhow::Context;
use futures::FutureExt;
use futures::future::BoxFuture;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;

/// What the platform team applies once.
pub(crate) const CLUSTER: &str = include_str!("../../../examples/isolation/01-cluster.yaml");
/// What it applies for the namespace `shop`.
const NAMESPACE: &str = include_str!("../../../examples/isolation/02-namespace.yaml");
/// What the team applies in it.
const TEAM: &str = include_str!("../../../examples/isolation/03-team.yaml");
/// For what takes seconds on a machine with nothing else to do: a period of a second, 5 s of keeping what was refused.
pub(crate) const PATIENCE: Duration = Duration::from_mins(2);

/// Writes down what is asked about ServiceAccounts.
#[derive(Default)]
pub(crate) struct Notes(Mutex<Vec<String>>);

impl Gate for Notes {
    fn pass<'a>(&'a self, moment: Moment, request: &'a str) -> BoxFuture<'a, Verdict> {
        if moment == Moment::Arrived && request.contains("/serviceaccounts/") {
            self.lines().push(request.to_owned());
        }
        async { Verdict::Pass }.boxed()
    }
}

impl Notes {
    fn lines(&self) -> std::sync::MutexGuard<'_, Vec<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Requests about ServiceAccounts of any kind.
    pub(crate) fn all(&self) -> usize {
        self.lines().len()
    }

    /// Requests for tokens of ServiceAccounts of `namespace`.
    pub(crate) fn tokens(&self, namespace: &str) -> usize {
        let path = format!("/namespaces/{namespace}/serviceaccounts/");
        let lines = self.lines();
        let asks = |line: &&String| line.starts_with("POST ") && line.contains(&path) && line.contains("/token");
        lines.iter().filter(asks).count()
    }
}

/// A cluster with the examples applied, and the real program in it, whose requests are written down.
pub(crate) struct Bed {
    pub(crate) stack: Stack,
    pub(crate) notes: Arc<Notes>,
    proxy: Proxy,
}

impl Bed {
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let stack = Stack::start().await?;
        stack.cluster.kubectl_apply(CLUSTER).await?;
        let notes = Arc::new(Notes::default());
        let proxy = Proxy::start(&stack.cluster, notes.clone()).await?;
        Ok(Self { stack, notes, proxy })
    }

    /// The program with `--service-account-identities`, as its own restricted user, logging all it can.
    pub(crate) async fn controller(&self) -> anyhow::Result<Controller> {
        self.launch().arg("--service-account-identities").start().await
    }

    /// The same without the flag, to be started.
    pub(crate) fn launch(&self) -> Launch {
        let launch = self.stack.controller().arg("-v=9").arg("--azure-resync-period=1");
        launch.arg(&format!("--master={}", self.proxy.url()))
    }

    /// An application that has a federated credential for `vault-reader` of `namespace`.
    pub(crate) async fn app(&self, namespace: &str) -> anyhow::Result<AppHandle> {
        let app = self.stack.emulator.entra().register_app();
        self.federate(&app, namespace).await?;
        Ok(app)
    }

    pub(crate) async fn federate(&self, app: &AppHandle, namespace: &str) -> anyhow::Result<()> {
        let issuer = self.stack.cluster.issuer().await?;
        app.add_federated_credential(FederatedCredential::service_account(&issuer, namespace, "vault-reader"));
        Ok(())
    }

    /// The vault of the examples, with the secret they name; nobody may read it.
    pub(crate) fn vault(&self, value: &str) -> anyhow::Result<VaultHandle> {
        let vault = self.stack.emulator.vault("akv2k8s-demo");
        vault.set_secret("my-secret", value, SecretOptions::default())?;
        Ok(vault)
    }

    /// Lets `namespace` in, as the platform team does.
    pub(crate) async fn admit(&self, namespace: &str) -> anyhow::Result<()> {
        self.stack.cluster.kubectl_apply(&admitted(namespace)).await?;
        Ok(())
    }

    /// The team's ServiceAccount and AKVS in `namespace`, with this client id.
    pub(crate) async fn team(&self, namespace: &str, client_id: &str) -> anyhow::Result<()> {
        let manifests = TEAM
            .replace("11111111-2222-3333-4444-555555555555", client_id)
            .replace("namespace: shop", &format!("namespace: {namespace}"));
        self.stack.cluster.kubectl_apply(&manifests).await?;
        Ok(())
    }

    /// The team's AKVS, without a ServiceAccount in the namespace.
    pub(crate) async fn akvs_alone(&self, namespace: &str) -> anyhow::Result<()> {
        let (_, akvs) = TEAM.split_once("---").context("the example has two documents")?;
        let akvs = akvs.replace("namespace: shop", &format!("namespace: {namespace}"));
        self.stack.cluster.kubectl_apply(&akvs).await?;
        Ok(())
    }

    pub(crate) async fn kubectl(&self, line: &str) -> anyhow::Result<String> {
        let words: Vec<_> = line.split(' ').collect();
        Ok(self.stack.cluster.kubectl(&words).await?.success()?)
    }

    pub(crate) async fn akvs(&self, namespace: &str) -> anyhow::Result<AzureKeyVaultSecret> {
        let api: Api<AzureKeyVaultSecret> = Api::namespaced(self.stack.cluster.client()?, namespace);
        Ok(api.get("db-password").await?)
    }

    /// Waits until the team's AKVS has this reason; gives the condition.
    pub(crate) async fn wait_for(&self, namespace: &str, reason: &str) -> anyhow::Result<Condition> {
        let what = format!("the AKVS of {namespace} to be {reason}");
        let found = until(&what, PATIENCE, async || {
            let status = self.akvs(namespace).await.ok()?.status?;
            let ready = condition::get(&status.conditions, condition::READY)?;
            (ready.reason == reason).then(|| ready.clone())
        });
        match found.await {
            Ok(ready) => Ok(ready),
            Err(error) => Err(anyhow::Error::new(error).context(format!("{:?}", self.akvs(namespace).await?.status))),
        }
    }

    /// The value in the team's Secret.
    pub(crate) async fn value(&self, namespace: &str) -> Option<String> {
        let api: Api<Secret> = Api::namespaced(self.stack.cluster.client().ok()?, namespace);
        let mut data = api.get_opt("db-password").await.ok()??.data?;
        String::from_utf8(data.remove("password")?.0).ok()
    }

    pub(crate) async fn wait_for_value(&self, namespace: &str, value: &str) -> anyhow::Result<()> {
        let what = format!("the Secret of {namespace} to hold {value}");
        until(&what, PATIENCE, async || {
            (self.value(namespace).await? == value).then_some(())
        })
        .await?;
        Ok(())
    }

    /// Waits until `subject` of `client_id` is who read last.
    pub(crate) async fn wait_for_reader(&self, namespace: &str, client_id: &str) -> anyhow::Result<()> {
        let subject = format!("system:serviceaccount:{namespace}:vault-reader");
        let what = format!("status to say that {client_id} read for {namespace}");
        until(&what, PATIENCE, async || {
            let identity = self.akvs(namespace).await.ok()?.status?.identity?;
            let same = identity.client_id.as_deref() == Some(client_id) && identity.subject.as_ref() == Some(&subject);
            same.then_some(())
        })
        .await?;
        Ok(())
    }
}

/// What the platform team applies for `namespace`.
pub(crate) fn admitted(namespace: &str) -> String {
    NAMESPACE
        .replace("name: shop", &format!("name: {namespace}"))
        .replace("namespace: shop", &format!("namespace: {namespace}"))
}

/// Lets `app` read and list secrets of `vault`.
pub(crate) fn grant(vault: &VaultHandle, app: &AppHandle) {
    vault.grant(app.principal(), Role::SecretsUser);
}
