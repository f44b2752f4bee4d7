//! A registry of images, for whoever looks up what an image starts: the reading half of the OCI distribution specification 1.1,
//! over real TLS, counting its requests.
//!
//! ```no_run
//! # async fn example() -> anyhow::Result<()> {
//! use akv2k8s_testbed::image::{File, Format, Image, Platform};
//! use akv2k8s_testbed::registry::{Access, Options, Registry};
//!
//! let registry = Registry::start(Options::default()).await?;
//! let image = Image::scratch([File::program("/app", Vec::new())]).entrypoint(["/app"]);
//! let digest = registry.push("team/app", "1", &image, Format::Oci)?;
//! registry.push_index("team/app", "all", &[image.clone(), image.platform(Platform::linux("arm64"))], Format::Docker)?;
//! registry.set_access(Access::bearer("robot", "s3cret"));
//! // … a client that trusts registry.ca_pem() asks for registry.address() + "/team/app:1" or "@" + digest …
//! assert_eq!(registry.requests().iter().filter(|request| request.status == 200).count(), 2);
//! # Ok(()) }
//! ```

mod auth;
mod content;
mod serve;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Context;
use tokio::net::TcpListener;
use tokio::task::AbortHandle;
use tokio_rustls::TlsAcceptor;

use self::auth::Tokens;
use self::content::Content;
use crate::emulator::{Emulator, pki};
use crate::image::{self, Blob, Format, Image};

pub use self::auth::Access;

/// How a registry is started.
#[derive(Clone, Copy)]
pub struct Options<'a> {
    /// Where it listens; port 0 picks a free one.
    pub listen: SocketAddr,
    /// How clients come to trust it.
    pub tls: Tls<'a>,
}

/// What a registry shows of itself.
#[derive(Clone, Copy)]
pub enum Tls<'a> {
    /// Nothing: plain HTTP, an "insecure registry".
    Plain,
    /// A certificate of an authority of its own, [`Registry::ca_pem`].
    Own,
    /// A certificate of this emulator's authority.
    Of(&'a Emulator),
}

impl Default for Options<'_> {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            tls: Tls::Own,
        }
    }
}

/// What a registry answers instead of what it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// This status, as a 429 with or without `Retry-After` in seconds.
    Status(u16, Option<u64>),
    /// The connection stays open and silent.
    Silence,
}

/// A request, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// `GET`, `HEAD`, …
    pub method: String,
    /// The path, without the query.
    pub path: String,
    /// The first word of `Authorization`, as it was written: `Basic`, `Bearer`.
    pub scheme: Option<String>,
    /// The status of the answer; 0 when there was none.
    pub status: u16,
}

/// What all connections share.
struct Shared {
    /// `HOST:PORT`, as an image's name begins.
    address: String,
    scheme: &'static str,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    content: Content,
    access: Access,
    tokens: Tokens,
    requests: Vec<Request>,
    fault: Option<Fault>,
    redirect_blobs: bool,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A running registry. Dropping it closes every connection.
pub struct Registry {
    shared: Arc<Shared>,
    ca_pem: Option<String>,
    listener: AbortHandle,
}

impl Registry {
    /// Starts an empty registry that anybody may read. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// The system refuses the address.
    pub async fn start(options: Options<'_>) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(options.listen)
            .await
            .with_context(|| format!("cannot listen on {}", options.listen))?;
        let address = listener.local_addr()?;
        let names = [
            "localhost".to_owned(),
            "*.azurecr.localhost".to_owned(),
            address.ip().to_string(),
        ];
        let identity = match options.tls {
            Tls::Plain => None,
            Tls::Own => Some(pki::create(&names)?),
            Tls::Of(emulator) => Some(emulator.tls_for(&names)?),
        };
        let shared = Arc::new(Shared {
            address: address.to_string(),
            scheme: if identity.is_some() { "https" } else { "http" },
            state: Mutex::default(),
        });
        let (ca_pem, acceptor) = identity.map(|it| (it.ca_pem, TlsAcceptor::from(it.tls))).unzip();
        let task = tokio::spawn(serve::serve(shared.clone(), listener, acceptor));
        Ok(Self {
            shared,
            ca_pem,
            listener: task.abort_handle(),
        })
    }

