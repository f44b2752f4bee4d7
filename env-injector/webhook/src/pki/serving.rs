//! A certificate to serve with, and its key.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use akv2k8s_shared::secret::SecretBytes;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use x509_parser::extensions::GeneralName;

use super::authority::{Span, span, with_certificate};

/// A chain and its key, checked against each other.
#[derive(Clone)]
pub(super) struct Serving {
    /// The server's certificate first, PEM.
    pub(super) chain: String,
    /// PEM.
    pub(super) key: SecretBytes,
    pub(super) span: Span,
    names: BTreeSet<String>,
    certified: Arc<CertifiedKey>,
}

impl Serving {
    /// Reads a chain and a key, both PEM. `Err`: what is wrong with them.
    pub(super) fn read(chain: &str, key: SecretBytes) -> Result<Self, String> {
        let (span, names) = with_certificate(chain, |it| {
            let names = it.subject_alternative_name().ok().flatten();
            let names = names.map(|it| it.value.general_names.iter().filter_map(name).collect());
            Ok((span(it), names.unwrap_or_default()))
        })?;
        let certificates = CertificateDer::pem_slice_iter(chain.as_bytes())
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| format!("the certificate cannot be read: {error}"))?;
        let private = PrivateKeyDer::from_pem_slice(key.expose())
            .map_err(|error| format!("the private key cannot be read: {error}"))?;
        let certified = CertifiedKey::from_der(certificates, private, &default_provider())
            .map_err(|error| format!("certificate and private key cannot be used: {error}"))?;
        Ok(Self {
            chain: chain.to_owned(),
            key,
            span,
            names,
            certified: Arc::new(certified),
        })
    }

    /// Whether it is for all of `names`.
    pub(super) fn is_for(&self, names: &[String]) -> bool {
        names.iter().all(|it| self.names.contains(it))
    }

    /// As rustls serves it.
    pub(super) fn certified(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.certified)
    }
}

fn name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => {
            let four = <[u8; 4]>::try_from(*bytes).map(IpAddr::from);
            let address = four.or_else(|_| <[u8; 16]>::try_from(*bytes).map(IpAddr::from));
            address.ok().map(|it| it.to_string())
        }
        _ => None,
    }
}
