//! Everything at once: a control plane, an emulator that trusts its tokens, and the real controller program between them.
//!
//! The program runs as it would in a cluster: as the ServiceAccount `akv2k8s/akv2k8s-controller`, with the rights of
//! `examples/install/controller-rbac.yaml` and no others, and with workload identity.

mod controller;
mod program;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use serde_json::json;
use tempfile::TempDir;
use tokio::task::AbortHandle;

pub use self::controller::{Controller, Launch};
pub(crate) use self::program::build as build_program;
pub use self::program::{Profile, cli_program, controller_program, wrapper_program};
use crate::controlplane::ControlPlane;
use crate::emulator::{AppHandle, Emulator, FederatedCredential, Options, Role, VaultHandle};

/// Where the controller is installed.
pub const NAMESPACE: &str = "akv2k8s";
/// The ServiceAccount it runs as.
pub const SERVICE_ACCOUNT: &str = "akv2k8s-controller";
/// The audience of the tokens that Entra exchanges.
const ENTRA_AUDIENCE: &str = "api://AzureADTokenExchange";
/// Tokens live for an hour.
const TOKEN_REFRESH: Duration = Duration::from_mins(30);

/// A control plane and an emulator, introduced to each other.
pub struct Stack {
    /// The control plane, with the API type and the controller's rights installed.
    pub cluster: ControlPlane,
    /// The emulator, which trusts the control plane's tokens.
    pub emulator: Emulator,
    /// Who the controller is at Entra.
    pub app: AppHandle,
    folder: TempDir,
    refresh: AbortHandle,
}

impl Stack {
    /// Starts both and installs the API type and the controller's rights.
    pub async fn start() -> anyhow::Result<Self> {
        Self::with(Options::default()).await
    }

    /// The same with an emulator started in another way.
    pub async fn with(options: Options) -> anyhow::Result<Self> {
        Self::build(options, include_str!("../../../examples/install/controller-rbac.yaml")).await
    }

    /// The same with other rights for the controller: manifests (YAML) with its namespace and ServiceAccount.
    pub async fn with_rights(rights: &str) -> anyhow::Result<Self> {
        Self::build(Options::default(), rights).await
    }

    async fn build(options: Options, rights: &str) -> anyhow::Result<Self> {
        let cluster = ControlPlane::start().await?;
        let emulator = Emulator::start(options).await?;
        cluster.kubectl_apply(&akv2k8s_shared::api::crd_yaml()).await?;
        cluster.kubectl_apply(rights).await?;
        let established = ["wait", "--for=condition=Established", "crd/azurekeyvaultsecrets.spv.no"];
        cluster.kubectl(&established).await?.success()?;

        emulator.entra().trust_issuer_ca(cluster.ca_pem());
        let app = emulator.entra().register_app();
        let folder = TempDir::with_prefix("akv2k8s-stack-").context("cannot make a temporary folder")?;
        let files = Files(folder.path());
        emulator.write_ca_file(&files.ca())?;
        emulator.write_cloud_file(&files.cloud())?;
        files.write_tokens(&tokens(&cluster).await?)?;
        files.write_kubeconfig(&cluster)?;
        let refresh = tokio::spawn(keep_tokens_fresh(
            cluster.kubeconfig().to_owned(),
            folder.path().to_owned(),
        ));
        let stack = Self {
            cluster,
            emulator,
            app,
            folder,
            refresh: refresh.abort_handle(),
        };
        stack.federate().await?;
        Ok(stack)
    }

    /// Lets the controller's ServiceAccount become [`Self::app`]: the federated credential that its documentation asks for.
    pub async fn federate(&self) -> anyhow::Result<()> {
        let issuer = self.cluster.issuer().await?;
        let credential = FederatedCredential::service_account(&issuer, NAMESPACE, SERVICE_ACCOUNT);
        self.app.add_federated_credential(credential);
        Ok(())
    }

    /// The vault `name`, which the controller may read and list.
    pub fn vault(&self, name: &str) -> VaultHandle {
        let vault = self.emulator.vault(name);
        for role in [Role::SecretsUser, Role::CertificateUser, Role::CryptoUser] {
            vault.grant(self.app.principal(), role);
        }
        vault
    }

