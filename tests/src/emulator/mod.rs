//! A Key Vault, Entra ID and managed identity emulator: over real TLS, checking tokens for real.
//!
//! One process serves many vaults. Names are below `.localhost`, which resolves to loopback (RFC 6761):
//!
//! | host | what |
//! |---|---|
//! | `https://NAME.vault.localhost:PORT` | the vault `NAME`, once registered |
//! | `https://login.localhost:PORT` | Entra ID |
//! | `https://admin.localhost:PORT` | state, faults, journal and clock as JSON, for other processes |
//! | `http://127.0.0.1:PORT2` | instance metadata and App Service identity endpoints |
//!
//! ```no_run
//! # async fn example() -> anyhow::Result<()> {
//! use akv2k8s_testbed::emulator::{Emulator, Fault, FaultKind, Operation, Options, Role, SecretOptions};
//!
//! let emulator = Emulator::start(Options::default()).await?;
//! let app = emulator.entra().register_app();
//! let secret = app.add_secret();
//! let vault = emulator.vault("demo");
//! vault.grant(app.principal(), Role::SecretsUser);
//! vault.set_secret("db-password", "s3cret", SecretOptions::default())?;
//! emulator.faults().add(Fault::vault("demo", FaultKind::Throttle { retry_after: Some(1) }).times(2));
//! // … run a client with AZURE_ENVIRONMENT_FILEPATH and SSL_CERT_FILE …
//! assert_eq!(emulator.journal().counts().with_status(Operation::SECRET_GET, 200), 1);
//! # Ok(()) }
//! ```

mod admin;
pub mod cli;
mod clock;
pub mod crypto;
mod delivery;
mod entra;
mod fault;
mod hosts;
pub(crate) mod http;
mod imds;
mod journal;
pub(crate) mod jwt;
mod limiter;
mod operation;
pub(crate) mod pki;
mod seed;
mod server;
mod vault;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use anyhow::Context;
use tokio::net::TcpListener;
use tokio::task::AbortHandle;
use tokio_rustls::TlsAcceptor;

use crate::gate::SharedGate;

pub use self::clock::Clock;
pub use self::entra::{AppHandle, EntraHandle, FederatedCredential, Principal};
pub use self::fault::{Fault, FaultId, FaultKind, Faults, Requests};
pub use self::hosts::Names;
pub use self::imds::ImdsHandle;
pub use self::journal::{Counts, Entry, Journal};
pub use self::limiter::Limit;
pub use self::operation::{Action, Kind, Operation, Service};
pub use self::seed::{Applied, Seed};
pub use self::vault::{
    AlternativeNames, AttributeChange, CertificatePolicy, Firewall, IssuerReference, KeyProperties, Policy, Role,
    SecretOptions, SecretProperties, StateError, TEST_ISSUER, Tags, VaultHandle, X509Properties,
};

/// How an emulator is started.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where vaults and Entra listen; port 0 picks a free one.
    pub listen: SocketAddr,
    /// Where the managed identity endpoints listen; port 0 picks a free one.
    pub imds_listen: SocketAddr,
    /// By what names it is reached.
    pub names: Names,
    /// Seed of faults that strike a share of requests.
    pub seed: u64,
}

impl Default for Options {
    fn default() -> Self {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self {
            listen: any,
            imds_listen: any,
            names: Names::default(),
            seed: 1,
        }
    }
}

/// What all parts of an emulator share.
pub(crate) struct Shared {
    clock: Clock,
    journal: Journal,
    faults: Faults,
    entra: entra::Entra,
    imds: imds::Imds,
    vaults: vault::Vaults,
    authority: Arc<vault::LazyAuthority>,
    names: Mutex<seed::Names>,
    /// Signs the certificates of this emulator's servers.
    tls_authority: pki::Authority,
    gate: RwLock<Option<SharedGate>>,
    hosts: Names,
    address: SocketAddr,
    imds_address: SocketAddr,
}

impl Shared {
    fn login_host(&self) -> String {
        self.hosts.with_port(self.hosts.login(), self.address.port())
    }

    fn authority_url(&self) -> String {
        format!("https://{}", self.login_host())
    }

    /// What follows `NAME.` in the address of a vault.
    fn vault_suffix(&self) -> String {
        self.hosts.with_port(self.hosts.vaults(), self.address.port())
    }

    fn vault_url(&self, name: &str) -> String {
        format!("https://{}.{}", name.to_ascii_lowercase(), self.vault_suffix())
    }

    /// The resource vault tokens are for. With the port, unlike the service's, which has none: Microsoft's Python SDK
    /// sends a token only where the challenge's resource, as written, ends the host and port of the vault.
    fn vault_audience(&self) -> String {
        format!("https://{}", self.vault_suffix())
    }

    fn imds_url(&self) -> String {
        format!("http://{}", self.imds_address)
    }

    fn cloud(&self) -> serde_json::Value {
        let suffix = self.vault_suffix();
        serde_json::json!({
            "name": "AzureStackCloud",
            "activeDirectoryEndpoint": format!("{}/", self.authority_url()),
            "keyVaultEndpoint": format!("https://{suffix}/"),
            "keyVaultDNSSuffix": suffix,
            "resourceManagerEndpoint": "https://management.azure.com/",
            "resourceIdentifiers": { "keyVault": self.vault_audience() },
            "imdsEndpoint": self.imds_url(),
        })
    }

