//! A reverse proxy in front of a control plane's API server: the client under test speaks TLS with it as with the server itself,
//! and every request passes a [`Gate`](crate::gate::Gate).
//!
//! The controller is sent here with `--master=URL`; its kubeconfig and token stay as they are.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::{Context, bail};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

use crate::controlplane::ControlPlane;
use crate::gate::{Moment, SharedGate, Verdict};

type Body = UnsyncBoxBody<Bytes, hyper::Error>;
type Upstream = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// A running proxy; dropping it closes every connection.
pub struct Proxy {
    url: String,
    task: AbortHandle,
}

/// What every connection needs.
struct Shared {
    server_url: String,
    upstream: Upstream,
    gate: SharedGate,
}

impl Proxy {
    /// Starts a proxy in front of `cluster`, which must be one of our own: the proxy shows its server's certificate.
    ///
    /// # Errors
    /// The cluster was there before, or the system refuses a port.
    pub async fn start(cluster: &ControlPlane, gate: SharedGate) -> anyhow::Result<Self> {
        let (certificate, key) = cluster.server_identity().await?;
        let acceptor = TlsAcceptor::from(Arc::new(server_tls(&certificate, &key)?));
        let shared = Arc::new(Shared {
            server_url: cluster.server_url().to_owned(),
            upstream: upstream(cluster.ca_pem())?,
            gate,
        });
        let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
            .await
            .context("cannot listen")?;
        let url = format!("https://{}", listener.local_addr()?);
        let task = tokio::spawn(serve(shared, listener, acceptor)).abort_handle();
        Ok(Self { url, task })
    }

    /// `https://127.0.0.1:PORT`.
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(shared: Arc<Shared>, listener: TcpListener, acceptor: TlsAcceptor) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => if let Ok((stream, _)) = accepted {
                connections.spawn(connection(Arc::clone(&shared), stream, acceptor.clone()));
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

/// However a connection ends, it is the client's or the test's doing.
async fn connection(shared: Arc<Shared>, stream: TcpStream, acceptor: TlsAcceptor) {
    let Ok(stream) = acceptor.accept(stream).await else {
        return;
    };
    let service = service_fn(|request| forward(Arc::clone(&shared), request));
    let http = hyper::server::conn::http1::Builder::new();
    let _ = http.serve_connection(TokioIo::new(stream), service).await;
}

/// Forwards one request; an error closes the connection.
async fn forward(shared: Arc<Shared>, request: Request<Incoming>) -> anyhow::Result<Response<Body>> {
    let (mut parts, body) = request.into_parts();
    let path = parts.uri.path_and_query().map_or("/", |it| it.as_str()).to_owned();
    let what = format!("{} {path}", parts.method);
    let body = body.collect().await?.to_bytes();
    shared.pass(Moment::Arrived, &what).await?;
    parts.uri = format!("{}{path}", shared.server_url).parse::<Uri>()?;
    parts.headers.remove(hyper::header::HOST);
    let answer = shared
        .upstream
        .request(Request::from_parts(parts, Full::new(body)))
        .await?;
    let (parts, body) = answer.into_parts();
    // A watch has no end: it is answered with its first line. All else is answered when the server has said all it had to say.
    if path.contains("watch=true") {
        shared.pass(Moment::Answered, &what).await?;
        return Ok(Response::from_parts(parts, body.boxed_unsync()));
    }
    let whole = body.collect().await?.to_bytes();
    shared.pass(Moment::Answered, &what).await?;
    let whole = Full::new(whole).map_err(|never| match never {}).boxed_unsync();
    Ok(Response::from_parts(parts, whole))
}

impl Shared {
    async fn pass(&self, moment: Moment, request: &str) -> anyhow::Result<()> {
        match self.gate.pass(moment, request).await {
            Verdict::Pass => Ok(()),
            Verdict::Cut => bail!("{request} is cut off"),
        }
    }
}

fn server_tls(certificate: &str, key: &str) -> anyhow::Result<ServerConfig> {
    let chain = CertificateDer::pem_slice_iter(certificate.as_bytes()).collect::<Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes())?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(config.with_no_client_auth().with_single_cert(chain, key)?)
}

fn upstream(ca_pem: &str) -> anyhow::Result<Upstream> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(ca_pem.as_bytes()) {
        roots.add(certificate?)?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let config = config.with_root_certificates(roots).with_no_client_auth();
    let connector = HttpsConnectorBuilder::new()
        .with_tls_config(config)
        .https_only()
        .enable_http1();
    Ok(Client::builder(TokioExecutor::new()).build(connector.build()))
}
