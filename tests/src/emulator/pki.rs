//! The emulator's own certificate authority and its server certificates.

use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

/// What TLS on a listener needs, and the certificate clients must trust.
pub(crate) struct ServerIdentity {
    pub(crate) ca_pem: String,
    pub(crate) tls: Arc<ServerConfig>,
}

/// Makes a new authority and a server certificate for `names` signed by it.
pub(crate) fn create(names: &[String]) -> anyhow::Result<ServerIdentity> {
    Authority::create()?.identity(names)
}

/// A certificate authority (ECDSA P-256).
pub(crate) struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// Makes a new one.
    pub(crate) fn create() -> anyhow::Result<Self> {
        let mut params = CertificateParams::default();
        params
            .distinguished_name
            .push(DnType::CommonName, "akv2k8s-rs Key Vault emulator CA");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate()?;
        let pem = params.self_signed(&key)?.pem();
        Ok(Self {
            pem,
            issuer: Issuer::new(params, key),
        })
    }

    /// Its certificate, PEM.
    pub(crate) fn pem(&self) -> &str {
        &self.pem
    }

    /// A server that answers to `names` (host names, wildcards, IP addresses).
    pub(crate) fn identity(&self, names: &[String]) -> anyhow::Result<ServerIdentity> {
        let mut server = CertificateParams::new(names)?;
        server
            .distinguished_name
            .push(DnType::CommonName, "akv2k8s-rs Key Vault emulator");
        server.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        server.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate()?;
        let certificate = server.signed_by(&key, &self.issuer)?;

        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut tls = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())),
            )?;
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(ServerIdentity {
            ca_pem: self.pem.clone(),
            tls: Arc::new(tls),
        })
    }
}
