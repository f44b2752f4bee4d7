//! Private keys of every type the vault offers: generation, encodings, signatures.

pub mod bundle;
mod der;
mod distinguished_name;
mod rsa;
pub mod x509;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use pkcs8::der::Decode;
use pkcs8::{EncodePrivateKey, PrivateKeyInfoRef};
use ring::rand::{SecureRandom, SystemRandom};
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use serde_json::{Map, Value, json};
use thiserror::Error;

/// Why a key could not be made, read or used.
#[derive(Debug, Error)]
pub enum CryptoError {
    /// Not a size the vault offers.
    #[error("{0} bits is not a key size the vault offers: 2048, 3072 or 4096")]
    KeySize(u32),
    /// Not the encoding, or not the type, it should be.
    #[error("unreadable key: {0}")]
    Encoding(String),
}

fn encoding(error: impl std::fmt::Display) -> CryptoError {
    CryptoError::Encoding(error.to_string())
}

/// The elliptic curves of Key Vault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Curve {
    /// NIST P-256.
    P256,
    /// NIST P-384.
    P384,
    /// NIST P-521.
    P521,
    /// secp256k1, `P-256K` on the wire.
    P256K,
}

/// Evaluates an expression with `$module` standing for the curve's crate: they offer the same names.
macro_rules! on_curve {
    ($curve:expr, $module:ident => $body:expr) => {
        match $curve {
            Curve::P256 => {
                use p256 as $module;
                $body
            }
            Curve::P384 => {
                use p384 as $module;
                $body
            }
            Curve::P521 => {
                use p521 as $module;
                $body
            }
            Curve::P256K => {
                use k256 as $module;
                $body
            }
        }
    };
}

impl Curve {
    const ALL: [Self; 4] = [Self::P256, Self::P384, Self::P521, Self::P256K];

    /// The name on the wire: `P-256`, `P-384`, `P-521`, `P-256K`.
    pub fn name(self) -> &'static str {
        match self {
            Self::P256 => "P-256",
            Self::P384 => "P-384",
            Self::P521 => "P-521",
            Self::P256K => "P-256K",
        }
    }

    /// The curve with this name on the wire.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|curve| curve.name() == name)
    }

    /// Bytes of a coordinate and of a private scalar.
    fn width(self) -> usize {
        match self {
            Self::P256 | Self::P256K => 32,
            Self::P384 => 48,
            Self::P521 => 66,
        }
    }

    /// The curve's object identifier (RFC 5480 §2.1.1.1; SEC 2 for secp256k1), DER.
    fn oid(self) -> &'static [u8] {
        match self {
            Self::P256 => &[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07],
            Self::P384 => &[0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22],
            Self::P521 => &[0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x23],
            Self::P256K => &[0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x0a],
        }
    }
}

/// What kind of key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyType {
    /// RSA with this many bits: 2048, 3072 or 4096.
    Rsa(u32),
    /// An elliptic curve key.
    Ec(Curve),
}

/// A private key with its public part.
#[derive(Clone)]
pub struct PrivateKey {
    pkcs8: Vec<u8>,
    public: PublicKey,
}

/// The public part of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PublicKey {
    /// RSA; big-endian numbers without leading zeros.
    Rsa {
        /// Modulus.
        n: Vec<u8>,
        /// Public exponent.
        e: Vec<u8>,
    },
    /// A point on a curve.
    Ec {
        /// Which curve.
        curve: Curve,
        /// Uncompressed: `04 ‖ x ‖ y` (SEC 1 §2.3.3).
        point: Vec<u8>,
    },
}

impl PrivateKey {
    /// Makes a new key. RSA takes from tens of milliseconds (2048) to seconds (4096): not under a lock.
    pub fn generate(kind: KeyType) -> Result<Self, CryptoError> {
        match kind {
            KeyType::Rsa(bits) => Self::from_pkcs8(&der::pkcs8_rsa(&rsa::generate(bits)?)),
            KeyType::Ec(curve) => Self::from_pkcs8(&generate_ec(curve)),
        }
    }

