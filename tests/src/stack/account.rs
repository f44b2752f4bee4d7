//! What a pod of a ServiceAccount finds in its container: tokens, and how the API server is reached.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use serde_json::json;
use tokio::task::AbortHandle;

use crate::controlplane::ControlPlane;

/// The audience of the tokens that Entra exchanges.
const ENTRA_AUDIENCE: &str = "api://AzureADTokenExchange";
/// Tokens live for an hour.
const TOKEN_REFRESH: Duration = Duration::from_mins(30);

/// The files of a ServiceAccount, kept fresh for as long as this lives.
pub(super) struct Account {
    files: Files,
    refresh: AbortHandle,
}

impl Account {
    /// Writes everything to `folder`.
    pub(super) async fn new(
        cluster: &ControlPlane,
        namespace: &str,
        name: &str,
        folder: &Path,
    ) -> anyhow::Result<Self> {
        std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        let files = Files(folder.to_owned());
        files.write_tokens(&tokens(cluster, namespace, name).await?)?;
        files.write_kubeconfig(cluster, namespace)?;
        let kubeconfig = cluster.kubeconfig().to_owned();
        let refresh = tokio::spawn(keep_tokens_fresh(
            kubeconfig,
            namespace.to_owned(),
            name.to_owned(),
            files.clone(),
        ));
        Ok(Self {
            files,
            refresh: refresh.abort_handle(),
        })
    }

    /// A kubeconfig by which its holder is the ServiceAccount.
    pub(super) fn kubeconfig(&self) -> PathBuf {
        self.files.kubeconfig()
    }

    /// The file with the token that Entra exchanges.
    pub(super) fn entra_token(&self) -> PathBuf {
        self.files.entra_token()
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        self.refresh.abort();
    }
}

#[derive(Clone)]
struct Files(PathBuf);

impl Files {
    fn kubeconfig(&self) -> PathBuf {
        self.0.join("kubeconfig")
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

    fn write_kubeconfig(&self, cluster: &ControlPlane, namespace: &str) -> anyhow::Result<()> {
        let user = json!({"tokenFile": self.api_server_token()});
        let text = cluster.kubeconfig_with(user).in_namespace(namespace).to_string();
        std::fs::write(self.kubeconfig(), text).context("cannot write a kubeconfig")
    }
}

/// One token per audience.
struct Tokens {
    entra: String,
    api_server: String,
}

async fn tokens(cluster: &ControlPlane, namespace: &str, name: &str) -> anyhow::Result<Tokens> {
    let issuer = cluster.issuer().await?;
    Ok(Tokens {
        entra: cluster.service_account_token(namespace, name, ENTRA_AUDIENCE).await?,
        api_server: cluster.service_account_token(namespace, name, &issuer).await?,
    })
}

/// Does the kubelet's part. A failure is tried again: the API server may be away.
async fn keep_tokens_fresh(kubeconfig: PathBuf, namespace: String, name: String, files: Files) {
    loop {
        tokio::time::sleep(TOKEN_REFRESH).await;
        let renewed = async {
            let cluster = ControlPlane::existing(&kubeconfig).await?;
            files.write_tokens(&tokens(&cluster, &namespace, &name).await?)
        };
        if let Err(error) = renewed.await {
            tracing::warn!("tokens not renewed: {error:#}");
        }
    }
}
