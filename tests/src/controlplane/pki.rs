//! The certificates and keys of a local control plane.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::{fmt, fs, io};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};

/// File with the API server's certificate, PEM.
pub(super) const SERVER_CERTIFICATE: &str = "apiserver.crt";
/// File with its key, PEM.
pub(super) const SERVER_KEY: &str = "apiserver.key";

/// The address of the service `kubernetes`: the first one of the range of Services.
const CLUSTER_IP: &str = "10.0.0.1";

/// Files below one folder, and what goes into a kubeconfig.
pub(super) struct Pki {
    /// Certificate of the authority that signed all others, PEM.
    pub(super) ca_file: PathBuf,
    /// The API server's certificate for its address and localhost, PEM.
    pub(super) server_certificate_file: PathBuf,
    /// Its key, PEM.
    pub(super) server_key_file: PathBuf,
    /// The key that signs ServiceAccount tokens, PEM.
    pub(super) service_account_key_file: PathBuf,
    /// Its public half, PEM.
    pub(super) service_account_public_key_file: PathBuf,
    /// Certificate of an administrator, PEM.
    pub(super) admin_certificate_file: PathBuf,
    /// Its key, PEM.
    pub(super) admin_key_file: PathBuf,
    /// Who the administrator is.
    pub(super) admin: Pair,
    authority: Authority,
}

impl fmt::Debug for Pki {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pki")
            .field("ca_file", &self.ca_file)
            .finish_non_exhaustive()
    }
}

impl Pki {
    /// Makes everything anew, for a server at `address`, and writes it into `folder`. All keys are ECDSA P-256.
    pub(super) fn create(folder: &Path, address: Ipv4Addr) -> io::Result<Self> {
        let authority = authority().map_err(io::Error::other)?;
        let server = server(&authority, address).map_err(io::Error::other)?;
        let admin = client(&authority, "admin", &["system:masters"]).map_err(io::Error::other)?;
        let service_accounts = KeyPair::generate().map_err(io::Error::other)?;

        let write = |name: &str, text: &str| {
            let path = folder.join(name);
            fs::write(&path, text).map(|()| path)
        };
        Ok(Self {
            ca_file: write("ca.crt", &authority.pem())?,
            server_certificate_file: write(SERVER_CERTIFICATE, &server.certificate)?,
            server_key_file: write(SERVER_KEY, &server.key)?,
            service_account_key_file: write("service-account.key", &service_accounts.serialize_pem())?,
            service_account_public_key_file: write("service-account.pub", &service_accounts.public_key_pem())?,
            admin_certificate_file: write("admin.crt", &admin.certificate)?,
            admin_key_file: write("admin.key", &admin.key)?,
            admin,
            authority,
        })
    }

    /// The authority's certificate, PEM.
    pub(super) fn ca(&self) -> String {
        self.authority.pem()
    }

    /// A certificate by which a client is this user in these groups.
    pub(super) fn client(&self, user: &str, groups: &[&str]) -> io::Result<Pair> {
        client(&self.authority, user, groups).map_err(io::Error::other)
    }
}

/// A certificate and its key.
pub(super) struct Pair {
    /// PEM.
    pub(super) certificate: String,
    /// PEM.
    pub(super) key: String,
}

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Result<Authority, rcgen::Error> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "akv2k8s test bed");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    CertifiedIssuer::self_signed(params, KeyPair::generate()?)
}

fn server(ca: &Authority, address: Ipv4Addr) -> Result<Pair, rcgen::Error> {
    let names = ["localhost", "kubernetes.default.svc", CLUSTER_IP].map(str::to_owned);
    let names = names.into_iter().chain([address.to_string()]);
    let mut params = CertificateParams::new(names.collect::<Vec<_>>())?;
    params.distinguished_name.push(DnType::CommonName, "kube-apiserver");
    sign(params, ExtendedKeyUsagePurpose::ServerAuth, ca)
}

fn client(ca: &Authority, user: &str, groups: &[&str]) -> Result<Pair, rcgen::Error> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, user);
    for group in groups {
        params.distinguished_name.push(DnType::OrganizationName, *group);
    }
    sign(params, ExtendedKeyUsagePurpose::ClientAuth, ca)
}

fn sign(mut params: CertificateParams, usage: ExtendedKeyUsagePurpose, ca: &Authority) -> Result<Pair, rcgen::Error> {
    params.extended_key_usages = vec![usage];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate()?;
    Ok(Pair {
        certificate: params.signed_by(&key, ca)?.pem(),
        key: key.serialize_pem(),
    })
}
