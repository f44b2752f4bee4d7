//! How the API server is found, and how long it may be silent.

use std::path::Path;
use std::time::Duration;

use akv2k8s_shared::environment::Environment;
use akv2k8s_shared::environment::common::HTTPS_PROXY;
use akv2k8s_shared::http::is_direct;
use anyhow::Context;
use hyper::Uri;
use kube::Config;
use kube::config::{KubeConfigOptions, Kubeconfig};

/// Longest silence of the API server while a request waits for its answer; it ends requests after a minute itself. A
/// connection that died without a word would else keep its request, and the object behind it, for ever.
pub const ANSWER: Duration = Duration::from_secs(65);
/// Longest silence of a watch; the API server ends one after 290 s.
pub const WATCH: Duration = Duration::from_mins(5);

/// The cluster to talk to: that of a kubeconfig, else of the pod's ServiceAccount. `context`: which one of the kubeconfig, if not its current.
///
/// # Errors
/// There is none, or what it says cannot be used.
pub async fn cluster(kubeconfig: Option<&Path>, context: Option<&str>) -> anyhow::Result<Config> {
    let is_named = kubeconfig.is_some() || context.is_some();
    match of_kubeconfig(kubeconfig, context).await {
        Err(error) if !is_named => Config::incluster()
            .with_context(|| format!("there is neither a kubeconfig ({error:#}) nor a ServiceAccount to use")),
        found => found,
    }
}

/// The cluster of a kubeconfig: that in `path`, else the user's.
async fn of_kubeconfig(path: Option<&Path>, context: Option<&str>) -> anyhow::Result<Config> {
    let (read, name) = match path {
        Some(path) => (
            Kubeconfig::read_from(path),
            format!("the kubeconfig {}", path.display()),
        ),
        None => (Kubeconfig::read(), "the kubeconfig".to_owned()),
    };
    let kubeconfig = read.with_context(|| format!("cannot read {name}"))?;
    let own = own_proxy(&kubeconfig, context).map(str::to_owned);
    let options = KubeConfigOptions {
        context: context.map(str::to_owned),
        ..KubeConfigOptions::default()
    };
    let config = Config::from_custom_kubeconfig(kubeconfig, &options).await;
    let mut cluster = config.with_context(|| format!("cannot use {name}"))?;
    cluster.proxy_url = proxy(own.as_deref(), &cluster.cluster_url, &Environment::from_process())?;
    Ok(cluster)
}

/// `proxy-url` of the cluster that `context`, else the current one, is for.
fn own_proxy<'a>(kubeconfig: &'a Kubeconfig, context: Option<&str>) -> Option<&'a str> {
    let context = context.or(kubeconfig.current_context.as_deref())?;
    let context = kubeconfig.contexts.iter().find(|it| it.name == context)?;
    let cluster = &context.context.as_ref()?.cluster;
    let cluster = kubeconfig.clusters.iter().find(|it| it.name == *cluster)?;
    cluster
        .cluster
        .as_ref()?
        .proxy_url
        .as_deref()
        .filter(|it| !it.is_empty())
}

/// The proxy on the way to the API server at `destination`, if there is to be one: the kubeconfig's `own`, which nothing excepts from, else that of
/// `HTTPS_PROXY`, unless `NO_PROXY` or loopback do. kube compares `NO_PROXY` with the proxy.
fn proxy(own: Option<&str>, destination: &Uri, environment: &Environment) -> anyhow::Result<Option<Uri>> {
    let proxy = match (own, environment.get_in_any_case(HTTPS_PROXY)) {
        (Some(own), _) => own,
        (None, Some(proxy)) if !is_direct(environment, destination).map_err(|error| *error)? => proxy,
        (None, _) => return Ok(None),
    };
    let url = if proxy.contains("://") {
        proxy.to_owned()
    } else {
        format!("http://{proxy}")
    };
    // It may hold a password.
    Ok(Some(url.parse().context(
        "the address of the proxy of the API server cannot be used",
    )?))
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

    fn way_to(destination: &'static str, own: Option<&str>, variables: &[(&str, &str)]) -> Option<String> {
        let environment = variables.iter().copied().collect();
        let way = proxy(own, &Uri::from_static(destination), &environment);
        way.unwrap().map(|it| it.to_string())
    }

    #[test]
    fn a_proxy_of_the_environment_counts_unless_the_api_server_is_excepted() {
        let way = |destination, exceptions| {
            let proxy = ("https_proxy", "http://proxy.corp:3128");
            way_to(destination, None, &[proxy, ("NO_PROXY", exceptions)])
        };
        let proxied = Some("http://proxy.corp:3128/".to_owned());
        assert_eq!(way("https://aks.example:443", ".other"), proxied);
        // The proxy's own name says nothing of the way to the API server.
        assert_eq!(way("https://aks.example:443", "proxy.corp"), proxied);
        assert_eq!(way("https://aks.example:443", ".other,.example"), None);
        assert_eq!(way("https://10.0.0.1:443", "10.0.0.0/8"), None);
        assert_eq!(way("https://127.0.0.1:6443", ""), None);
        assert_eq!(way_to("https://aks.example:443", None, &[]), None);
    }

    #[test]
    fn a_proxy_of_the_kubeconfig_always_counts() {
        let variables = [("HTTPS_PROXY", "http://proxy.corp:3128"), ("NO_PROXY", "*")];
        let found = way_to("https://127.0.0.1:6443", Some("socks5://127.0.0.1:1080"), &variables);
        assert_eq!(found.as_deref(), Some("socks5://127.0.0.1:1080/"));
    }

    #[test]
    fn a_proxy_without_a_scheme_is_asked_by_http() {
        let found = way_to("https://aks.example:443", None, &[("HTTPS_PROXY", "proxy.corp:3128")]);
        assert_eq!(found.as_deref(), Some("http://proxy.corp:3128/"));
    }

    #[test]
    fn the_kubeconfigs_proxy_is_that_of_the_context() {
        let kubeconfig = Kubeconfig::from_yaml(
            "{current-context: a, contexts: [{name: a, context: {cluster: a}}, {name: b, context: {cluster: b}}, {name: c, context: {cluster: c}}],
            clusters: [{name: a, cluster: {proxy-url: 'http://a'}}, {name: b, cluster: {proxy-url: 'http://b'}}, {name: c, cluster: {proxy-url: ''}}]}",
        )
        .unwrap();
        assert_eq!(own_proxy(&kubeconfig, None), Some("http://a"));
        assert_eq!(own_proxy(&kubeconfig, Some("b")), Some("http://b"));
        assert_eq!(own_proxy(&kubeconfig, Some("c")), None);
        assert_eq!(own_proxy(&kubeconfig, Some("none")), None);
    }
}
