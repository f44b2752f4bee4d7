//! The env injector as benches measure it: the program alone, asked by the bench itself, with all rights and without a webhook
//! configuration.

use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use akv2k8s_shared::injection::names;
use anyhow::{Context, bail};
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::program::{Profile, injector_program};
use crate::controlplane::process::Process;
use crate::stage::Stage;
use crate::wait::until;

/// How long the program may take to listen.
const START_LIMIT: Duration = Duration::from_mins(1);
/// The Secret with its certificates.
const PKI: &str = "akv2k8s-envinjector-pki";

/// A running env injector; dropping it kills it as `kill -9` would.
pub struct MeasuredInjector {
    process: Process,
    ports: [u16; 3],
    tls: TlsConnector,
    _folder: TempDir,
}

impl MeasuredInjector {
    /// Starts the program (building it first if need be) in the stage's namespace, which it takes for labelled, behind the words
    /// `behind`, and waits until it is ready.
    pub async fn start(stage: &Stage, profile: Profile, behind: &[&str]) -> anyhow::Result<Self> {
        let program = tokio::task::spawn_blocking(move || injector_program(profile)).await??;
        let namespace = stage.namespace.name();
        let label = format!("{}={}", names::LABEL, names::ENABLED);
        let line = ["label", "namespace", namespace, &label, "--overwrite"];
        stage.cluster.kubectl(&line).await?.success()?;
        let folder = tempfile::tempdir()?;
        let process = launch(stage, &program, behind, folder.path())?;
        let mut injector = Self {
            process,
            ports: [0; 3],
            tls: trusting("")?,
            _folder: folder,
        };
        injector.ports = injector.wait_until_it_listens().await?;
        injector.wait_until_it_is_ready().await?;
        let secrets: Api<Secret> = Api::namespaced(stage.cluster.client()?, namespace);
        let data = secrets.get(PKI).await?.data.unwrap_or_default();
        let authority = data.get("current.crt").context("the program keeps its authority")?;
        injector.tls = trusting(std::str::from_utf8(&authority.0)?)?;
        Ok(injector)
    }

    async fn wait_until_it_listens(&mut self) -> anyhow::Result<[u16; 3]> {
        let ports = until("akv2k8s-envinjector to listen", START_LIMIT, async || {
            if self.process.has_ended().unwrap_or(true) {
                return Some(None);
            }
            let log = self.process.log();
            let ports = log.split("listening on port ").skip(1);
            let digits = |text: &str| text.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok();
            let ports: Vec<u16> = ports.map_while(digits).collect();
            <[u16; 3]>::try_from(ports).ok().map(Some)
        });
        match ports.await {
            Ok(Some(ports)) => Ok(ports),
            Ok(None) => bail!("akv2k8s-envinjector ended:\n{}", self.process.log_tail()),
            Err(error) => Err(anyhow::Error::new(error).context(self.process.log_tail())),
        }
    }

    async fn wait_until_it_is_ready(&self) -> anyhow::Result<()> {
        let ready = async || {
            self.process
                .log()
                .contains("the first lists are complete")
                .then_some(())
        };
        let ready = until("akv2k8s-envinjector to be ready", START_LIMIT, ready).await;
        ready.map_err(|error| anyhow::Error::new(error).context(self.process.log_tail()))
    }

    /// A connection to the webhook, by a client that trusts the program's authority.
    pub async fn webhook(&self) -> anyhow::Result<Connection> {
        self.connect(self.ports[1]).await
    }

    /// The same to the broker.
    pub async fn broker(&self) -> anyhow::Result<Connection> {
        self.connect(self.ports[2]).await
    }

    async fn connect(&self, port: u16) -> anyhow::Result<Connection> {
        let stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.set_nodelay(true)?;
        let stream = self.tls.connect(ServerName::try_from("127.0.0.1")?, stream).await?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        // It ends with its sender.
        tokio::spawn(connection);
        Ok(Connection(sender))
    }

    /// Its process id, as long as it runs.
    pub fn id(&self) -> Option<u32> {
        self.process.id()
    }
}

/// A connection that is kept.
pub struct Connection(SendRequest<Full<Bytes>>);

impl Connection {
    /// `POST path` of this JSON, with a token if there is one; status and body of the answer.
    pub async fn post(&mut self, path: &str, token: Option<&str>, body: Bytes) -> anyhow::Result<(u16, Bytes)> {
        let mut request = Request::post(path)
            .header("host", "injector")
            .header("content-type", "application/json");
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        self.0.ready().await?;
        let answer = self.0.send_request(request.body(Full::new(body))?).await?;
        let status = answer.status().as_u16();
        Ok((status, answer.into_body().collect().await?.to_bytes()))
    }
}

fn launch(stage: &Stage, program: &Path, behind: &[&str], folder: &Path) -> anyhow::Result<Process> {
    let file = |name: &str| stage.files().join(name).display().to_string();
    let variables = [
        ("AZUREKEYVAULT_ENV_IMAGE", "example.org/azure-keyvault-env:1".to_owned()),
        ("POD_NAMESPACE", stage.namespace.name().to_owned()),
        ("SERVING_NAMES", "127.0.0.1".to_owned()),
        ("METRICS_ENABLED", "true".to_owned()),
        ("HTTP_PORT", "0".to_owned()),
        ("TLS_PORT", "0".to_owned()),
        ("MTLS_PORT", "0".to_owned()),
        ("AUTH_TYPE", "environment".to_owned()),
        ("SSL_CERT_FILE", file("ca.pem")),
        ("AZURE_ENVIRONMENT", "AzureStackCloud".to_owned()),
        ("AZURE_ENVIRONMENT_FILEPATH", file("cloud.json")),
        ("AZURE_TENANT_ID", stage.emulator.entra().tenant_id().to_owned()),
        ("AZURE_CLIENT_ID", stage.app.client_id().to_owned()),
        ("AZURE_CLIENT_SECRET", stage.app.add_secret()),
    ];
    let variables = variables.map(|(name, value)| (name.to_owned(), value));
    let behind: Vec<_> = behind.iter().map(OsString::from).collect();
    let arguments = [
        format!("--kubeconfig={}", stage.cluster.kubeconfig().display()),
        "--v=2".to_owned(),
    ];
    Process::start_behind(&behind, program, arguments, variables, folder).context("cannot start akv2k8s-envinjector")
}

fn trusting(bundle: &str) -> anyhow::Result<TlsConnector> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(bundle.as_bytes()) {
        roots.add(certificate?)?;
    }
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}
