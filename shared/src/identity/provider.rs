//! The identity of a process, as its variables and files say **now**: what is missing may appear, and what is there may change.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::Request;
use hyper::body::Bytes;
use tokio::sync::Mutex;
use tokio::time::Instant;
use tracing::{info, warn};

use super::choice::{Choice, CloudConfigFile, Files, choose};
use super::{AuthType, Identity, Method, azure_cli, cloud_config};
use crate::diagnosis::Diagnosis;
use crate::environment::Environment;
use crate::http::HttpClient;
use crate::secret::SecretBytes;

/// How old an answer may be: files are looked at again after this time.
const FRESH: Duration = Duration::from_secs(1);

/// Off Azure nothing answers at the metadata service's address; on Azure it is on the same machine.
const PROBE: Duration = Duration::from_secs(1);

/// Gives the identity to use. Cheap to clone, cheap to ask.
#[derive(Clone)]
pub struct Provider(Arc<Inner>);

struct Inner {
    environment: Environment,
    auth_type: AuthType,
    cloud_config: PathBuf,
    http: HttpClient,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    looked: Option<Instant>,
    outcome: Option<Result<Current, Box<Diagnosis>>>,
    /// Whether the metadata service was found to be there.
    has_imds: bool,
}

#[derive(Clone)]
struct Current {
    /// By which a change is noticed.
    choice: Choice,
    identity: Identity,
}

impl Provider {
    /// Looks at nothing yet. `cloud_config` is the path of `azure.json`, read with [`AuthType::AzureCloudConfig`] only.
    pub fn new(environment: Environment, auth_type: AuthType, cloud_config: PathBuf, http: HttpClient) -> Self {
        Self(Arc::new(Inner {
            environment,
            auth_type,
            cloud_config,
            http,
            state: Mutex::default(),
        }))
    }

    /// Who this process is now. The same identity as before, with its tokens, while nothing changed; each change is logged.
    ///
    /// # Errors
    /// Nobody, and why. Asking again later may go better, without a restart.
    pub async fn identity(&self) -> Result<Identity, Box<Diagnosis>> {
        let inner = &*self.0;
        let mut state = inner.state.lock().await;
        if let Some(outcome) = &state.outcome
            && state.looked.is_some_and(|looked| looked.elapsed() < FRESH)
        {
            return told(outcome);
        }
        let found = inner.look(&mut state.has_imds).await;
        let outcome = match (found, &state.outcome) {
            (Ok(choice), Some(Ok(current))) if current.choice == choice => Ok(current.clone()),
            (Ok(choice), _) => Identity::from_choice(&choice, &inner.environment, &inner.http).map(|identity| {
                announce(&choice);
                Current { choice, identity }
            }),
            (Err(diagnosis), _) => Err(diagnosis),
        };
        state.looked = Some(Instant::now());
        told(state.outcome.insert(outcome))
    }
}

fn told(outcome: &Result<Current, Box<Diagnosis>>) -> Result<Identity, Box<Diagnosis>> {
    outcome
        .as_ref()
        .map(|current| current.identity.clone())
        .map_err(Clone::clone)
}

fn announce(choice: &Choice) {
    let who = choice.info();
    info!(
        method = who.method.as_str(),
        client_id = who.client_id,
        tenant_id = who.tenant_id,
        cloud = choice.cloud().name,
        reason = choice.reason(),
        "identity chosen"
    );
    for note in choice.not_used() {
        if who.method == Method::ClientSecret {
            warn!("{note}");
        } else {
            info!("{note}");
        }
    }
}

impl Inner {
    async fn look(&self, has_imds: &mut bool) -> Result<Choice, Box<Diagnosis>> {
        let files = Files {
            cloud_config: match self.auth_type {
                AuthType::AzureCloudConfig => Some(read(&self.cloud_config).await),
                _ => None,
            },
            azure_cli: match self.auth_type {
                AuthType::AzureCli | AuthType::EnvironmentAzidentity => {
                    self.environment.get("PATH").and_then(azure_cli::find)
                }
                _ => None,
            },
        };
        let choice = choose(self.auth_type, &self.environment, &files)?;
        match choice.otherwise() {
            Some(otherwise) if !self.answers(&choice, has_imds).await => Ok(otherwise.clone()),
            _ => Ok(choice),
        }
    }

    /// Whether anything is there to ask for the managed identity's token. A refusal is an answer, too.
    async fn answers(&self, choice: &Choice, has_imds: &mut bool) -> bool {
        if *has_imds || self.environment.get("IDENTITY_ENDPOINT").is_some() {
            return true;
        }
        let request = Request::get(choice.cloud().imds_endpoint.as_str()).body(Full::new(Bytes::new()));
        if let Ok(request) = request {
            *has_imds = tokio::time::timeout(PROBE, self.http.send(request))
                .await
                .is_ok_and(|answer| answer.is_ok());
        }
        *has_imds
    }
}

async fn read(path: &Path) -> CloudConfigFile {
    let content = async {
        let size = tokio::fs::metadata(path).await?.len();
        if size > cloud_config::MAX_SIZE {
            return Err(std::io::Error::other("it is larger than 10 MiB"));
        }
        tokio::fs::read(path).await.map(SecretBytes::new)
    };
    CloudConfigFile {
        path: path.to_owned(),
        content: content.await.map_err(|error| error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnosis::Code;
    use crate::http::Limits;

    fn provider(auth_type: AuthType, variables: &[(&str, &str)], cloud_config: &Path) -> Provider {
        let http = HttpClient::from_environment(&Environment::default(), Limits::default()).unwrap();
        let environment = variables.iter().copied().collect();
        Provider::new(environment, auth_type, cloud_config.to_owned(), http)
    }

    /// Lets an answer grow old.
    async fn later() {
        tokio::time::sleep(FRESH).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_cloud_config_file_that_appears_changes_and_goes_is_followed_without_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("azure.json");
        let provider = provider(AuthType::AzureCloudConfig, &[], &path);
        let missing = provider.identity().await.unwrap_err();
        assert_eq!(missing.code, Code::CloudConfigUnreadable);
        assert!(missing.to_string().contains("azure.json"), "{missing}");

        std::fs::write(
            &path,
            r#"{"tenantId": "t", "aadClientId": "c-1", "aadClientSecret": "s"}"#,
        )
        .unwrap();
        later().await;
        let first = provider.identity().await.unwrap();
        assert_eq!(first.info().client_id.as_deref(), Some("c-1"));
        later().await;
        assert_eq!(provider.identity().await.unwrap(), first, "nothing changed");

        std::fs::write(
            &path,
            r#"{"useManagedIdentityExtension": true, "userAssignedIdentityID": "u"}"#,
        )
        .unwrap();
        later().await;
        let second = provider.identity().await.unwrap();
        assert_eq!(
            (second.info().method, second.info().client_id.as_deref()),
            (Method::ManagedIdentity, Some("u"))
        );

        std::fs::remove_file(&path).unwrap();
        later().await;
        assert!(provider.identity().await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn files_are_looked_at_once_a_second_at_most() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("azure.json");
        let provider = provider(AuthType::AzureCloudConfig, &[], &path);
        assert!(provider.identity().await.is_err());
        std::fs::write(&path, r#"{"useManagedIdentityExtension": true}"#).unwrap();
        assert!(provider.identity().await.is_err(), "the answer is fresh");
        later().await;
        assert!(provider.identity().await.is_ok());
    }
}
