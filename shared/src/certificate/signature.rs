//! Did this key sign that certificate?

use der::asn1::ObjectIdentifier;
use k256::ecdsa::signature::hazmat::PrehashVerifier;
use ring::digest;
use x509_parser::certificate::X509Certificate;
use x509_parser::error::X509Error;
use x509_parser::public_key::PublicKey;

use super::curve::{P521, SECP256K1};

const ECDSA_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2");
const ECDSA_SHA384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.3");
const ECDSA_SHA512: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.4");

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
        Err(_) => check_other_curves(child, issuer).unwrap_or(Verdict::Unknown),
    }
}

/// ECDSA on the curves ring lacks; `None` for what neither knows.
fn check_other_curves(child: &X509Certificate<'_>, issuer: &X509Certificate<'_>) -> Option<Verdict> {
    let oid = |text: String| ObjectIdentifier::new(&text).ok();
    let hash = match oid(child.signature_algorithm.algorithm.to_id_string())? {
        ECDSA_SHA256 => &digest::SHA256,
        ECDSA_SHA384 => &digest::SHA384,
        ECDSA_SHA512 => &digest::SHA512,
        _ => return None,
    };
    let prehash = digest::digest(hash, child.tbs_certificate.as_ref());
    let (prehash, signature) = (prehash.as_ref(), &*child.signature_value.data);
    let key = &*issuer.public_key().subject_public_key.data;
    let valid = match oid(issuer
        .public_key()
        .algorithm
        .parameters
        .as_ref()?
        .as_oid()
        .ok()?
        .to_id_string())?
    {
        // A digest under half the field's size is refused without a look at the signature.
        P521 if prehash.len() > 33 => {
            let signature = p521::ecdsa::Signature::from_der(signature).ok()?;
            p521::ecdsa::VerifyingKey::from_sec1_bytes(key)
                .ok()?
                .verify_prehash(prehash, &signature)
                .is_ok()
        }
        SECP256K1 => {
            // This crate wants the lesser of two equivalent signatures, as Bitcoin does; X.509 knows no such rule.
            let signature = k256::ecdsa::Signature::from_der(signature).ok()?.normalize_s();
            k256::ecdsa::VerifyingKey::from_sec1_bytes(key)
                .ok()?
                .verify_prehash(prehash, &signature)
                .is_ok()
        }
        _ => return None,
    };
    Some(if valid { Verdict::Verified } else { Verdict::Refuted })
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
