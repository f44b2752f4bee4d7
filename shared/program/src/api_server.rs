//! How the API server is found, and how long it may be silent.

mod proxy;

use std::path::Path;
use std::time::Duration;

use akv2k8s_shared::environment::Environment;
use anyhow::{Context, anyhow};
use hyper::Uri;
use kube::Config;
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};

/// Longest silence of the API server while a request waits for its answer; it ends requests after a minute itself. A
/// connection that died without a word would else keep its request, and the object behind it, for ever.
pub const ANSWER: Duration = Duration::from_secs(65);
/// Longest silence of a watch; the API server ends one after 290 s.
pub const WATCH: Duration = Duration::from_mins(5);

/// What says which cluster it is. Nothing: the user's kubeconfig, else the pod's ServiceAccount.
#[derive(Debug, Default, Clone, Copy)]
pub struct Place<'a> {
    /// A kubeconfig.
    pub kubeconfig: Option<&'a Path>,
    /// Which context of it, if not its current.
    pub context: Option<&'a str>,
    /// The API server's URL, if not the one that is there: `--master`.
    pub server: Option<&'a str>,
}

/// The cluster to talk to.
///
/// # Errors
/// There is none, or what names it cannot be used.
pub async fn cluster(place: Place<'_>) -> anyhow::Result<Config> {
    let server: Option<Uri> = place
        .server
        .map(|it| it.parse().with_context(|| format!("--master={it:?} is not a URL")))
        .transpose()?;
    match of_kubeconfig(place, server.as_ref()).await {
        Err(error) if place.kubeconfig.is_none() && place.context.is_none() && is_absent(&error) => {
            let cluster = Config::incluster();
            let mut cluster = cluster
                .with_context(|| format!("there is neither a kubeconfig ({error:#}) nor a ServiceAccount to use"))?;
            cluster.cluster_url = server.unwrap_or(cluster.cluster_url);
            Ok(cluster)
        }
        found => found,
    }
}

/// Whether there is no kubeconfig at all. One that is there and cannot be used never leads to another cluster.
fn is_absent(error: &anyhow::Error) -> bool {
    use KubeconfigError::{CurrentContextNotSet, FindPath, ReadConfig};
    matches!(
        error.downcast_ref(),
        Some(FindPath | ReadConfig(..) | CurrentContextNotSet)
    )
}

/// The cluster of a kubeconfig, with the proxy on the way to it.
async fn of_kubeconfig(place: Place<'_>, server: Option<&Uri>) -> anyhow::Result<Config> {
    let (read, name) = match place.kubeconfig {
        Some(path) => (
            Kubeconfig::read_from(path),
            format!("the kubeconfig {}", path.display()),
        ),
        None => (Kubeconfig::read(), "the kubeconfig".to_owned()),
    };
    let kubeconfig = read
        .map_err(without_content)
        .with_context(|| format!("cannot read {name}"))?;
    let own = proxy::of_context(&kubeconfig, place.context).map(str::to_owned);
    let options = KubeConfigOptions {
        context: place.context.map(str::to_owned),
        ..KubeConfigOptions::default()
    };
    let config = Config::from_custom_kubeconfig(kubeconfig, &options).await;
    let mut cluster = config.with_context(|| format!("cannot use {name}"))?;
    if let Some(server) = server {
        cluster.cluster_url = server.clone();
    }
    cluster.proxy_url = proxy::on_the_way(own.as_deref(), &cluster.cluster_url, &Environment::from_process())?;
    Ok(cluster)
}

/// An error of YAML shows lines around the mistake, and there may be a token in them.
fn without_content(error: KubeconfigError) -> anyhow::Error {
    match &error {
        KubeconfigError::Parse(source) => match source.location() {
            Some(at) => anyhow!("it is no kubeconfig: line {}, column {}", at.line(), at.column()),
            None => anyhow!("it is no kubeconfig"),
        },
        _ => error.into(),
    }
}

/// A client for programs that run on and on. It gives up a connection on which an answer is due and nothing comes for `silence`.
///
/// # Errors
/// Its certificates or addresses cannot be used.
pub fn client(cluster: &Config, silence: Duration) -> anyhow::Result<kube::Client> {
    let mut cluster = cluster.clone();
    cluster.read_timeout = Some(silence);
    cluster.reset_reader_on_write = true;
    // The client would keep a refused write back for minutes, and one of the few places for writes with it. The queue tries
    // again, too, and the status says why.
    cluster.default_retry = false;
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
        let client = client(&Config::new(url.parse().unwrap()), Duration::from_millis(200)).unwrap();
        let answer = tokio::time::timeout(Duration::from_secs(30), client.apiserver_version()).await;
        assert!(answer.expect("it does not wait for ever").is_err());
    }

    #[tokio::test]
    async fn a_kubeconfig_that_cannot_be_used_is_an_error_and_never_another_cluster() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config");
        let error = async || {
            let place = Place {
                kubeconfig: Some(&file),
                ..Place::default()
            };
            of_kubeconfig(place, None).await.unwrap_err()
        };
        assert!(is_absent(&error().await), "there is no file");
        std::fs::write(&file, "{apiVersion: v1, kind: Config}").unwrap();
        assert!(is_absent(&error().await), "it names no context");

        std::fs::write(&file, "current-context: a\nusers:\n- token: canary\n  x: [canary\n").unwrap();
        let broken = error().await;
        let said = format!("{broken:#}");
        assert!(
            !is_absent(&broken) && said.contains("line ") && !said.contains("canary"),
            "{said}"
        );

        let proxied =
            "{current-context: a, contexts: [{name: a, context: {cluster: a, user: a}}], users: [{name: a, user: {}}],
            clusters: [{name: a, cluster: {server: 'https://a.example', proxy-url: 'ftp://u:canary@b.example'}}]}";
        std::fs::write(&file, proxied).unwrap();
        let proxied = error().await;
        let said = format!("{proxied:#}");
        assert!(
            !is_absent(&proxied) && said.contains("socks5://") && !said.contains("canary"),
            "{said}"
        );
    }

    #[tokio::test]
    async fn the_proxy_is_that_on_the_way_to_the_server_that_was_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config");
        std::fs::write(
            &file,
            "{current-context: a, contexts: [{name: a, context: {cluster: a, user: a}}], users: [{name: a, user: {}}],
            clusters: [{name: a, cluster: {server: 'https://a.example'}}]}",
        )
        .unwrap();
        let place = Place {
            kubeconfig: Some(&file),
            server: Some("https://b.example:6443"),
            ..Place::default()
        };
        let found = cluster(place).await.unwrap();
        assert_eq!(found.cluster_url.to_string(), "https://b.example:6443/");
        let place = Place {
            server: Some("no URL"),
            ..place
        };
        let error = cluster(place).await.unwrap_err();
        assert!(error.to_string().contains("\"no URL\""), "{error}");
    }
}
