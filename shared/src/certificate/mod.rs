//! Certificates with or without their private key: PFX or PEM in; PEM out, or signatures.

mod chain;
mod curve;
mod pem;
mod pfx;
mod private_key;
mod signature;
mod signer;
#[cfg(test)]
mod tests;

use der::asn1::AnyRef;
use der::{Decode, Tag, Tagged};

use self::private_key::PrivateKey;
use crate::diagnosis::{Explanation, case};
use crate::encoding::decode_base64;
use crate::secret::SecretBytes;

pub(crate) use self::signer::Signer;

/// What a PFX or PEM file holds, in stored order.
struct Bundle {
    keys: Vec<PrivateKey>,
    /// DER, one certificate each.
    certificates: Vec<Vec<u8>>,
}

/// How a certificate with its key is stored in a vault's secret. The value decides, not the content type: the latter
/// may be missing or wrong, and the forms cannot be confused.
enum Stored<'a> {
    Pem(&'a str),
    /// DER.
    Pfx(SecretBytes),
}

/// `tls.crt` and `tls.key`.
pub(crate) struct KeyPair {
    /// All certificates as PEM: in stored order, or with `server_first` the private key's own certificate and its chain.
    pub(crate) certificates: SecretBytes,
    /// The private key as PEM: PKCS#1 for RSA, SEC 1 for EC, PKCS#8 for what has no older form.
    pub(crate) key: SecretBytes,
}

/// Reads a PFX (DER, or its base64) or PEM with key and certificates; `server_first` orders the chain.
pub(crate) fn key_pair(value: &SecretBytes, server_first: bool) -> Result<KeyPair, Explanation> {
    let Bundle { keys, certificates } = bundle(value, None)?;
    if certificates.is_empty() {
        return Err(case::CertificateMissing.into());
    }
    let key = chain::matching_key(&keys, &certificates)?;
    let ordered;
    let certificates = if server_first && certificates.len() > 1 {
        ordered = chain::leaf_first(key, &certificates)?;
        &ordered
    } else {
        &certificates
    };
    Ok(KeyPair {
        certificates: pem_of(certificates.iter().map(Vec::as_slice)),
        key: key.to_pem(),
    })
}

fn bundle(value: &SecretBytes, password: Option<&str>) -> Result<Bundle, Explanation> {
    match stored(value)? {
        Stored::Pem(text) => pem::read(text, password),
        Stored::Pfx(der) => pfx::read(der.expose(), password),
    }
}

/// The bundle as stored: DER of a PFX, or the PEM text.
pub(crate) fn raw(value: &SecretBytes) -> Result<SecretBytes, Explanation> {
    Ok(match stored(value)? {
        Stored::Pem(_) => value.clone(),
        Stored::Pfx(der) => der,
    })
}

/// PEM of a certificate's DER.
pub(crate) fn public(der: &[u8]) -> Result<SecretBytes, Explanation> {
    if is_sequence(der) {
        Ok(pem_of(std::iter::once(der)))
    } else {
        Err(case::CertificateNotDer.into())
    }
}

fn pem_of<'a>(certificates: impl Iterator<Item = &'a [u8]>) -> SecretBytes {
    SecretBytes::from(
        certificates
            .map(|der| pem::write("CERTIFICATE", der))
            .collect::<String>(),
    )
}

fn stored(value: &SecretBytes) -> Result<Stored<'_>, Explanation> {
    if let Some(text) = value.expose_str().filter(|text| text.contains("-----BEGIN ")) {
        return Ok(Stored::Pem(text));
    }
    if is_sequence(value.expose()) {
        return Ok(Stored::Pfx(value.clone()));
    }
    decode_base64(value.expose().trim_ascii())
        .filter(|der| is_sequence(der.expose()))
        .map(Stored::Pfx)
        .ok_or_else(|| case::NeitherPemNorPfx.into())
}

/// Whether `der` is exactly one DER SEQUENCE, as certificates and PFX are.
fn is_sequence(der: &[u8]) -> bool {
    AnyRef::from_der(der).is_ok_and(|any| any.tag() == Tag::Sequence)
}