    /// Reads PKCS#8 DER (RFC 5958).
    pub fn from_pkcs8(pkcs8: &[u8]) -> Result<Self, CryptoError> {
        let info = PrivateKeyInfoRef::from_der(pkcs8).map_err(encoding)?;
        let algorithm = info.algorithm.oid.to_string();
        let public = match algorithm.as_str() {
            "1.2.840.113549.1.1.1" => {
                let (n, e) = rsa::public_numbers(info.private_key.as_bytes())?;
                PublicKey::Rsa { n, e }
            }
            "1.2.840.10045.2.1" => {
                let curve = info.algorithm.parameters_oid().map_err(encoding)?.to_string();
                let curve = match curve.as_str() {
                    "1.2.840.10045.3.1.7" => Curve::P256,
                    "1.3.132.0.34" => Curve::P384,
                    "1.3.132.0.35" => Curve::P521,
                    "1.3.132.0.10" => Curve::P256K,
                    other => {
                        return Err(CryptoError::Encoding(format!(
                            "curve {other} is not one the vault offers"
                        )));
                    }
                };
                PublicKey::Ec {
                    curve,
                    point: ec_point(curve, pkcs8)?,
                }
            }
            other => {
                return Err(CryptoError::Encoding(format!(
                    "algorithm {other} is not one the vault offers"
                )));
            }
        };
        Ok(Self {
            pkcs8: pkcs8.to_vec(),
            public,
        })
    }

    /// PKCS#8 DER.
    pub fn pkcs8(&self) -> &[u8] {
        &self.pkcs8
    }

    /// The public part.
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// Signs with the algorithm X.509 and JOSE pair with the key: RSA PKCS#1 v1.5 with SHA-256, or ECDSA (DER form,
    /// RFC 3279 §2.2.3) with SHA-256, SHA-384 or SHA-512 by the size of the curve.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, CryptoError> {
        match &self.public {
            PublicKey::Rsa { .. } => {
                let pair = RsaKeyPair::from_pkcs8(&self.pkcs8).map_err(encoding)?;
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature)
                    .map_err(encoding)?;
                Ok(signature)
            }
            PublicKey::Ec { curve, .. } => on_curve!(curve, ec => {
                use ec::ecdsa::signature::Signer;
                use ec::pkcs8::DecodePrivateKey;
                let secret = ec::SecretKey::from_pkcs8_der(&self.pkcs8).map_err(encoding)?;
                let signature: ec::ecdsa::Signature = ec::ecdsa::SigningKey::from(&secret).sign(message);
                Ok(signature.to_der().as_bytes().to_vec())
            }),
        }
    }
}

impl PublicKey {
    /// As a JSON Web Key (RFC 7517, 7518 §6): `kty` with `n`, `e` or `crv`, `x`, `y`.
    pub fn jwk(&self) -> Map<String, Value> {
        let text = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
        let jwk = match self {
            Self::Rsa { n, e } => json!({ "kty": "RSA", "n": text(n), "e": text(e) }),
            Self::Ec { curve, point } => {
                let (x, y) = point[1..].split_at(curve.width());
                json!({ "kty": "EC", "crv": curve.name(), "x": text(x), "y": text(y) })
            }
        };
        match jwk {
            Value::Object(members) => members,
            _ => Map::new(),
        }
    }
}

/// A new EC key as PKCS#8: a random scalar, drawn again until it is within the curve's order.
fn generate_ec(curve: Curve) -> Vec<u8> {
    let random = SystemRandom::new();
    loop {
        let mut scalar = vec![0; curve.width()];
        random
            .fill(&mut scalar)
            .expect("the operating system gives random bytes");
        if curve == Curve::P521 {
            scalar[0] &= 1;
        }
        let pkcs8 = on_curve!(curve, ec => {
            ec::SecretKey::from_slice(&scalar).ok().and_then(|secret| secret.to_pkcs8_der().ok())
        });
        if let Some(document) = pkcs8 {
            return document.as_bytes().to_vec();
        }
    }
}

