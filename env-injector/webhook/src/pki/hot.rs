//! The certificate of a TLS port, exchanged while it serves.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use rustls::ServerConfig;
use rustls::crypto::ring::default_provider;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

/// Holds the certificate with which new connections are served.
#[derive(Default)]
pub(super) struct Hot(RwLock<Option<Arc<CertifiedKey>>>);

impl Hot {
    /// From now on serves `certified`.
    pub(super) fn set(&self, certified: Arc<CertifiedKey>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(certified);
    }

    /// Until when that is valid, in Unix seconds.
    pub(super) fn valid_until(&self) -> Option<i64> {
        let certified = self.now()?;
        let (_, certificate) = X509Certificate::from_der(certified.cert.first()?).ok()?;
        Some(certificate.validity().not_after.timestamp())
    }

    /// What is served now.
    pub(super) fn now(&self) -> Option<Arc<CertifiedKey>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ResolvesServerCert for Hot {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.now()
    }
}

impl fmt::Debug for Hot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hot(…)")
    }
}

/// TLS 1.2 and 1.3, HTTP/1.1, no client certificates.
pub(super) fn server_config(hot: Arc<Hot>) -> Arc<ServerConfig> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring supports TLS 1.2 and 1.3")
        .with_no_client_auth()
        .with_cert_resolver(hot);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Arc::new(config)
}
