//! Did this key sign that certificate?

use x509_parser::certificate::X509Certificate;
use x509_parser::error::X509Error;
use x509_parser::public_key::PublicKey;

/// What a signature says about a supposed issuer. Ordered: greater is surer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Verdict {
    /// Another key signed.
    Refuted,
    /// The algorithm is not known here.
    Unknown,
    /// This key signed.
    Verified,
}

/// Whether the key of `issuer` signed `child`; names are not looked at.
pub(super) fn check(child: &X509Certificate<'_>, issuer: &X509Certificate<'_>) -> Verdict {
    match child.verify_signature(Some(issuer.public_key())) {
        Ok(()) => Verdict::Verified,
        Err(X509Error::SignatureVerificationError) if is_checkable(child, issuer) => Verdict::Refuted,
        Err(_) => Verdict::Unknown,
    }
}

/// Whether a failed check means another key. Not for RSA keys of sizes ring refuses, nor for RSA-PSS, where ring insists
/// on a salt as long as the digest.
fn is_checkable(child: &X509Certificate<'_>, issuer: &X509Certificate<'_>) -> bool {
    const RSASSA_PSS: &str = "1.2.840.113549.1.1.10";
    let size_is_checkable = match issuer.public_key().parsed() {
        Ok(PublicKey::RSA(key)) => (2048..=8192).contains(&key.key_size()),
        _ => true,
    };
    size_is_checkable && child.signature_algorithm.algorithm.to_id_string() != RSASSA_PSS
}