fn ec_point(curve: Curve, pkcs8: &[u8]) -> Result<Vec<u8>, CryptoError> {
    on_curve!(curve, ec => {
        use ec::elliptic_curve::sec1::ToSec1Point;
        use ec::pkcs8::DecodePrivateKey;
        let secret = ec::SecretKey::from_pkcs8_der(pkcs8).map_err(encoding)?;
        Ok(secret.public_key().to_sec1_point(false).as_bytes().to_vec())
    })
}

/// Random bytes as lower-case hexadecimal digits: version ids (16 bytes).
pub(crate) fn random_hex(bytes: usize) -> String {
    hex(&random_bytes(bytes))
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(nibble.into(), 16).expect("four bits are a digit");
    bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 0x0f)])
        .collect()
}

/// A random UUID (version 4, RFC 9562 §5.4).
pub(crate) fn random_uuid() -> String {
    let mut bytes = random_bytes(16);
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex = hex(&bytes);
    format!(
        "{}-{}-{}-{}-{}",
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..]
    )
}

/// Random bytes as base64url: client secrets, headers.
pub(crate) fn random_token(bytes: usize) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(random_bytes(bytes))
}

fn random_bytes(count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    SystemRandom::new()
        .fill(&mut bytes)
        .expect("the operating system gives random bytes");
    bytes
}

#[cfg(test)]
mod tests {
    use ring::signature::{self, RsaPublicKeyComponents, UnparsedPublicKey};

    use super::*;

    #[test]
    fn generated_rsa_keys_have_the_asked_size_and_sign() {
        for bits in [2048, 3072] {
            let key = PrivateKey::generate(KeyType::Rsa(bits)).unwrap();
            let PublicKey::Rsa { n, e } = key.public() else {
                panic!("not RSA")
            };
            assert_eq!(n.len() * 8, bits as usize);
            assert!(n[0] >= 0x80);
            let signature = key.sign(b"message").unwrap();
            RsaPublicKeyComponents { n, e }
                .verify(&signature::RSA_PKCS1_2048_8192_SHA256, b"message", &signature)
                .unwrap();
        }
        assert!(PrivateKey::generate(KeyType::Rsa(1024)).is_err());
    }

    #[test]
    fn generated_ec_keys_sign_what_ring_verifies() {
        for (curve, algorithm) in [
            (Curve::P256, &signature::ECDSA_P256_SHA256_ASN1),
            (Curve::P384, &signature::ECDSA_P384_SHA384_ASN1),
        ] {
            let key = PrivateKey::generate(KeyType::Ec(curve)).unwrap();
            let PublicKey::Ec { point, .. } = key.public() else {
                panic!("not EC")
            };
            UnparsedPublicKey::new(algorithm, point)
                .verify(b"message", &key.sign(b"message").unwrap())
                .unwrap();
        }
    }

    #[test]
    fn coordinates_of_every_curve_have_their_full_width() {
        for curve in Curve::ALL {
            let jwk = PrivateKey::generate(KeyType::Ec(curve)).unwrap().public().jwk();
            assert_eq!(jwk["crv"], curve.name());
            for coordinate in ["x", "y"] {
                let bytes = BASE64_URL_SAFE_NO_PAD
                    .decode(jwk[coordinate].as_str().unwrap())
                    .unwrap();
                assert_eq!(bytes.len(), curve.width());
            }
        }
    }

    #[test]
    fn uuids_are_version_four() {
        let uuid = random_uuid();
        assert_eq!(uuid.len(), 36);
        assert_eq!(uuid.as_bytes()[14], b'4');
        assert!(b"89ab".contains(&uuid.as_bytes()[19]));
    }
}
