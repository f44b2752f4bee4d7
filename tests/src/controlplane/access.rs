//! How a cluster is reached.

use std::path::{Path, PathBuf};

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use super::Error;

/// A kubeconfig, and what it says.
#[derive(Clone, Debug)]
pub(super) struct Access {
    pub(super) kubeconfig: PathBuf,
    pub(super) server_url: String,
    pub(super) ca_pem: String,
    config: Config,
}

impl Access {
    /// Reads the current context of a kubeconfig.
    pub(super) async fn read(path: &Path) -> Result<Self, Error> {
        let error = |source| Error::Kubeconfig {
            path: path.display().to_string(),
            source,
        };
        let kubeconfig = Kubeconfig::read_from(path).map_err(error)?;
        let options = KubeConfigOptions::default();
        let config = Config::from_custom_kubeconfig(kubeconfig, &options)
            .await
            .map_err(error)?;
        let authorities = config.root_cert.iter().flatten();
        Ok(Self {
            kubeconfig: path.to_owned(),
            server_url: config.cluster_url.to_string().trim_end_matches('/').to_owned(),
            ca_pem: authorities
                .map(|der| pem::encode(&pem::Pem::new("CERTIFICATE", der.clone())))
                .collect(),
            config,
        })
    }

    /// A client for the runtime it is called in (a client's connections live and die with one).
    pub(super) fn client(&self) -> Result<Client, Error> {
        Client::try_from(self.config.clone()).map_err(Error::api("make a client"))
    }

    /// A client that acts as somebody else.
    pub(super) fn client_as(&self, user: &str, groups: &[&str]) -> Result<Client, Error> {
        let mut config = self.config.clone();
        config.auth_info.impersonate = Some(user.to_owned());
        config.auth_info.impersonate_groups = Some(groups.iter().map(|group| (*group).to_owned()).collect());
        Client::try_from(config).map_err(Error::api(format!("make a client that acts as {user}")))
    }
}
