//! AKS identity binding: ServiceAccount tokens are exchanged at a proxy in the cluster, in place of Entra itself.
//!
//! Concept: <https://learn.microsoft.com/azure/aks/identity-bindings-concepts>. The variables, which the workload identity
//! webhook sets, and what they mean are those of Microsoft's SDKs: the request is the one that Entra would get, sent to the
//! proxy's address with the path appended, over TLS with a server name and certificate authority of its own.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use azure_core::http::{AsyncRawResponse, Request};
use rustls::pki_types::ServerName;
use tokio::sync::Mutex;
use url::Url;

use super::token::{TokenError, broken};
use crate::diagnosis::{Diagnosis, Retry, case};
use crate::environment::Environment;
use crate::environment::common::{
    AZURE_KUBERNETES_CA_DATA, AZURE_KUBERNETES_CA_FILE, AZURE_KUBERNETES_SNI_NAME, AZURE_KUBERNETES_TOKEN_PROXY,
};
use crate::file;
use crate::http::{HttpClient, Limits, Peer};
use crate::secret::SecretBytes;

/// A proxied token endpoint.
pub(super) struct TokenProxy {
    endpoint: Url,
    server_name: Option<ServerName<'static>>,
    authority: Authority,
    /// For proxies on the way, and the system's certificate authorities.
    environment: Environment,
    /// What was made last, and the authorities it was made with.
    made: Mutex<Option<(Option<SecretBytes>, Arc<Redirected>)>>,
}

/// Who vouches for the proxy.
#[derive(Clone)]
enum Authority {
    /// Whoever vouches for all others.
    System,
    /// PEM in a file, which may change.
    File(PathBuf),
    /// PEM.
    Data(String),
}

impl TokenProxy {
    /// The proxy that `AZURE_KUBERNETES_TOKEN_PROXY` names, with `AZURE_KUBERNETES_SNI_NAME` and either
    /// `AZURE_KUBERNETES_CA_FILE` or `AZURE_KUBERNETES_CA_DATA`; `None` when none of them is set.
    ///
    /// # Errors
    /// The address is not https or more than an address, the name is no DNS name, or the variables contradict each other.
    pub(super) fn from_environment(environment: &Environment) -> Result<Option<Self>, Box<Diagnosis>> {
        let name = environment.get(AZURE_KUBERNETES_SNI_NAME);
        let file = environment.path(AZURE_KUBERNETES_CA_FILE);
        let data = environment.get(AZURE_KUBERNETES_CA_DATA);
        let Some(address) = environment.get(AZURE_KUBERNETES_TOKEN_PROXY) else {
            if name.is_none() && file.is_none() && data.is_none() {
                return Ok(None);
            }
            let what = "AZURE_KUBERNETES_TOKEN_PROXY is not set, but others of its variables are.";
            return Err(incomplete(what).into());
        };
        let authority = match (file, data) {
            (Some(_), Some(_)) => {
                let what = "AZURE_KUBERNETES_CA_FILE and AZURE_KUBERNETES_CA_DATA are both set.";
                return Err(incomplete(what).into());
            }
            (Some(file), None) => Authority::File(file),
            (None, Some(data)) => Authority::Data(data.to_owned()),
            (None, None) => Authority::System,
        };
        let server_name = name.map(|name| ServerName::try_from(name.to_owned())).transpose();
        Ok(Some(Self {
            endpoint: endpoint(address)
                .ok_or_else(|| incomplete("AZURE_KUBERNETES_TOKEN_PROXY is not a plain https address."))?,
            server_name: server_name.map_err(|_| incomplete("AZURE_KUBERNETES_SNI_NAME is not a DNS name."))?,
            authority,
            environment: environment.clone(),
            made: Mutex::default(),
        }))
    }

    /// A transport that sends whatever is meant for Entra to the proxy: the one that is there, unless the file has changed.
    pub(super) async fn transport(&self) -> Result<Arc<dyn azure_core::http::HttpClient>, TokenError> {
        let roots = self.roots().await?;
        let mut made = self.made.lock().await;
        let transport = match &*made {
            Some((before, transport)) if *before == roots => transport.clone(),
            _ => {
                let transport = Arc::new(self.make(roots.clone()).await?);
                *made = Some((roots, transport.clone()));
                transport
            }
        };
        Ok(transport)
    }

    /// The authorities of its own, PEM.
    async fn roots(&self) -> Result<Option<SecretBytes>, TokenError> {
        match &self.authority {
            Authority::System => Ok(None),
            Authority::Data(pem) => Ok(Some(pem.as_str().into())),
            Authority::File(path) => file::read(path).await.map(Some).map_err(|error| {
                let unreadable = case::BindingAuthorityUnreadable {
                    path: &path.display(),
                    error: &error,
                };
                unusable(Diagnosis::case(unreadable, "AZURE_KUBERNETES_CA_FILE cannot be read."))
            }),
        }
    }

