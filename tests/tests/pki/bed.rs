//! What the tests here share: a namespace, a clock that moves, and clients that trust a bundle.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use akv2k8s_envinjector::pki::{Options, Pki};
use akv2k8s_shared::diagnosis::Diagnosis;
use akv2k8s_testbed::controlplane::{ControlPlane, Namespace};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};

pub(crate) const SECRET: &str = "akv2k8s-envinjector-pki";
pub(crate) const NAME: &str = "akv2k8s-envinjector.akv2k8s.svc";
/// For what takes a moment on a machine with nothing else to do.
pub(crate) const PATIENCE: Duration = Duration::from_mins(2);
pub(crate) const DAY: SignedDuration = SignedDuration::from_hours(24);

/// A namespace with its own time.
pub(crate) struct Bed {
    pub(crate) client: kube::Client,
    pub(crate) namespace: Namespace,
    clock: Arc<AtomicI64>,
}

impl Bed {
    pub(crate) async fn new(prefix: &str) -> anyhow::Result<Self> {
        let cluster = ControlPlane::shared().await?;
        Ok(Self {
            client: cluster.client()?,
            namespace: cluster.namespace(prefix).await?,
            clock: Arc::new(AtomicI64::new(Timestamp::now().as_second())),
        })
    }

    pub(crate) fn options(&self) -> Options {
        let clock = Arc::clone(&self.clock);
        Options {
            namespace: self.namespace.name().to_owned(),
            secret: SECRET.to_owned(),
            names: vec![NAME.to_owned(), "127.0.0.1".to_owned()],
            webhook_configuration: None,
            publishes_ca: true,
            clock: Arc::new(move || Timestamp::from_second(clock.load(Ordering::SeqCst)).unwrap()),
        }
    }

    /// One replica.
    pub(crate) async fn replica(&self) -> Result<Pki, Box<Diagnosis>> {
        Pki::open(self.client.clone(), self.options()).await
    }

    /// A client whose requests are counted.
    pub(crate) fn counted_client(&self) -> (kube::Client, Arc<AtomicU64>) {
        let (inner, count) = (self.client.clone(), Arc::new(AtomicU64::new(0)));
        let counter = Arc::clone(&count);
        let service = tower::service_fn(move |request| {
            counter.fetch_add(1, Ordering::SeqCst);
            let inner = inner.clone();
            async move { inner.send(request).await }
        });
        (kube::Client::new(service, "default"), count)
    }

    pub(crate) fn advance(&self, by: SignedDuration) {
        self.clock.fetch_add(by.as_secs(), Ordering::SeqCst);
    }

    pub(crate) fn secrets(&self) -> Api<Secret> {
        Api::namespaced(self.client.clone(), self.namespace.name())
    }

    /// The text under `key` of the Secret.
    pub(crate) async fn kept(&self, key: &str) -> anyhow::Result<String> {
        let mut data = self.secrets().get(SECRET).await?.data.unwrap_or_default();
        Ok(String::from_utf8(data.remove(key).map(|it| it.0).unwrap_or_default())?)
    }

    /// A client that holds `bundle` (PEM) and lives in the bed's time connects to `server` as to `name`; gives the server's
    /// certificate.
    pub(crate) async fn connect(
        &self,
        server: &Server,
        name: &str,
        bundle: &str,
    ) -> Result<CertificateDer<'static>, String> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(bundle.as_bytes()) {
            roots.add(certificate.unwrap()).unwrap();
        }
        let time = Time(self.clock.load(Ordering::SeqCst).unsigned_abs());
        let config = ClientConfig::builder_with_details(Arc::new(default_provider()), Arc::new(time))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let stream = TcpStream::connect(("127.0.0.1", server.port)).await.unwrap();
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let connected = TlsConnector::from(Arc::new(config)).connect(name, stream).await;
        let stream = connected.map_err(|error| error.to_string())?;
        Ok(stream.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned())
    }
}

#[derive(Debug)]
struct Time(u64);

impl rustls::time_provider::TimeProvider for Time {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_secs(self.0)))
    }
}

/// A TLS port that serves what `pki` has at the moment.
pub(crate) struct Server {
    port: u16,
    task: tokio::task::JoinHandle<()>,
}

impl Server {
    pub(crate) async fn start(pki: &Pki) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let acceptor = TlsAcceptor::from(pki.server_config());
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let accept = acceptor.accept(stream);
                // A client that does not trust us ends the handshake; that is its business.
                tokio::spawn(async move { accept.await.map(drop) });
            }
        });
        Self { port, task }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}
