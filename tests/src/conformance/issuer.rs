//! An issuer of ServiceAccount tokens: an HTTPS endpoint with openid-configuration and JWKS, as an API server has them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, anyhow};
use axum::serve::Listener;
use axum::{Json, Router, routing};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::emulator::pki;

const KEY_ID: &str = "conformance";
/// Seconds.
const LIFETIME: i64 = 3600;

/// A running issuer; it stops when dropped.
pub(super) struct Issuer {
    url: String,
    ca_pem: String,
    key: EcdsaKeyPair,
    serving: JoinHandle<()>,
}

impl Issuer {
    /// Starts an issuer with a new key on an address of its own.
    pub(super) async fn start() -> anyhow::Result<Self> {
        let identity = pki::create(&["127.0.0.1".to_owned()])?;
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .context("listen for the token issuer")?;
        let url = format!("https://{}", listener.local_addr()?);
        let key = new_key()?;
        let router = documents(&url, &key);
        let listener = TlsListener {
            listener,
            acceptor: TlsAcceptor::from(identity.tls),
        };
        let serving = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                tracing::error!(%error, "the token issuer stopped");
            }
        });
        Ok(Self {
            url,
            ca_pem: identity.ca_pem,
            key,
            serving,
        })
    }

    /// `iss` of its tokens.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// The authority its endpoint's certificate is signed by.
    pub(super) fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// A token for `subject` and `audience`, valid for an hour from now.
    pub(super) fn token(&self, subject: &str, audience: &str) -> anyhow::Result<String> {
        sign(&self.key, &claims(&self.url, subject, audience, now()))
    }

    /// A token that expired two hours ago.
    pub(super) fn expired_token(&self, subject: &str, audience: &str) -> anyhow::Result<String> {
        sign(&self.key, &claims(&self.url, subject, audience, now() - 3 * LIFETIME))
    }

    /// A token that says to come from another issuer.
    pub(super) fn token_of_another_issuer(&self, subject: &str, audience: &str) -> anyhow::Result<String> {
        sign(
            &self.key,
            &claims("https://another-issuer.example", subject, audience, now()),
        )
    }

    /// A token with this issuer's key id, but signed by a key it does not publish.
    pub(super) fn forged_token(&self, subject: &str, audience: &str) -> anyhow::Result<String> {
        sign(&new_key()?, &claims(&self.url, subject, audience, now()))
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// The two documents that verifiers fetch (`OpenID` Connect Discovery 1.0 §4, RFC 7517).
fn documents(url: &str, key: &EcdsaKeyPair) -> Router {
    // An uncompressed point: 0x04, x, y (32 bytes each).
    let point = &key.public_key().as_ref()[1..];
    let (x, y) = point.split_at(32);
    let configuration = Arc::new(json!({
        "issuer": url,
        "jwks_uri": format!("{url}/openid/v1/jwks"),
        "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
    }));
    let keys = Arc::new(json!({ "keys": [{
        "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": KEY_ID,
        "x": BASE64_URL_SAFE_NO_PAD.encode(x), "y": BASE64_URL_SAFE_NO_PAD.encode(y),
    }] }));
    let serve = |document: Arc<Value>| routing::get(move || async move { Json(document.as_ref().clone()) });
    Router::new()
        .route("/.well-known/openid-configuration", serve(configuration))
        .route("/openid/v1/jwks", serve(keys))
}

fn claims(issuer: &str, subject: &str, audience: &str, issued_at: i64) -> Value {
    json!({
        "iss": issuer, "sub": subject, "aud": [audience],
        "iat": issued_at, "nbf": issued_at, "exp": issued_at + LIFETIME,
    })
}

fn new_key() -> anyhow::Result<EcdsaKeyPair> {
    let random = SystemRandom::new();
    EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random)
        .and_then(|pkcs8| {
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref(), &random)
                .map_err(|_| ring::error::Unspecified)
        })
        .map_err(|_| anyhow!("the system's random number generator failed"))
}

/// The compact form of RFC 7515 with ES256.
fn sign(key: &EcdsaKeyPair, claims: &Value) -> anyhow::Result<String> {
    let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    let header = json!({ "alg": "ES256", "kid": KEY_ID, "typ": "JWT" });
    let signed = format!("{}.{}", part(&header), part(claims));
    let signature = key
        .sign(&SystemRandom::new(), signed.as_bytes())
        .map_err(|_| anyhow!("the system's random number generator failed"))?;
    Ok(format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature)))
}

/// Unix seconds.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// TCP with TLS on top, for axum.
struct TlsListener {
    listener: TcpListener,
    acceptor: TlsAcceptor,
}

impl Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            // A caller that breaks off or speaks no TLS is its own problem.
            if let Ok((stream, address)) = self.listener.accept().await
                && let Ok(stream) = self.acceptor.accept(stream).await
            {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}
