//! Certificate authorities, and the certificates they sign. ECDSA P-256 throughout.

use akv2k8s_shared::injection::names::AUTHORITY;
use akv2k8s_shared::secret::SecretBytes;
use jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use super::serving::Serving;

/// How long an authority signs.
pub(super) const TERM: SignedDuration = SignedDuration::from_hours(5 * 365 * 24);
/// How long a serving certificate is valid, at most.
pub(super) const SERVING: SignedDuration = SignedDuration::from_hours(90 * 24);
/// Certificates begin a little earlier than now, for clocks that are late.
const LATE_CLOCKS: SignedDuration = SignedDuration::from_hours(1);

/// From when to when a certificate is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) from: Timestamp,
    pub(super) until: Timestamp,
}

/// A certificate authority with its key.
#[derive(Clone)]
pub(super) struct Authority {
    /// PEM.
    pub(super) certificate: String,
    /// PKCS#8, PEM.
    pub(super) key: SecretBytes,
    pub(super) span: Span,
}

impl Authority {
    /// A new one, valid from `now` to `until`.
    pub(super) fn make(now: Timestamp, until: Timestamp) -> Result<Self, rcgen::Error> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        // Each has a name of its own, so that a chain leads to one authority only.
        let id = params.key_identifier(&key);
        let id = id.first_chunk().map_or(0, |id| u32::from_be_bytes(*id));
        let name = format!("{AUTHORITY} {id:08x}");
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let span = Span { from: now, until };
        set_span(&mut params, span);
        let certificate = params.self_signed(&key)?.pem();
        Ok(Self {
            certificate,
            key: SecretBytes::from(key.serialize_pem()),
            span,
        })
    }

    /// Reads what [`Self::make`] made. `Err`: what is wrong with it.
    pub(super) fn read(certificate: &str, key: SecretBytes) -> Result<Self, String> {
        let span = with_certificate(certificate, |it| Ok(span(it)))?;
        let authority = Self {
            certificate: certificate.to_owned(),
            key,
            span,
        };
        let key = authority.key_pair()?;
        with_certificate(certificate, |it| {
            let same = it.public_key().subject_public_key.data == key.public_key_raw();
            same.then_some(())
                .ok_or_else(|| "key and certificate do not belong together".to_owned())
        })?;
        Ok(authority)
    }

    /// A certificate for a server that is called `names`, valid from `now` on for [`SERVING`], never longer than its authority.
    pub(super) fn issue(&self, names: &[String], now: Timestamp) -> Result<Serving, String> {
        let error = |error: rcgen::Error| format!("a certificate cannot be signed: {error}");
        let issuer = Issuer::from_ca_cert_pem(&self.certificate, self.key_pair()?).map_err(error)?;
        let mut params = CertificateParams::new(names.to_vec()).map_err(error)?;
        let name = names.first().map_or("akv2k8s-envinjector", String::as_str);
        // A common name has 64 characters at most; nobody reads it where there are alternative names.
        params
            .distinguished_name
            .push(DnType::CommonName, name.get(..64).unwrap_or(name));
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let from = now - LATE_CLOCKS;
        let span = Span {
            from,
            until: (from + SERVING).min(self.span.until),
        };
        set_span(&mut params, span);
        let key = KeyPair::generate().map_err(error)?;
        let certificate = params.signed_by(&key, &issuer).map_err(error)?.pem();
        Serving::read(&certificate, SecretBytes::from(key.serialize_pem()))
    }

    /// Whether this authority signed `certificate` (PEM).
    pub(super) fn signed(&self, certificate: &str) -> bool {
        with_certificate(&self.certificate, |authority| {
            with_certificate(certificate, |it| {
                Ok(it.verify_signature(Some(authority.public_key())).is_ok())
            })
        })
        .unwrap_or(false)
    }

    fn key_pair(&self) -> Result<KeyPair, String> {
        let pem = self.key.expose_str().ok_or("the key is not PEM")?;
        KeyPair::from_pem(pem).map_err(|error| format!("the key cannot be read: {error}"))
    }
}

/// Certificates carry whole seconds.
fn set_span(params: &mut CertificateParams, span: Span) {
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    let at = |time: Timestamp| epoch + std::time::Duration::from_secs(time.as_second().unsigned_abs());
    params.not_before = at(span.from);
    params.not_after = at(span.until);
}

/// When a certificate is valid.
pub(super) fn span(certificate: &X509Certificate<'_>) -> Span {
    let at = |seconds| Timestamp::from_second(seconds).unwrap_or(Timestamp::UNIX_EPOCH);
    let validity = certificate.validity();
    Span {
        from: at(validity.not_before.timestamp()),
        until: at(validity.not_after.timestamp()),
    }
}

/// Looks at the first certificate of a PEM text.
pub(super) fn with_certificate<T>(
    pem: &str,
    look: impl FnOnce(&X509Certificate<'_>) -> Result<T, String>,
) -> Result<T, String> {
    let unreadable = |error: String| format!("the certificate cannot be read: {error}");
    let der = CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|error| unreadable(error.to_string()))?;
    let (_, certificate) = X509Certificate::from_der(&der).map_err(|error| unreadable(error.to_string()))?;
    look(&certificate)
}
