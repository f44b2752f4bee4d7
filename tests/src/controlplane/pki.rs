//! The certificates and keys of a local control plane.

use std::path::{Path, PathBuf};
use std::{fs, io};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};

/// File with the API server's certificate, PEM.
pub(super) const SERVER_CERTIFICATE: &str = "apiserver.crt";
/// File with its key, PEM.
pub(super) const SERVER_KEY: &str = "apiserver.key";

/// Files below one folder, and what goes into a kubeconfig.
#[derive(Debug)]
pub(super) struct Pki {
    /// Certificate of the authority that signed both others, PEM.
    pub(super) ca_file: PathBuf,
    /// The API server's certificate for 127.0.0.1 and localhost, PEM.
    pub(super) server_certificate_file: PathBuf,
    /// Its key, PEM.
    pub(super) server_key_file: PathBuf,
    /// The key that signs ServiceAccount tokens, PEM.
    pub(super) service_account_key_file: PathBuf,
    /// Its public half, PEM.
    pub(super) service_account_public_key_file: PathBuf,
    /// Authority, PEM.
    pub(super) ca: String,
    /// Certificate of an administrator (group `system:masters`), PEM.
    pub(super) admin_certificate: String,
    /// The administrator's key, PEM.
    pub(super) admin_key: String,
}

impl Pki {
    /// Makes everything anew and writes it into `folder`. All keys are ECDSA P-256.
    pub(super) fn create(folder: &Path) -> io::Result<Self> {
        let ca = authority().map_err(io::Error::other)?;
        let server = server(&ca).map_err(io::Error::other)?;
        let admin = admin(&ca).map_err(io::Error::other)?;
        let service_accounts = KeyPair::generate().map_err(io::Error::other)?;

        let write = |name: &str, text: &str| {
            let path = folder.join(name);
            fs::write(&path, text).map(|()| path)
        };
        Ok(Self {
            ca_file: write("ca.crt", &ca.pem())?,
            server_certificate_file: write(SERVER_CERTIFICATE, &server.0)?,
            server_key_file: write(SERVER_KEY, &server.1)?,
            service_account_key_file: write("service-account.key", &service_accounts.serialize_pem())?,
            service_account_public_key_file: write("service-account.pub", &service_accounts.public_key_pem())?,
            ca: ca.pem(),
            admin_certificate: admin.0,
            admin_key: admin.1,
        })
    }
}

type Authority = CertifiedIssuer<'static, KeyPair>;
/// Certificate and key, both PEM.
type Pair = (String, String);

fn authority() -> Result<Authority, rcgen::Error> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "akv2k8s test bed");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    CertifiedIssuer::self_signed(params, KeyPair::generate()?)
}

fn server(ca: &Authority) -> Result<Pair, rcgen::Error> {
    let mut params = CertificateParams::new(["127.0.0.1".to_owned(), "localhost".to_owned()])?;
    params.distinguished_name.push(DnType::CommonName, "kube-apiserver");
    sign(params, ExtendedKeyUsagePurpose::ServerAuth, ca)
}

fn admin(ca: &Authority) -> Result<Pair, rcgen::Error> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "admin");
    params
        .distinguished_name
        .push(DnType::OrganizationName, "system:masters");
    sign(params, ExtendedKeyUsagePurpose::ClientAuth, ca)
}

fn sign(mut params: CertificateParams, usage: ExtendedKeyUsagePurpose, ca: &Authority) -> Result<Pair, rcgen::Error> {
    params.extended_key_usages = vec![usage];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate()?;
    Ok((params.signed_by(&key, ca)?.pem(), key.serialize_pem()))
}