    /// A launch of the controller as it is configured in a cluster; change it, then start it.
    pub fn controller(&self) -> Launch {
        let files = Files(self.folder.path());
        let path = |path: PathBuf| path.display().to_string();
        let variables = [
            ("AUTH_TYPE", "environment-azidentity".to_owned()),
            ("AZURE_ENVIRONMENT", "AzureStackCloud".to_owned()),
            ("AZURE_ENVIRONMENT_FILEPATH", path(files.cloud())),
            ("SSL_CERT_FILE", path(files.ca())),
            ("AZURE_CLIENT_ID", self.app.client_id().to_owned()),
            ("AZURE_TENANT_ID", self.emulator.entra().tenant_id().to_owned()),
            ("AZURE_FEDERATED_TOKEN_FILE", path(files.entra_token())),
            ("RUNTIME_NAMESPACE", NAMESPACE.to_owned()),
            ("METRICS_ENABLED", "true".to_owned()),
            ("HTTP_PORT", "0".to_owned()),
        ];
        Launch::new(self.folder.path(), &files.kubeconfig(), variables)
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        self.refresh.abort();
    }
}

/// What the controller finds in its container.
struct Files<'a>(&'a Path);

impl Files<'_> {
    fn ca(&self) -> PathBuf {
        self.0.join("ca.pem")
    }

    fn cloud(&self) -> PathBuf {
        self.0.join("cloud.json")
    }

    fn kubeconfig(&self) -> PathBuf {
        self.0.join("controller.kubeconfig")
    }

    fn entra_token(&self) -> PathBuf {
        self.0.join("entra-token")
    }

    fn api_server_token(&self) -> PathBuf {
        self.0.join("api-server-token")
    }

    /// Replaces both tokens, each at once, as the kubelet does.
    fn write_tokens(&self, tokens: &Tokens) -> anyhow::Result<()> {
        for (path, token) in [
            (self.entra_token(), &tokens.entra),
            (self.api_server_token(), &tokens.api_server),
        ] {
            let fresh = path.with_extension("new");
            std::fs::write(&fresh, token)
                .and_then(|()| std::fs::rename(&fresh, &path))
                .context("cannot write a token")?;
        }
        Ok(())
    }

    fn write_kubeconfig(&self, cluster: &ControlPlane) -> anyhow::Result<()> {
        let authority = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, cluster.ca_pem());
        let document = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "controller",
            "contexts": [{"name": "controller", "context": {"cluster": "cluster", "user": "controller", "namespace": NAMESPACE}}],
            "clusters": [{"name": "cluster", "cluster": {"server": cluster.server_url(), "certificate-authority-data": authority}}],
            "users": [{"name": "controller", "user": {"tokenFile": self.api_server_token()}}],
        });
        std::fs::write(self.kubeconfig(), format!("{document:#}\n")).context("cannot write a kubeconfig")
    }
}

/// One token per audience.
struct Tokens {
    entra: String,
    api_server: String,
}

async fn tokens(cluster: &ControlPlane) -> anyhow::Result<Tokens> {
    let issuer = cluster.issuer().await?;
    Ok(Tokens {
        entra: cluster
            .service_account_token(NAMESPACE, SERVICE_ACCOUNT, ENTRA_AUDIENCE)
            .await?,
        api_server: cluster
            .service_account_token(NAMESPACE, SERVICE_ACCOUNT, &issuer)
            .await?,
    })
}

/// Does the kubelet's part for as long as the stack lives. A failure is tried again: the API server may be away.
async fn keep_tokens_fresh(kubeconfig: PathBuf, folder: PathBuf) {
    loop {
        tokio::time::sleep(TOKEN_REFRESH).await;
        let renewed = async {
            let cluster = ControlPlane::existing(&kubeconfig).await?;
            Files(&folder).write_tokens(&tokens(&cluster).await?)
        };
        if let Err(error) = renewed.await {
            tracing::warn!("tokens not renewed: {error:#}");
        }
    }
}
