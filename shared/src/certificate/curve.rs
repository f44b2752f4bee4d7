//! The public key that belongs to an EC private key.
//!
//! Upstream always writes it into the SEC 1 form, computed from the private key, and so do we: files from Java and
//! others leave it out.

use der::asn1::ObjectIdentifier;
use k256::elliptic_curve::sec1::{FromSec1Point, ModulusSize, ToSec1Point};
use k256::elliptic_curve::{AffinePoint, CurveArithmetic, FieldBytesSize, SecretKey};
use zeroize::Zeroizing;

pub(super) const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
pub(super) const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
pub(super) const P521: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.35");
pub(super) const SECP256K1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.10");

/// A private key in the length of its curve's field, and its public key as an uncompressed point (SEC 1 §2.3.3).
pub(super) struct EcPair {
    pub(super) private: Zeroizing<Vec<u8>>,
    pub(super) public: Vec<u8>,
}

/// Completes a private key. `None` on a curve that is not known here; an error when the number is no private key of it.
pub(super) fn complete(curve: ObjectIdentifier, private: &[u8]) -> Option<Result<EcPair, ()>> {
    match curve {
        P256 => Some(pair::<p256::NistP256>(private, 32)),
        P384 => Some(pair::<p384::NistP384>(private, 48)),
        P521 => Some(pair::<p521::NistP521>(private, 66)),
        SECP256K1 => Some(pair::<k256::Secp256k1>(private, 32)),
        _ => None,
    }
}

fn pair<C>(private: &[u8], length: usize) -> Result<EcPair, ()>
where
    C: CurveArithmetic,
    AffinePoint<C>: FromSec1Point<C> + ToSec1Point<C>,
    FieldBytesSize<C>: ModulusSize,
{
    let zeros = private.iter().take_while(|byte| **byte == 0).count();
    let number = &private[zeros..];
    let mut padded = Zeroizing::new(vec![0; length]);
    let start = length.checked_sub(number.len()).ok_or(())?;
    padded[start..].copy_from_slice(number);
    let key = SecretKey::<C>::from_slice(&padded).map_err(|_| ())?;
    let public = key.public_key().to_sec1_point(false).as_bytes().to_vec();
    Ok(EcPair {
        private: padded,
        public,
    })
}
