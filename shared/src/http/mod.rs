//! The one HTTP client of every program here: hyper, rustls on ring, and a DNS resolver of its own.
//!
//! What it promises: redirects are never followed; a bearer token never travels without TLS; no exchange lasts longer
//! than [`Limits::exchange`]; no body is larger than [`Limits::body`].

mod azure;
mod failure;
mod reach;
mod resolve;
mod retry_after;
mod route;
mod trust;

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

pub(crate) use failure::find;
pub use failure::{Failure, FailureKind};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{AUTHORIZATION, HeaderMap};
use hyper::{Request, StatusCode};
use hyper_rustls::{FixedServerNameResolver, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
pub(crate) use retry_after::retry_after;
pub use route::is_excepted;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;

use self::reach::{NotOutward, Reach};
use self::resolve::Resolver;
use self::route::Route;
use crate::diagnosis::Diagnosis;
use crate::environment::Environment;

/// Limits of the client.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Longest time to open a TCP connection.
    pub connect: Duration,
    /// Longest time of a whole exchange: names, connection, TLS, head and body.
    pub exchange: Duration,
    /// Idle connections kept per host.
    pub idle_per_host: usize,
    /// Largest body that is read, in bytes.
    pub body: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            exchange: Duration::from_secs(15),
            idle_per_host: 32,
            body: 4 * 1024 * 1024,
        }
    }
}

/// A pool of connections with one policy for trust, names, proxies and limits. Cheap to clone.
#[derive(Clone)]
pub struct HttpClient {
    id: u64,
    client: Client<HttpsConnector<Route>, Full<Bytes>>,
    limits: Limits,
    reach: Reach,
}

/// What a server is known by, where that is not the name in its address and the authorities for everybody.
#[derive(Default)]
pub(crate) struct Peer {
    /// Certificate authorities, PEM; `None` = those for everybody.
    pub(crate) roots: Option<Vec<u8>>,
    /// The name it is asked for and must prove; `None` = the one in the address.
    pub(crate) server_name: Option<ServerName<'static>>,
}

/// A whole answer; redirects and error statuses are answers too.
#[derive(Debug)]
pub struct Response {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

impl HttpClient {
    /// Builds the client from `SSL_CERT_FILE`, `SSL_CERT_DIR`, `HTTPS_PROXY`, `NO_PROXY` (upper or lower case) and the
    /// system's resolver files. Fails when one of them is set and cannot be used.
    pub fn from_environment(environment: &Environment, limits: Limits) -> Result<Self, Box<Diagnosis>> {
        Self::to_peer(environment, limits, Peer::default())
    }

    /// A client for servers inside the cluster: the certificates in `pem` are the only authorities, and no proxy is ever used.
    ///
    /// # Errors
    /// [`crate::diagnosis::Code::TrustStoreUnreadable`]: `pem` holds no certificate.
    pub fn inside_the_cluster(pem: &[u8], limits: Limits) -> Result<Self, Box<Diagnosis>> {
        let tls = trust::client_config_of(pem)?;
        Self::assemble(
            &Environment::default(),
            limits,
            &tls,
            tls.clone(),
            None,
            Reach::Anywhere,
        )
    }

    /// Like [`Self::from_environment`], believing the certificate authorities in `pem` as well.
    ///
    /// # Errors
    /// The same; `pem` holds no certificate.
    pub fn with_authorities(environment: &Environment, limits: Limits, pem: &[u8]) -> Result<Self, Box<Diagnosis>> {
        let tls = trust::client_config_with(environment, pem)?;
        Self::assemble(environment, limits, &tls, tls.clone(), None, Reach::Anywhere)
    }

    /// A client for servers that strangers name: it connects to no address of this machine or its link (loopback, instance metadata), under
    /// whatever name. `pem`: authorities that are believed besides.
    ///
    /// # Errors
    /// As [`Self::with_authorities`].
    pub fn outward(environment: &Environment, limits: Limits, pem: Option<&[u8]>) -> Result<Self, Box<Diagnosis>> {
        let tls = match pem {
            Some(pem) => trust::client_config_with(environment, pem)?,
            None => trust::client_config(environment)?,
        };
        Self::assemble(environment, limits, &tls, tls.clone(), None, Reach::Outward)
    }

