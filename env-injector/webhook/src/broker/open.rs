//! A broker as the configuration wants it.

use std::sync::Arc;
use std::time::Duration;

use akv2k8s_shared::grants::RuleFile;
use akv2k8s_shared::http::{HttpClient, Limits};
use akv2k8s_shared::identity::Provider;
use akv2k8s_shared::keyvault::{KeyVault, Settings};
use akv2k8s_shared::readers::{Readers, ServiceAccounts};
use tracing::warn;

use super::{Broker, Metrics, Options};
use crate::cluster::Cluster;
use crate::config::Config;

impl Broker {
    /// Reads the vault grants; [`Broker::follow`] goes on from there.
    ///
    /// # Errors
    /// The certificates to trust cannot be read.
    pub async fn open(
        config: &Config,
        client: kube::Client,
        cluster: Cluster,
        metrics: Metrics,
    ) -> anyhow::Result<Arc<Self>> {
        let args = &config.args;
        let options = Options {
            max_age: Duration::from_secs(args.value_max_age),
            max_stale: Duration::from_secs(args.value_max_stale),
        };
        let http = HttpClient::from_environment(&config.environment, Limits::default())?;
        let environment = config.environment.clone();
        let identity = Provider::new(environment, config.auth_type, args.cloudconfig.clone(), http.clone());
        let settings = Settings {
            answers_kept: options.max_age,
            ..Settings::default()
        };
        let grants = Arc::new(RuleFile::new(args.vault_grants.clone()));
        if let Err(problem) = grants.load().await {
            warn!(code = problem.code.as_str(), error = %problem, "vault grants cannot be used");
        }
        let accounts = args
            .service_account_identities
            .then(|| ServiceAccounts::new(client.clone(), identity.clone(), http.clone()));
        let (vault, readers) = (KeyVault::new(http, settings), Readers::new(identity, accounts));
        let broker = Self::new(client, cluster, vault, readers, grants, metrics, &options);
        Ok(Arc::new(broker))
    }
}
