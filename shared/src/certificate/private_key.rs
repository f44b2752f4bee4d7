//! A private key, re-encoded the way upstream writes it.

use der::asn1::{ObjectIdentifier, OctetStringRef};
use der::{Decode, Encode};
use pkcs1::RsaPrivateKeyRef;
use pkcs8::PrivateKeyInfoRef;
use ring::signature::{Ed25519KeyPair, KeyPair};
use sec1::{EcParameters, EcPrivateKey};
use zeroize::Zeroizing;

use super::{curve, pem};
use crate::diagnosis::{Explanation, case};
use crate::secret::SecretBytes;

const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

const RSA_LABEL: &str = "RSA PRIVATE KEY";

/// A private key in the form it is written in.
pub(super) struct PrivateKey {
    label: &'static str,
    der: Zeroizing<Vec<u8>>,
    /// The bits of its `subjectPublicKey`, by which its certificate is found; `None` when they cannot be told.
    public: Option<Vec<u8>>,
}

impl PrivateKey {
    /// Reads PKCS#1, PKCS#8 or SEC 1 DER, whatever a PEM label said.
    pub(super) fn from_der(der: &[u8]) -> Result<Self, Explanation> {
        if let Ok(rsa) = RsaPrivateKeyRef::from_der(der) {
            Self::rsa(&rsa, der)
        } else if let Ok(info) = PrivateKeyInfoRef::from_der(der) {
            Self::pkcs8(&info)
        } else if let Ok(ec) = EcPrivateKey::from_der(der) {
            Self::ec(&ec, None)
        } else {
            Err(case::PrivateKeyDamaged.into())
        }
    }

    fn pkcs8(info: &PrivateKeyInfoRef<'_>) -> Result<Self, Explanation> {
        let inner = info.private_key.as_bytes();
        match info.algorithm.oid {
            RSA_ENCRYPTION => Self::rsa(
                &RsaPrivateKeyRef::from_der(inner).map_err(|_| case::PrivateKeyDamaged)?,
                inner,
            ),
            EC_PUBLIC_KEY => {
                let curve = info
                    .algorithm
                    .parameters
                    .and_then(|parameters| parameters.decode_as().ok());
                Self::ec(
                    &EcPrivateKey::from_der(inner).map_err(|_| case::PrivateKeyDamaged)?,
                    curve,
                )
            }
            _ => Self::other(info),
        }
    }

    fn rsa(key: &RsaPrivateKeyRef<'_>, der: &[u8]) -> Result<Self, Explanation> {
        let public = key.public_key().to_der().map_err(|_| case::PrivateKeyDamaged)?;
        Ok(Self {
            label: RSA_LABEL,
            der: Zeroizing::new(der.to_vec()),
            public: Some(public),
        })
    }

    /// `curve` is what PKCS#8 says outside the key; it wins over what the key says itself.
    fn ec(key: &EcPrivateKey<'_>, curve: Option<ObjectIdentifier>) -> Result<Self, Explanation> {
        let curve = curve
            .or(key.parameters.and_then(EcParameters::named_curve))
            .ok_or(case::CurveMissing)?;
        let known = curve::complete(curve, key.private_key)
            .transpose()
            .map_err(|()| case::PrivateKeyDamaged)?;
        let (private, public) = match &known {
            Some(pair) => (pair.private.as_slice(), Some(pair.public.as_slice())),
            None => (key.private_key, key.public_key),
        };
        let complete = EcPrivateKey {
            private_key: private,
            parameters: Some(EcParameters::NamedCurve(curve)),
            public_key: public,
        };
        let der = Zeroizing::new(complete.to_der().map_err(|_| case::PrivateKeyDamaged)?);
        Ok(Self {
            label: "EC PRIVATE KEY",
            der,
            public: public.map(<[u8]>::to_vec),
        })
    }

    /// Ed25519 and whatever else has PKCS#8 as its only form: version 1 of it, which every reader knows, without
    /// attributes.
    fn other(info: &PrivateKeyInfoRef<'_>) -> Result<Self, Explanation> {
        let plain = PrivateKeyInfoRef::new(info.algorithm, info.private_key);
        let der = Zeroizing::new(plain.to_der().map_err(|_| case::PrivateKeyDamaged)?);
        let stored = info.public_key.and_then(|bits| bits.as_bytes().map(<[u8]>::to_vec));
        Ok(Self {
            label: "PRIVATE KEY",
            der,
            public: ed25519_public(info).or(stored),
        })
    }

    /// The key as PEM.
    pub(super) fn to_pem(&self) -> SecretBytes {
        SecretBytes::from(pem::write(self.label, &self.der))
    }

    /// PKCS#1 DER of an RSA key; `None` of any other.
    pub(super) fn rsa_der(&self) -> Option<&[u8]> {
        (self.label == RSA_LABEL).then_some(&*self.der)
    }

    /// Whether it can be told which certificate is this key's.
    pub(super) fn has_public_half(&self) -> bool {
        self.public.is_some()
    }

    /// Whether `subject_public_key`, the bits of a certificate's key, are this key's.
    pub(super) fn belongs_to(&self, subject_public_key: &[u8]) -> bool {
        let public = self.public.as_deref();
        public.is_some_and(|public| public == subject_public_key || is_compressed(subject_public_key, public))
    }
}

/// Whether `short` is the compressed form of the point `long` (SEC 1 §2.3.3): the sign of y, and x.
fn is_compressed(short: &[u8], long: &[u8]) -> bool {
    let ([sign @ (2 | 3), x @ ..], [4, point @ ..]) = (short, long) else {
        return false;
    };
    point.len() == 2 * x.len() && point.starts_with(x) && point.last().is_some_and(|y| y & 1 == sign & 1)
}

/// RFC 8410 §7: the key is an OCTET STRING of 32 bytes inside the OCTET STRING of PKCS#8.
fn ed25519_public(info: &PrivateKeyInfoRef<'_>) -> Option<Vec<u8>> {
    let seed = <&OctetStringRef>::from_der(info.private_key.as_bytes())
        .ok()
        .filter(|_| info.algorithm.oid == ED25519)?;
    let pair = Ed25519KeyPair::from_seed_unchecked(seed.as_bytes()).ok()?;
    Some(pair.public_key().as_ref().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::testdata;

    #[test]
    fn a_certificate_may_hold_the_compressed_form_of_its_point() {
        for name in ["p256", "p384", "p521", "p256k"] {
            let key = PrivateKey::from_der(&testdata::der(&format!("keys/{name}.key.pem"))).expect("a private key");
            let public = key.public.clone().expect("a known curve");
            let sign = 2 | (public.last().expect("y") & 1);
            let x = &public[1..=public.len() / 2];
            assert!(key.belongs_to(&[&[sign], x].concat()), "{name}");
            let other_sign = [&[sign ^ 1], x].concat();
            for other in [other_sign.as_slice(), x, &[sign]] {
                assert!(!key.belongs_to(other), "{name}");
            }
        }
    }
}