    /// The same for one server that has a name and certificate authorities of its own.
    pub(crate) fn to_peer(environment: &Environment, limits: Limits, peer: Peer) -> Result<Self, Box<Diagnosis>> {
        let general = trust::client_config(environment)?;
        let tls = match &peer.roots {
            Some(pem) => trust::client_config_of(pem)?,
            None => general.clone(),
        };
        Self::assemble(environment, limits, &general, tls, peer.server_name, Reach::Anywhere)
    }

    /// `general` is for proxies on the way, `tls` for the servers themselves.
    fn assemble(
        environment: &Environment,
        limits: Limits,
        general: &ClientConfig,
        tls: ClientConfig,
        server_name: Option<ServerName<'static>>,
        reach: Reach,
    ) -> Result<Self, Box<Diagnosis>> {
        static CLIENTS: AtomicU64 = AtomicU64::new(0);
        let resolver = Resolver::from_system();
        let tcp = |resolver| {
            let mut tcp = HttpConnector::new_with_resolver(resolver);
            tcp.enforce_http(false);
            tcp.set_nodelay(true);
            tcp.set_connect_timeout(Some(limits.connect));
            tcp.set_keepalive(Some(Duration::from_mins(1)));
            tcp
        };
        // A proxy may be anywhere: the operator names it.
        let route = Route::from_environment(
            environment,
            tcp(resolver.clone().reaching(reach)),
            tcp(resolver),
            general,
        )?;
        let mut connector = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http();
        if let Some(name) = server_name {
            connector = connector.with_server_name_resolver(FixedServerNameResolver::new(name));
        }
        let connector = connector.enable_http1().wrap_connector(route);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_mins(1))
            .pool_max_idle_per_host(limits.idle_per_host)
            .build(connector);
        let id = CLIENTS.fetch_add(1, Ordering::Relaxed);
        Ok(Self {
            id,
            client,
            limits,
            reach,
        })
    }

    /// The same for clones of one client, and for no others.
    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// Sends one request and reads the whole answer.
    pub async fn send(&self, request: Request<Full<Bytes>>) -> Result<Response, Failure> {
        let host = request.uri().host().unwrap_or_default().to_owned();
        if request.headers().contains_key(AUTHORIZATION) && request.uri().scheme_str() != Some("https") {
            return Err(Failure::new(
                FailureKind::NotEncrypted,
                &host,
                "a token must not travel without TLS",
            ));
        }
        // Names are looked at when they are resolved.
        if let Some(address) = self.reach.forbids_literal(&host) {
            return Err(Failure::new(
                FailureKind::NotOutward,
                &host,
                NotOutward(address).to_string(),
            ));
        }
        let exchange = self.exchange(request, &host);
        tokio::time::timeout(self.limits.exchange, exchange)
            .await
            .unwrap_or_else(|_| {
                let detail = format!("no whole answer within {:?}", self.limits.exchange);
                Err(Failure::new(FailureKind::Timeout, &host, detail))
            })
    }

    async fn exchange(&self, request: Request<Full<Bytes>>, host: &str) -> Result<Response, Failure> {
        let answer = self
            .client
            .request(request)
            .await
            .map_err(|error| Failure::of_request(host, &error))?;
        let (head, body) = answer.into_parts();
        Ok(Response {
            status: head.status,
            headers: head.headers,
            body: self.read(body, host).await?,
        })
    }

    async fn read(&self, body: Incoming, host: &str) -> Result<Bytes, Failure> {
        let collected = Limited::new(body, self.limits.body).collect().await;
        collected
            .map(http_body_util::Collected::to_bytes)
            .map_err(|error| Failure::of_body(host, error.as_ref(), self.limits.body))
    }
}

impl fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpClient")
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}
