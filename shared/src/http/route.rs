//! Direct, or through the proxy of `HTTPS_PROXY`.

use std::error::Error;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use hyper::Uri;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::proxy::matcher::Matcher;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use tokio::net::TcpStream;
use tower::{Service, ServiceExt};

use super::resolve::Resolver;
use crate::diagnosis::{Diagnosis, case};
use crate::environment::Environment;
use crate::environment::common::{ALL_PROXY, HTTPS_PROXY, NO_PROXY};

type Tcp = HttpConnector<Resolver>;

/// Connects to a host, by way of a `CONNECT` tunnel where the environment asks for one.
///
/// Plain HTTP (only the instance metadata service is asked that way) and loopback never go through a proxy.
#[derive(Clone)]
pub(super) struct Route {
    tcp: Tcp,
    to_proxy: HttpsConnector<Tcp>,
    proxies: Option<Arc<Matcher>>,
}

impl Route {
    pub(super) fn from_environment(
        environment: &Environment,
        tcp: Tcp,
        to_proxy: Tcp,
        tls: &ClientConfig,
    ) -> Result<Self, Box<Diagnosis>> {
        let to_proxy = HttpsConnectorBuilder::new()
            .with_tls_config(tls.clone())
            .https_or_http()
            .enable_http1()
            .wrap_connector(to_proxy);
        Ok(Self {
            tcp,
            to_proxy,
            proxies: matcher(environment)?.map(Arc::new),
        })
    }
}

/// Whether nobody is asked for `destination` by way of the proxy of `HTTPS_PROXY`, whichever that is: `NO_PROXY` names it, it is loopback, or it is
/// asked without TLS.
pub fn is_excepted(environment: &Environment, destination: &Uri) -> bool {
    const ANY: &str = "http://proxy.invalid";
    to(ANY, environment).intercept(destination).is_none()
}

fn matcher(environment: &Environment) -> Result<Option<Matcher>, Box<Diagnosis>> {
    let variable = |variable| environment.get_in_any_case(variable);
    let Some(proxy) = variable(HTTPS_PROXY).or_else(|| variable(ALL_PROXY)) else {
        return Ok(None);
    };
    let any = Uri::from_static("https://example.com");
    let usable = Matcher::builder()
        .https(proxy)
        .build()
        .intercept(&any)
        .is_some_and(|proxy| matches!(proxy.uri().scheme_str(), Some("http" | "https")));
    if !usable {
        return Err(Box::new(Diagnosis::case(
            case::ProxyMalformed,
            "HTTPS_PROXY cannot be used.",
        )));
    }
    Ok(Some(to(proxy, environment)))
}

/// What goes to `proxy`: what is asked by TLS, but for the exceptions.
fn to(proxy: &str, environment: &Environment) -> Matcher {
    let exceptions = environment.get_in_any_case(NO_PROXY).unwrap_or_default().split(',');
    // Others write `*.example` where the matcher takes `.example`.
    let exceptions = exceptions.map(|it| {
        let it = it.trim();
        it.strip_prefix('*').filter(|rest| rest.starts_with('.')).unwrap_or(it)
    });
    let always = ["localhost", "127.0.0.0/8", "::1", "169.254.169.254"];
    let exceptions: Vec<_> = exceptions.chain(always).collect();
    Matcher::builder().https(proxy).no(exceptions.join(",")).build()
}

impl Service<Uri> for Route {
    type Response = MaybeHttpsStream<TokioIo<TcpStream>>;
    type Error = Box<dyn Error + Send + Sync>;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, destination: Uri) -> Self::Future {
        let Some(proxy) = self
            .proxies
            .as_ref()
            .and_then(|matcher| matcher.intercept(&destination))
        else {
            let tcp = self.tcp.clone();
            return Box::pin(async move { Ok(MaybeHttpsStream::Http(tcp.oneshot(destination).await?)) });
        };
        let mut tunnel = Tunnel::new(proxy.uri().clone(), self.to_proxy.clone());
        if let Some(credentials) = proxy.basic_auth() {
            tunnel = tunnel.with_auth(credentials.clone());
        }
        Box::pin(async move { Ok(tunnel.oneshot(destination).await?) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnosis::Code;

    fn proxied(variables: &[(&str, &str)], destination: &'static str) -> bool {
        let matcher = matcher(&variables.iter().copied().collect()).unwrap();
        matcher.is_some_and(|it| it.intercept(&Uri::from_static(destination)).is_some())
    }

    #[test]
    fn vaults_go_through_the_proxy_and_imds_never_does() {
        let variables = [
            ("https_proxy", "http://proxy.corp:3128"),
            ("NO_PROXY", "private.example"),
        ];
        assert!(proxied(&variables, "https://kv.vault.azure.net/secrets"));
        assert!(!proxied(&variables, "https://kv.private.example/"));
        assert!(!proxied(&variables, "http://169.254.169.254/metadata"));
        assert!(!proxied(&variables, "https://kv.vault.localhost:8443/"));
        assert!(!proxied(&variables, "https://127.0.0.1:8443/"));
        assert!(!proxied(&[], "https://kv.vault.azure.net/"));
        for exception in [".example", "*.example", "a.example", "other, a.example"] {
            let variables = [variables[0], ("NO_PROXY", exception)];
            assert!(!proxied(&variables, "https://a.example/"), "{exception}");
            assert!(proxied(&variables, "https://example.com/"), "{exception}");
        }
    }

    #[test]
    fn a_proxy_that_cannot_be_used_is_named_not_skipped() {
        for proxy in ["socks5://proxy:1080", "http://"] {
            let environment = Environment::from_iter([("HTTPS_PROXY", proxy)]);
            assert_eq!(
                matcher(&environment).unwrap_err().code,
                Code::EnvironmentIncomplete,
                "{proxy}"
            );
        }
    }
}
