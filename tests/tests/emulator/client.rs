//! A plain HTTP client over real TLS: nothing in it knows Key Vault.

use std::sync::Arc;
use std::time::Duration;

use akv2k8s_testbed::emulator::{AppHandle, Emulator};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::header::HOST;
use hyper::{HeaderMap, Request};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// A complete answer.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn inner_code(&self) -> String {
        self.json()["error"]["innererror"]["code"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }
}

/// Sends one request on a connection of its own.
pub(crate) struct Client {
    tls: TlsConnector,
    port: u16,
    imds: String,
}

impl Client {
    pub(crate) fn new(emulator: &Emulator) -> Self {
        let mut roots = rustls::RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_slice(emulator.ca_pem().as_bytes()).unwrap())
            .unwrap();
        let config = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let imds = emulator.imds().endpoint().strip_prefix("http://").unwrap().to_owned();
        Self {
            tls: TlsConnector::from(Arc::new(config)),
            port: emulator.port(),
            imds,
        }
    }

    /// `request` is `METHOD https://host:port/path`; the host is found on loopback, as RFC 6761 has it.
    pub(crate) async fn try_send(
        &self,
        request: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> std::io::Result<Answer> {
        let (method, url) = request.split_once(' ').unwrap();
        let url: url::Url = url.parse().unwrap();
        let host = url.host_str().unwrap().to_owned();
        let port = url.port().unwrap_or(self.port);
        let path = &url[url::Position::BeforePath..];
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, format!("{host}:{port}"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::from(body.to_owned())).unwrap();
        if url.scheme() == "http" {
            return exchange(TcpStream::connect(&self.imds).await?, request).await;
        }
        let stream = TcpStream::connect(("127.0.0.1", port)).await?;
        let name = ServerName::try_from(host).unwrap();
        exchange(self.tls.connect(name, stream).await?, request).await
    }

    pub(crate) async fn send(&self, request: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        self.try_send(request, headers, body).await.unwrap()
    }
}

async fn exchange<S>(stream: S, request: Request<Full<Bytes>>) -> std::io::Result<Answer>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let other = std::io::Error::other::<hyper::Error>;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(other)?;
    let driver = tokio::spawn(connection);
    let response = sender.send_request(request).await.map_err(other)?;
    let (parts, body) = response.into_parts();
    let body = body.collect().await.map_err(other)?.to_bytes();
    driver.abort();
    let text = String::from_utf8_lossy(&body).into_owned();
    Ok(Answer {
        status: parts.status.as_u16(),
        headers: parts.headers,
        text,
    })
}

/// A vault user with a token: emulator, client and one application.
pub(crate) struct Fixture {
    pub(crate) emulator: Emulator,
    pub(crate) client: Client,
    pub(crate) app: AppHandle,
}

pub(crate) const LIMIT: Duration = Duration::from_secs(20);

impl Fixture {
    pub(crate) async fn start() -> Self {
        let emulator = Emulator::start(akv2k8s_testbed::emulator::Options::default())
            .await
            .unwrap();
        let client = Client::new(&emulator);
        let app = emulator.entra().register_app();
        Self { emulator, client, app }
    }

    /// A token for vaults, without asking Entra.
    pub(crate) fn token(&self) -> String {
        self.token_for(&self.emulator.vault_audience())
    }

    /// The scope a token for vaults is asked for with.
    pub(crate) fn scope(&self) -> String {
        format!("{}/.default", self.emulator.vault_audience())
    }

    pub(crate) fn token_for(&self, resource: &str) -> String {
        self.emulator.entra().token(self.app.principal(), resource).unwrap()
    }

    /// `request` is `METHOD /path` at the vault `v`; an API version is added.
    pub(crate) async fn vault(&self, request: &str, body: &str) -> Answer {
        self.vault_as(&self.token(), request, body).await
    }

    pub(crate) async fn vault_as(&self, token: &str, request: &str, body: &str) -> Answer {
        self.try_vault_as(token, request, body).await.unwrap()
    }

    pub(crate) async fn try_vault_as(&self, token: &str, request: &str, body: &str) -> std::io::Result<Answer> {
        let (method, path) = request.split_once(' ').unwrap();
        let separator = if path.contains('?') { '&' } else { '?' };
        let url = format!(
            "{method} {}{path}{separator}api-version=2025-07-01",
            self.emulator.vault("v").url()
        );
        self.client
            .try_send(&url, &[("authorization", &format!("Bearer {token}"))], body)
            .await
    }

    /// A token request; `form` holds what is not the tenant.
    pub(crate) async fn entra(&self, tenant: &str, form: &[(&str, &str)]) -> Answer {
        let body = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(form)
            .finish();
        let url = format!("POST {}{tenant}/oauth2/v2.0/token", self.emulator.authority_host());
        self.client
            .send(&url, &[("content-type", "application/x-www-form-urlencoded")], &body)
            .await
    }
}