    /// `IP:PORT`: what the name of an image in it begins with.
    pub fn address(&self) -> &str {
        &self.shared.address
    }

    /// The authority clients must trust, PEM; none for plain HTTP.
    pub fn ca_pem(&self) -> Option<&str> {
        self.ca_pem.as_deref()
    }

    /// Stores an image under a tag, in place of what had it, and gives the digest of its manifest.
    ///
    /// # Errors
    /// The path of a file is too long.
    pub fn push(&self, repository: &str, tag: &str, image: &Image, format: Format) -> anyhow::Result<String> {
        let [manifest, config, layer] = image.blobs(format)?;
        let mut state = self.shared.state();
        state.content.add_blob(repository, config);
        state.content.add_blob(repository, layer);
        Ok(state.content.add_manifest(repository, Some(tag), manifest))
    }

    /// Stores images for several platforms under one tag, and gives the digest of their list.
    ///
    /// # Errors
    /// The path of a file is too long.
    pub fn push_index(&self, repository: &str, tag: &str, images: &[Image], format: Format) -> anyhow::Result<String> {
        let mut blobs = image::index(images, format)?.into_iter();
        let list = blobs.next().context("a list of images begins with the list")?;
        let mut state = self.shared.state();
        for blob in blobs {
            if blob.media_type == format.manifest() {
                state.content.add_manifest(repository, None, blob);
            } else {
                state.content.add_blob(repository, blob);
            }
        }
        Ok(state.content.add_manifest(repository, Some(tag), list))
    }

    /// Stores any bytes as a manifest, whatever they are, and gives their digest.
    pub fn push_manifest(&self, repository: &str, tag: &str, media_type: &str, bytes: Vec<u8>) -> String {
        let manifest = Blob::new(media_type, bytes);
        self.shared
            .state()
            .content
            .add_manifest(repository, Some(tag), manifest)
    }

    /// Stores any bytes as a configuration or layer, and gives their digest.
    pub fn push_blob(&self, repository: &str, bytes: Vec<u8>) -> String {
        let blob = Blob::new("application/octet-stream", bytes);
        let digest = blob.digest.clone();
        self.shared.state().content.add_blob(repository, blob);
        digest
    }

    /// Replaces a stored blob's bytes, so that they no longer fit their digest.
    pub fn corrupt_blob(&self, repository: &str, digest: &str, bytes: Vec<u8>) {
        let blob = Blob {
            digest: digest.to_owned(),
            ..Blob::new("application/octet-stream", bytes)
        };
        self.shared.state().content.add_blob(repository, blob);
    }

    /// Who may read, from now on. Tokens that were given out before are not taken back.
    pub fn set_access(&self, access: Access) {
        self.shared.state().access = access;
    }

    /// Takes back every token: the next request with one is answered 401, as after its end.
    pub fn revoke_tokens(&self) {
        self.shared.state().tokens.revoke();
    }

    /// Answers every request with a fault, until it is taken away by `None`.
    pub fn set_fault(&self, fault: Option<Fault>) {
        self.shared.state().fault = fault;
    }

    /// Whether blobs are fetched from another host (`localhost` in place of the address), as from registries that keep them in a
    /// cloud's storage. That host refuses requests which carry `Authorization`.
    pub fn redirect_blobs(&self, redirect: bool) {
        self.shared.state().redirect_blobs = redirect;
    }

    /// Every request until now, in the order of their answers.
    pub fn requests(&self) -> Vec<Request> {
        self.shared.state().requests.clone()
    }

    /// Forgets the requests until now.
    pub fn forget_requests(&self) {
        self.shared.state().requests.clear();
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

#[cfg(test)]
mod tests;