    fn gate(&self) -> Option<SharedGate> {
        self.gate.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn names(&self) -> MutexGuard<'_, seed::Names> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A running emulator; dropping it stops it and closes every connection.
pub struct Emulator {
    shared: Arc<Shared>,
    listeners: Vec<AbortHandle>,
}

impl Emulator {
    /// Starts an emulator with one empty tenant and no vaults. Must be called within a tokio runtime.
    pub async fn start(options: Options) -> anyhow::Result<Self> {
        let tls_authority = pki::Authority::create().context("cannot make the emulator's authority")?;
        let identity = tls_authority
            .identity(&options.names.certificate())
            .context("cannot make the emulator's certificate")?;
        let cloud = bind(options.listen).await?;
        let imds = bind(options.imds_listen).await?;
        let shared = Arc::new(Shared {
            clock: Clock::default(),
            journal: Journal::default(),
            faults: Faults::new(options.seed),
            entra: entra::Entra::new().context("cannot make Entra's signing key")?,
            imds: imds::Imds::new(),
            vaults: vault::Vaults::default(),
            authority: Arc::default(),
            names: Mutex::default(),
            tls_authority,
            gate: RwLock::default(),
            hosts: options.names,
            address: cloud.local_addr()?,
            imds_address: imds.local_addr()?,
        });
        let tls = TlsAcceptor::from(identity.tls);
        let listeners = [
            (cloud, server::Listener::Cloud, Some(tls)),
            (imds, server::Listener::Imds, None),
        ]
        .map(|(listener, kind, tls)| tokio::spawn(server::serve(shared.clone(), listener, kind, tls)).abort_handle());
        Ok(Self {
            shared,
            listeners: listeners.into(),
        })
    }

    /// The authority clients must trust, PEM.
    pub fn ca_pem(&self) -> &str {
        self.shared.tls_authority.pem()
    }

    /// TLS of another server for `names`, that whoever trusts this emulator trusts too.
    pub(crate) fn tls_for(&self, names: &[String]) -> anyhow::Result<pki::ServerIdentity> {
        self.shared.tls_authority.identity(names)
    }

    /// Port of vaults and Entra.
    pub fn port(&self) -> u16 {
        self.shared.address.port()
    }

    /// The resource vault tokens are for: `https://vault.localhost:PORT`, or the service's own.
    pub fn vault_audience(&self) -> String {
        self.shared.vault_audience()
    }

    /// What follows `NAME.` in the address of a vault, with the port if there is one in it.
    pub fn vault_suffix(&self) -> String {
        self.shared.vault_suffix()
    }

    /// `https://login.localhost:PORT/`, or Entra's own.
    pub fn authority_host(&self) -> String {
        format!("{}/", self.shared.authority_url())
    }

    /// Writes the authority's certificate (PEM) for `SSL_CERT_FILE`, `REQUESTS_CA_BUNDLE`, `NODE_EXTRA_CA_CERTS`.
    pub fn write_ca_file(&self, path: &Path) -> anyhow::Result<()> {
        std::fs::write(path, self.ca_pem()).with_context(|| format!("cannot write {}", path.display()))
    }

    /// Writes the cloud description `AZURE_ENVIRONMENT_FILEPATH` points to (used with
    /// `AZURE_ENVIRONMENT=AzureStackCloud`), with the additional key `imdsEndpoint`.
    pub fn write_cloud_file(&self, path: &Path) -> anyhow::Result<()> {
        let text = format!("{:#}\n", self.cloud());
        std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
    }

    /// The cloud description as JSON, in the names of go-autorest's `azure.Environment`.
    pub fn cloud(&self) -> serde_json::Value {
        self.shared.cloud()
    }

    /// Adds what a seed describes.
    pub async fn apply(&self, seed: Seed) -> anyhow::Result<Applied> {
        let shared = self.shared.clone();
        tokio::task::spawn_blocking(move || seed.apply(&shared)).await?
    }

    /// The vault `name`, registered in the default tenant if it is new; without any rights granted.
    pub fn vault(&self, name: &str) -> VaultHandle {
        self.shared.vaults.register(name, &self.shared.entra.default_tenant);
        VaultHandle {
            shared: self.shared.clone(),
            name: name.to_owned(),
        }
    }

    /// Entra's state.
    pub fn entra(&self) -> EntraHandle {
        EntraHandle(self.shared.clone())
    }

    /// The machine's managed identities.
    pub fn imds(&self) -> ImdsHandle {
        ImdsHandle(self.shared.clone())
    }

    /// The faults in force.
    pub fn faults(&self) -> &Faults {
        &self.shared.faults
    }

    /// Lets every request that the journal counts pass `gate` from now on.
    pub fn set_gate(&self, gate: SharedGate) {
        *self.shared.gate.write().unwrap_or_else(PoisonError::into_inner) = Some(gate);
    }

    /// What was asked so far.
    pub fn journal(&self) -> &Journal {
        &self.shared.journal
    }

    /// The emulator's time.
    pub fn clock(&self) -> &Clock {
        &self.shared.clock
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        for listener in &self.listeners {
            listener.abort();
        }
    }
}

async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address}"))
}
