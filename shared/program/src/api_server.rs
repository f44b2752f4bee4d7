//! How the API server is found, and how long it may be silent.

use std::path::Path;
use std::time::Duration;

use anyhow::Context;

/// Longest silence of the API server while a request waits for its answer; it ends requests after a minute itself. A
/// connection that died without a word would else keep its request, and the object behind it, for ever.
pub const ANSWER: Duration = Duration::from_secs(65);
/// Longest silence of a watch; the API server ends one after 290 s.
pub const WATCH: Duration = Duration::from_mins(5);

/// The cluster to talk to: kubeconfig, else the pod's ServiceAccount.
pub async fn cluster(kubeconfig: Option<&Path>) -> anyhow::Result<kube::Config> {
    use kube::config::{KubeConfigOptions, Kubeconfig};
    let mut cluster = match kubeconfig {
        Some(path) => {
            let kubeconfig = Kubeconfig::read_from(path)
                .with_context(|| format!("cannot read the kubeconfig {}", path.display()))?;
            kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
                .await
                .with_context(|| format!("cannot use the kubeconfig {}", path.display()))?
        }
        None => kube::Config::infer()
            .await
            .context("there is neither a kubeconfig nor a ServiceAccount to use")?,
    };
    // The client would keep a refused write back for minutes, and one of the few places for writes with it. The queue tries
    // again, too, and the status says why.
    cluster.default_retry = false;
    Ok(cluster)
}

/// A client that gives up a connection on which an answer is due and nothing comes for `silence`.
///
/// # Errors
/// Its certificates or addresses cannot be used.
pub fn client(cluster: &kube::Config, silence: Duration) -> anyhow::Result<kube::Client> {
    let mut cluster = cluster.clone();
    cluster.read_timeout = Some(silence);
    cluster.reset_reader_on_write = true;
    kube::Client::try_from(cluster).context("cannot set up the Kubernetes client")
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn an_api_server_that_accepts_and_never_answers_is_given_up() {
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", silent.local_addr().unwrap());
        let client = client(&kube::Config::new(url.parse().unwrap()), Duration::from_millis(200)).unwrap();
        let answer = tokio::time::timeout(Duration::from_secs(30), client.apiserver_version()).await;
        assert!(answer.expect("it does not wait for ever").is_err());
    }
}
