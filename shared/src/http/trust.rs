//! Which certificate authorities are believed.

use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use crate::diagnosis::{Diagnosis, case};
use crate::environment::Environment;
use crate::environment::common::{SSL_CERT_DIR, SSL_CERT_FILE};

/// TLS 1.2 and 1.3 on ring, trusting `SSL_CERT_FILE`/`SSL_CERT_DIR` when set, else the system's roots, else Mozilla's.
///
/// One source, never a union: behind a TLS-inspecting proxy the operator names the only roots that are meant.
pub(super) fn client_config(environment: &Environment) -> Result<ClientConfig, Box<Diagnosis>> {
    Ok(trusting(roots(environment)?))
}

/// The same, trusting the certificates in `pem` besides.
pub(super) fn client_config_with(environment: &Environment, pem: &[u8]) -> Result<ClientConfig, Box<Diagnosis>> {
    let mut roots = roots(environment)?;
    let before = roots.len();
    roots.add_parsable_certificates(CertificateDer::pem_slice_iter(pem).filter_map(Result::ok));
    if roots.len() == before {
        return Err(Box::new(Diagnosis::case(
            case::OwnAuthoritiesEmpty,
            "The additional certificate authorities cannot be used.",
        )));
    }
    Ok(trusting(roots))
}

/// Trusts the certificates in `pem` and no others.
pub(super) fn client_config_of(pem: &[u8]) -> Result<ClientConfig, Box<Diagnosis>> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(CertificateDer::pem_slice_iter(pem).filter_map(Result::ok));
    if roots.is_empty() {
        return Err(Box::new(Diagnosis::case(
            case::ServerAuthorityEmpty,
            "The certificate authority of a server cannot be used.",
        )));
    }
    Ok(trusting(roots))
}

fn trusting(roots: RootCertStore) -> ClientConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring supports TLS 1.2 and 1.3")
        .with_root_certificates(roots)
        .with_no_client_auth()
}

fn roots(environment: &Environment) -> Result<RootCertStore, Box<Diagnosis>> {
    let file = environment.path(SSL_CERT_FILE);
    let dir = environment.path(SSL_CERT_DIR);
    let mut roots = RootCertStore::empty();
    if file.is_some() || dir.is_some() {
        let loaded = rustls_native_certs::load_certs_from_paths(file.as_deref(), dir.as_deref());
        roots.add_parsable_certificates(loaded.certs);
        return if roots.is_empty() {
            Err(Box::new(unusable(&loaded.errors)))
        } else {
            Ok(roots)
        };
    }
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        tracing::info!("the system has no certificate authorities: using Mozilla's, compiled in");
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    Ok(roots)
}

fn unusable(errors: &[rustls_native_certs::Error]) -> Diagnosis {
    let what = "SSL_CERT_FILE or SSL_CERT_DIR names no usable certificate authority.";
    match errors.first() {
        Some(error) => Diagnosis::case(case::AuthoritiesUnreadable { error }, what),
        None => Diagnosis::case(case::AuthoritiesEmpty, what),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnosis::Code;

    #[test]
    fn a_certificate_file_without_certificates_is_an_error_not_an_empty_store() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for path in [file.path().to_str().unwrap(), "/nonexistent/ca.pem"] {
            let environment = Environment::from_iter([("SSL_CERT_FILE", path)]);
            assert_eq!(
                client_config(&environment).unwrap_err().code,
                Code::TrustStoreUnreadable
            );
        }
    }

    #[test]
    fn additional_authorities_need_at_least_one() {
        let error = client_config_with(&Environment::default(), b"not a certificate").unwrap_err();
        assert_eq!(error.code, Code::TrustStoreUnreadable);
    }

    #[test]
    fn a_server_of_its_own_authority_needs_one() {
        let error = client_config_of(b"not a certificate").unwrap_err();
        assert_eq!(error.code, Code::TrustStoreUnreadable);
    }

    #[test]
    fn without_variables_there_is_always_something_to_trust() {
        assert!(!roots(&Environment::default()).unwrap().is_empty());
    }
}
