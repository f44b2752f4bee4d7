//! The vault, read as whoever runs this program.

use std::path::PathBuf;
use std::sync::Arc;

use akv2k8s_shared::diagnosis::Diagnosis;
use akv2k8s_shared::environment::Environment;
use akv2k8s_shared::environment::common::AUTH_TYPE;
use akv2k8s_shared::http::{HttpClient, Limits};
use akv2k8s_shared::identity::{AuthType, Provider};
use akv2k8s_shared::keyvault::{Fetched, KeyVault, Priority, Settings};
use akv2k8s_shared::reference::ObjectRef;

/// The node's cloud configuration, for `AUTH_TYPE=azureCloudConfig`.
const CLOUD_CONFIG: &str = "/etc/kubernetes/azure.json";

/// All vaults, with one identity.
#[derive(Clone)]
pub(crate) struct Vaults {
    provider: Provider,
    client: KeyVault,
}

/// How to authenticate: what `AUTH_TYPE` says; without it in the order of Microsoft's `DefaultAzureCredential`, which ends with `az login`.
pub(crate) fn auth_type(environment: &Environment) -> Result<AuthType, Box<Diagnosis>> {
    match environment.get(AUTH_TYPE) {
        Some(_) => AuthType::from_environment(environment),
        None => Ok(AuthType::EnvironmentAzidentity),
    }
}

impl Vaults {
    /// Nothing is asked yet.
    pub(crate) fn new(environment: &Environment) -> anyhow::Result<Self> {
        let http = HttpClient::from_environment(environment, Limits::default()).map_err(|error| *error)?;
        let auth_type = auth_type(environment).map_err(|error| *error)?;
        let provider = Provider::new(
            environment.clone(),
            auth_type,
            PathBuf::from(CLOUD_CONFIG),
            http.clone(),
        );
        Ok(Self {
            provider,
            client: KeyVault::new(http, Settings::default()),
        })
    }

    /// Reads `object` as it is now.
    ///
    /// # Errors
    /// There is no identity, or the vault's refusal.
    pub(crate) async fn fetch(&self, object: &ObjectRef) -> Result<Arc<Fetched>, Box<Diagnosis>> {
        let identity = self.provider.identity().await?;
        let fetched = self.client.get(&identity, object, Priority::New).await;
        fetched.map_err(|error| Box::new(error.diagnosis))
    }
}