    async fn make(&self, roots: Option<SecretBytes>) -> Result<Redirected, TokenError> {
        let peer = Peer {
            roots: roots.map(|pem| pem.expose().to_vec()),
            server_name: self.server_name.clone(),
        };
        let environment = self.environment.clone();
        // The system's authorities are many files.
        let made =
            tokio::task::spawn_blocking(move || HttpClient::to_peer(&environment, Limits::default(), peer)).await;
        let http = made.map_err(|_| broken())?.map_err(|error| unusable(*error))?;
        Ok(Redirected {
            http,
            endpoint: self.endpoint.clone(),
        })
    }
}

fn endpoint(address: &str) -> Option<Url> {
    let plain = |url: &Url| {
        url.scheme() == "https"
            && url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none()
    };
    Url::parse(address).ok().filter(plain)
}

/// Where `request` goes: the proxy's address, with the path and query that Entra would get.
fn redirected(endpoint: &Url, request: &Url) -> Url {
    let mut url = endpoint.clone();
    url.set_path(&format!("{}{}", endpoint.path().trim_end_matches('/'), request.path()));
    url.set_query(request.query());
    url
}

struct Redirected {
    http: HttpClient,
    endpoint: Url,
}

impl fmt::Debug for Redirected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Redirected({})", self.endpoint)
    }
}

#[async_trait::async_trait]
impl azure_core::http::HttpClient for Redirected {
    async fn execute_request(&self, request: &Request) -> azure_core::Result<AsyncRawResponse> {
        let mut request = request.clone();
        let url = redirected(&self.endpoint, request.url());
        *request.url_mut() = url;
        azure_core::http::HttpClient::execute_request(&self.http, &request).await
    }
}

fn unusable(diagnosis: Diagnosis) -> TokenError {
    TokenError {
        diagnosis,
        retry: Retry::Slowly,
    }
}

fn incomplete(what: &str) -> Diagnosis {
    Diagnosis::case(case::BindingIncomplete, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROXY: (&str, &str) = ("AZURE_KUBERNETES_TOKEN_PROXY", "https://apiserver.hcp.example:443");
    const NAME: (&str, &str) = ("AZURE_KUBERNETES_SNI_NAME", "sni.ests.aks");
    const FILE: (&str, &str) = ("AZURE_KUBERNETES_CA_FILE", "/ca.crt");
    const DATA: (&str, &str) = ("AZURE_KUBERNETES_CA_DATA", "-----BEGIN CERTIFICATE-----");

    fn proxy(variables: &[(&str, &str)]) -> Result<Option<TokenProxy>, Box<Diagnosis>> {
        TokenProxy::from_environment(&variables.iter().copied().collect())
    }

    #[test]
    fn without_its_variables_there_is_none() {
        assert!(proxy(&[("AZURE_CLIENT_ID", "c")]).ok().unwrap().is_none());
    }

    #[test]
    fn the_webhooks_variables_make_one() {
        for variables in [&[PROXY][..], &[PROXY, NAME, FILE], &[PROXY, NAME, DATA]] {
            assert!(proxy(variables).ok().unwrap().is_some(), "{variables:?}");
        }
    }

    #[test]
    fn contradictions_are_named() {
        for (variables, part) in [
            (&[NAME][..], "TOKEN_PROXY is not set"),
            (&[FILE], "TOKEN_PROXY is not set"),
            (&[PROXY, FILE, DATA], "both set"),
            (&[PROXY, ("AZURE_KUBERNETES_SNI_NAME", "a b")], "not a DNS name"),
        ] {
            let diagnosis = proxy(variables).err().unwrap();
            assert!(diagnosis.what.contains(part), "{diagnosis}");
        }
        for address in [
            "http://proxy.example",
            "https://user@proxy.example",
            "https://proxy.example/?a=b",
            "https://proxy.example/#f",
            "proxy.example",
        ] {
            let diagnosis = proxy(&[("AZURE_KUBERNETES_TOKEN_PROXY", address)]).err().unwrap();
            assert!(diagnosis.what.contains("https address"), "{address}");
        }
    }

    #[test]
    fn the_path_that_entra_would_get_is_appended() {
        let request = Url::parse("https://login.microsoftonline.com/t-1/oauth2/v2.0/token?a=b").unwrap();
        for (endpoint, expected) in [
            (
                "https://proxy.example:8443",
                "https://proxy.example:8443/t-1/oauth2/v2.0/token?a=b",
            ),
            (
                "https://proxy.example/base/",
                "https://proxy.example/base/t-1/oauth2/v2.0/token?a=b",
            ),
        ] {
            assert_eq!(redirected(&Url::parse(endpoint).unwrap(), &request).as_str(), expected);
        }
    }
}
