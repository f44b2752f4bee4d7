//! The vault itself, as whoever the `AZURE_*` variables say.

use std::collections::BTreeMap;
use std::path::PathBuf;

use akv2k8s_shared::api::spec::{Output, Vault};
use akv2k8s_shared::diagnosis::{Diagnosis, Explanation, Retry, case};
use akv2k8s_shared::environment::Environment;
use akv2k8s_shared::environment::common::AUTH_TYPE;
use akv2k8s_shared::http::{HttpClient, Limits};
use akv2k8s_shared::identity::{AuthType, Provider};
use akv2k8s_shared::injection::names;
use akv2k8s_shared::injection::reference::Reference;
use akv2k8s_shared::injection::source::Source;
use akv2k8s_shared::injection::value;
use akv2k8s_shared::keyvault::{KeyVault, Settings};
use akv2k8s_shared::secret::SecretBytes;
use futures::future::join_all;
use serde::Deserialize;
use tokio::time::Instant;

use super::Values;
use super::api_server::ApiServer;
use crate::failure::Failure;
use crate::settings::{Direct, misconfigured};

/// The node's cloud configuration, for `AUTH_TYPE=azureCloudConfig`.
const CLOUD_CONFIG: &str = "/etc/kubernetes/azure.json";

/// Where Kubernetes mounts token, authority and namespace of a ServiceAccount:
/// <https://kubernetes.io/docs/tasks/run-application/access-api-from-pod/>.
const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// What the injector needs of the `spec` of an AKVS.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Spec {
    vault: Vault,
    output: Option<Output>,
}

/// Where specs are looked up.
enum Specs {
    Embedded(BTreeMap<String, Spec>),
    ApiServer(Box<ApiServer>),
}

/// The vault.
pub(crate) struct DirectSource {
    specs: Specs,
    provider: Provider,
    vaults: KeyVault,
    started: Instant,
}

impl DirectSource {
    /// Nothing is asked yet.
    pub(crate) fn new(direct: Direct, environment: &Environment) -> Result<Self, Failure> {
        let http = HttpClient::from_environment(environment, Limits::default()).map_err(|it| Failure::of(*it))?;
        // The variable may be the program's own; only what is ours is taken for ours. Without it: akv2k8s's order.
        let auth_type = environment
            .get(AUTH_TYPE)
            .and_then(|_| AuthType::from_environment(environment).ok())
            .unwrap_or(AuthType::Environment);
        let specs = match direct {
            Direct::Embedded(text) => Specs::Embedded(
                serde_json::from_str(&text)
                    .map_err(|error| misconfigured(format!("{} cannot be read: {error}.", names::SPECS)))?,
            ),
            Direct::ApiServer(namespace) => {
                Specs::ApiServer(Box::new(ApiServer::new(environment, SERVICE_ACCOUNT, namespace)))
            }
        };
        Ok(Self {
            specs,
            provider: Provider::new(
                environment.clone(),
                auth_type,
                PathBuf::from(CLOUD_CONFIG),
                http.clone(),
            ),
            vaults: KeyVault::new(http, Settings::default()),
            started: Instant::now(),
        })
    }

    /// All at once; of several failures the first.
    pub(crate) async fn values(&self, references: &BTreeMap<&str, &Reference>) -> Result<Values, Failure> {
        let specs = self.specs(references).await?;
        let one = async |text: &str, reference: &Reference| {
            let value = self
                .value(&specs, reference)
                .await
                .map_err(|failure| failure.about(text))?;
            Ok((text.to_owned(), value))
        };
        let all = join_all(references.iter().map(|(text, reference)| one(text, reference))).await;
        all.into_iter().collect()
    }

    /// The specs of all AKVS that are named, each looked up once.
    async fn specs(&self, references: &BTreeMap<&str, &Reference>) -> Result<BTreeMap<String, Spec>, Failure> {
        let mut named = BTreeMap::new();
        for (text, reference) in references {
            if let Reference::Akvs { name, .. } = reference {
                named.entry(name.as_str()).or_insert(*text);
            }
        }
        let one = async |name: &str, text: &str| {
            let spec = match &self.specs {
                // Those that were there at admission are all that will ever be.
                Specs::Embedded(specs) => specs
                    .get(name)
                    .cloned()
                    .ok_or_else(|| not_found(name, case::AkvsNotThereThen).with(Retry::Slowly)),
                Specs::ApiServer(server) => server.spec(name).await,
            };
            Ok((name.to_owned(), spec.map_err(|failure| failure.about(text))?))
        };
        let all = join_all(named.into_iter().map(|(name, text)| one(name, text))).await;
        all.into_iter().collect()
    }

    async fn value(&self, specs: &BTreeMap<String, Spec>, reference: &Reference) -> Result<SecretBytes, Failure> {
        let source = match reference {
            Reference::Direct { object, .. } => Source::direct(object.clone()),
            Reference::Akvs { name, .. } => {
                let spec = &specs[name];
                Source::of(&spec.vault, spec.output.as_ref()).map_err(|it| Failure::of(*it))?
            }
        };
        let identity = self.provider.identity().await.map_err(|it| Failure::of(*it))?;
        value::read(&self.vaults, &identity, &source, reference.query(), self.started)
            .await
            .map(|read| read.value)
            .map_err(|error| Failure::of(error.diagnosis).with(error.retry))
    }
}

/// There is no such AKVS.
pub(super) fn not_found(name: &str, why: impl Into<Explanation>) -> Failure {
    Failure::passing(Diagnosis::case(
        why,
        format!("There is no AzureKeyVaultSecret '{name}' in the pod's namespace."),
    ))
}
