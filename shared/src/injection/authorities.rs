//! Certificates of the env injector's own authorities, told apart from anybody else's. Pure.

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use super::names::AUTHORITY;

/// Those in `bundle` (PEM), in its order, as DER. What is no certificate, or somebody else's, is passed over.
pub fn authorities(bundle: &[u8]) -> Vec<Vec<u8>> {
    CertificateDer::pem_slice_iter(bundle)
        .filter_map(Result::ok)
        .filter(|certificate| is_ours(certificate))
        .map(|certificate| certificate.to_vec())
        .collect()
}

fn is_ours(certificate: &[u8]) -> bool {
    X509Certificate::from_der(certificate).is_ok_and(|(_, certificate)| {
        let mut names = certificate.subject().iter_common_name();
        names.any(|name| name.as_str().is_ok_and(|name| name.starts_with(AUTHORITY)))
    })
}
