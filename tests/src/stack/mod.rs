//! Everything at once: a control plane, an emulator that trusts its tokens, and the real programs between them.
//!
//! The programs run as they would in a cluster: each as its ServiceAccount in `akv2k8s`, with the rights of `examples/install` and no
//! others, and with workload identity.

mod account;
mod controller;
mod deployed;
mod injector;
mod launch;
mod measured;
mod pod;
mod program;
pub mod rights;

use std::path::PathBuf;

use anyhow::Context;
use tempfile::TempDir;

use self::account::Account;
pub use self::controller::Controller;
pub use self::deployed::{Deployed, Surroundings};
pub use self::injector::{INJECTOR, Injector, prepared_namespace, prepares};
pub use self::launch::Launch;
pub use self::measured::{Connection, MeasuredInjector};
pub use self::pod::{
    CONTROLLER_POD, WORKLOAD_IDENTITY_WEBHOOK, answer_for, deployment, install_controller_pod, own_address,
};
pub(crate) use self::program::build_in;
pub use self::program::{Profile, cli_program, controller_program, guest_program, injector_program, wrapper_program};
use crate::controlplane::ControlPlane;
use crate::emulator::{AppHandle, Emulator, FederatedCredential, Options, Role, VaultHandle};
use crate::hardened;

/// Where controller and env injector are installed.
pub const NAMESPACE: &str = "akv2k8s";
/// The ServiceAccount it runs as.
pub const SERVICE_ACCOUNT: &str = "akv2k8s-controller";

/// What is left of its right to write Secrets and ConfigMaps.
const POLICY: &str = include_str!("../../../examples/install/controller-policy.yaml");

/// The files that vault and Entra are found and believed by.
const CA: &str = "ca.pem";
const CLOUD: &str = "cloud.json";

/// A control plane and an emulator, introduced to each other.
pub struct Stack {
    /// The control plane, with the API type and the controller's rights installed.
    pub cluster: ControlPlane,
    /// The emulator, which trusts the control plane's tokens.
    pub emulator: Emulator,
    /// Who the controller, and the env injector, are at Entra.
    pub app: AppHandle,
    account: Account,
    /// Whether the controller runs as with `profile: hardened`; not where a test gives it rights of its own.
    is_hardened: bool,
    // Dropped last.
    folder: TempDir,
}

impl Stack {
    /// Starts both and installs the API type and the controller's rights.
    pub async fn start() -> anyhow::Result<Self> {
        Self::with(Options::default()).await
    }

    /// The same with an emulator started in another way.
    pub async fn with(options: Options) -> anyhow::Result<Self> {
        let is_hardened = hardened::is_on();
        let usual = include_str!("../../../examples/install/controller-rbac.yaml");
        let mut stack = Self::build(options, if is_hardened { hardened::RIGHTS } else { usual }).await?;
        stack.is_hardened = is_hardened;
        Ok(stack)
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
        cluster.kubectl_apply(POLICY).await?;
        let established = ["wait", "--for=condition=Established", "crd/azurekeyvaultsecrets.spv.no"];
        cluster.kubectl(&established).await?.success()?;

        emulator.entra().trust_issuer_ca(cluster.ca_pem());
        let app = emulator.entra().register_app();
        let folder = TempDir::with_prefix("akv2k8s-stack-").context("cannot make a temporary folder")?;
        emulator.write_ca_file(&folder.path().join(CA))?;
        emulator.write_cloud_file(&folder.path().join(CLOUD))?;
        let account = Account::new(
            &cluster,
            NAMESPACE,
            SERVICE_ACCOUNT,
            &folder.path().join(SERVICE_ACCOUNT),
        )
        .await?;
        let stack = Self {
            cluster,
            emulator,
            app,
            account,
            is_hardened: false,
            folder,
        };
        stack.federate().await?;
        Ok(stack)
    }

    /// Lets the controller's ServiceAccount become [`Self::app`]: the federated credential that its documentation asks for.
    pub async fn federate(&self) -> anyhow::Result<()> {
        self.federate_with(SERVICE_ACCOUNT).await
    }

    async fn federate_with(&self, service_account: &str) -> anyhow::Result<()> {
        let issuer = self.cluster.issuer().await?;
        let credential = FederatedCredential::service_account(&issuer, NAMESPACE, service_account);
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

    /// A file that tells programs of the emulator: `ca.pem` for `SSL_CERT_FILE`, `cloud.json` for `AZURE_ENVIRONMENT_FILEPATH`.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A launch of the controller as it is configured in a cluster; change it, then start it.
    pub fn controller(&self) -> Launch {
        let launch = self
            .launch(controller::PROGRAM, &self.account)
            .env("RUNTIME_NAMESPACE", NAMESPACE);
        if self.is_hardened {
            launch.arg(hardened::FLAG)
        } else {
            launch
        }
    }

    /// Installs and starts the env injector with these variables besides the usual ones; the API server calls it from then on. One at a
    /// time.
    pub async fn injector(&self, variables: &[(&str, &str)]) -> anyhow::Result<Injector> {
        self.injector_with(&[], variables).await
    }

    /// The same with these flags, too.
    pub async fn injector_with(&self, flags: &[&str], variables: &[(&str, &str)]) -> anyhow::Result<Injector> {
        Injector::start(self, flags, variables).await
    }

    /// What both programs are told.
    fn launch(&self, program: launch::Program, account: &Account) -> Launch {
        let path = |path: PathBuf| path.display().to_string();
        let variables = [
            ("AUTH_TYPE", "environment-azidentity".to_owned()),
            ("AZURE_ENVIRONMENT", "AzureStackCloud".to_owned()),
            ("AZURE_ENVIRONMENT_FILEPATH", path(self.file(CLOUD))),
            ("SSL_CERT_FILE", path(self.file(CA))),
            ("AZURE_CLIENT_ID", self.app.client_id().to_owned()),
            ("AZURE_TENANT_ID", self.emulator.entra().tenant_id().to_owned()),
            ("AZURE_FEDERATED_TOKEN_FILE", path(account.entra_token())),
            ("METRICS_ENABLED", "true".to_owned()),
            ("HTTP_PORT", "0".to_owned()),
        ];
        Launch::new(program, self.folder.path(), &account.kubeconfig(), variables)
    }
}
