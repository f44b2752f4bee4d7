//! The proxy on the way to the API server.

use akv2k8s_shared::environment::Environment;
use akv2k8s_shared::environment::common::HTTPS_PROXY;
use akv2k8s_shared::http::is_excepted;
use anyhow::{Context, bail};
use hyper::Uri;
use kube::config::Kubeconfig;

/// `proxy-url` of the cluster that `context`, else the current one, is for.
pub(super) fn of_context<'a>(kubeconfig: &'a Kubeconfig, context: Option<&str>) -> Option<&'a str> {
    let context = context.or(kubeconfig.current_context.as_deref())?;
    let context = kubeconfig.contexts.iter().find(|it| it.name == context)?;
    let cluster = &context.context.as_ref()?.cluster;
    let cluster = kubeconfig.clusters.iter().find(|it| it.name == *cluster)?;
    let own = cluster.cluster.as_ref()?.proxy_url.as_deref();
    own.filter(|it| !it.is_empty())
}

/// The proxy on the way to `destination`, if there is to be one: the kubeconfig's `own`, which nothing excepts from, else that of `HTTPS_PROXY`, unless
/// `NO_PROXY` or loopback do. kube compares `NO_PROXY` with the proxy.
///
/// # Errors
/// Its address cannot be used. It may hold a password, so no error has it.
pub(super) fn on_the_way(
    own: Option<&str>,
    destination: &Uri,
    environment: &Environment,
) -> anyhow::Result<Option<Uri>> {
    match (own, environment.get_in_any_case(HTTPS_PROXY)) {
        (Some(own), _) => parse(own, "proxy-url").map(Some),
        (None, Some(proxy)) if !is_excepted(environment, destination) => parse(proxy, "HTTPS_PROXY").map(Some),
        (None, _) => Ok(None),
    }
}

fn parse(address: &str, from: &str) -> anyhow::Result<Uri> {
    let whole = if address.contains("://") {
        address.to_owned()
    } else {
        format!("http://{address}")
    };
    let url: Uri = whole
        .parse()
        .with_context(|| format!("{from}, for the way to the API server, is no URL: write http://HOST:PORT"))?;
    let has_user = url.authority().is_some_and(|it| it.as_str().contains('@'));
    match url.scheme_str() {
        Some("http" | "https") => Ok(url),
        // kube would leave the user out, and take port 80.
        Some("socks5") if !has_user && url.port().is_some() => Ok(url),
        _ => bail!(
            "{from}, for the way to the API server, has to be http://HOST:PORT, https://HOST:PORT, or socks5://HOST:PORT without a user"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn way_to(destination: &'static str, own: Option<&str>, variables: &[(&str, &str)]) -> Option<String> {
        let environment = variables.iter().copied().collect();
        let way = on_the_way(own, &Uri::from_static(destination), &environment);
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
        assert_eq!(way("https://aks.example:443", "*.example"), None);
        assert_eq!(way("https://10.0.0.1:443", "10.0.0.0/8"), None);
        assert_eq!(way("https://127.0.0.1:6443", ""), None);
        // Without TLS the token would be for the proxy to read.
        assert_eq!(way("http://aks.example", ""), None);
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
    fn an_address_that_cannot_be_used_is_named_without_its_password() {
        for address in [
            "socks5h://u:canary@proxy:1080",
            "socks5://u:canary@proxy:1080",
            "socks5://proxy",
            "ftp://u:canary@proxy",
            "http://u:canary@pro xy",
        ] {
            let error = on_the_way(
                Some(address),
                &Uri::from_static("https://aks.example"),
                &Environment::default(),
            );
            let said = format!("{:#}", error.unwrap_err());
            assert!(
                said.contains("proxy-url") && !said.contains("canary"),
                "{address}: {said}"
            );
        }
    }

    #[test]
    fn the_kubeconfigs_proxy_is_that_of_the_context() {
        let kubeconfig = Kubeconfig::from_yaml(
            "{current-context: a, contexts: [{name: a, context: {cluster: a}}, {name: b, context: {cluster: b}}, {name: c, context: {cluster: c}}],
            clusters: [{name: a, cluster: {proxy-url: 'http://a'}}, {name: b, cluster: {proxy-url: 'http://b'}}, {name: c, cluster: {proxy-url: ''}}]}",
        )
        .unwrap();
        assert_eq!(of_context(&kubeconfig, None), Some("http://a"));
        assert_eq!(of_context(&kubeconfig, Some("b")), Some("http://b"));
        assert_eq!(of_context(&kubeconfig, Some("c")), None);
        assert_eq!(of_context(&kubeconfig, Some("none")), None);
    }
}
