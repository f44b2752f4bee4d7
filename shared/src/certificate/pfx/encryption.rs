//! How a PFX is protected: its MAC and the encryption of safes and keys, with a bound on the work.

use cbc::Decryptor;
use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockCipherDecrypt, BlockModeDecrypt, KeyInit, KeyIvInit};
use der::asn1::{AnyRef, ObjectIdentifier};
use der::{Decode, Encode, Tag, Tagged};
use des::{TdesEde2, TdesEde3};
use pkcs5::pbes2::{self, Kdf, Pbkdf2Prf};
use rc2::Rc2;
use ring::digest::{self, Algorithm};
use ring::hmac;
use zeroize::Zeroizing;

use super::kdf::{Password, Purpose, derive};
use super::{PfxError, children, octets};

const SHA1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.14.3.2.26");
const SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");
const SHA384: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.2");
const SHA512: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.3");
const PBES2: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.5.13");
// RFC 7292 appendix C: pbeWithSHAAnd…
const TRIPLE_DES_3_KEYS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.12.1.3");
const TRIPLE_DES_2_KEYS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.12.1.4");
const RC2_128: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.12.1.5");
const RC2_40: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.12.1.6");

/// Rounds of key derivation one PFX may still ask for, over all its parts.
pub(super) struct Budget(u32);

impl Budget {
    /// Three parts at 600,000 rounds, the most that is recommended anywhere, fit; worth a second or two of one core.
    pub(super) const ROUNDS: u32 = 2_000_000;

    pub(super) fn new() -> Self {
        Self(Self::ROUNDS)
    }

    fn spend(&mut self, rounds: u32) -> Result<(), PfxError> {
        self.0 = self.0.checked_sub(rounds).ok_or(PfxError::Work)?;
        Ok(())
    }
}

/// `MacData ::= SEQUENCE { SEQUENCE { algorithm, digest OCTET STRING }, salt OCTET STRING, iterations DEFAULT 1 }`
pub(super) struct Mac<'a> {
    algorithm: ObjectIdentifier,
    digest: &'a [u8],
    salt: &'a [u8],
    iterations: u32,
}

impl<'a> Mac<'a> {
    pub(super) fn parse(mac: AnyRef<'a>) -> Result<Self, PfxError> {
        let (info, salt, iterations) = match children(mac)?[..] {
            [info, salt] => (info, salt, 1),
            [info, salt, iterations] => (info, salt, rounds(iterations)?),
            _ => return Err(PfxError::Malformed),
        };
        let [algorithm, digest] = children(info)?[..] else {
            return Err(PfxError::Malformed);
        };
        let Some(oid) = children(algorithm)?.first().copied() else {
            return Err(PfxError::Malformed);
        };
        Ok(Self {
            algorithm: oid.decode_as()?,
            digest: octets(digest)?,
            salt: octets(salt)?,
            iterations,
        })
    }

    /// Whether `password` made this MAC over `content`. A MAC of another kind (e.g. PBMAC1, RFC 9579) passes: with an
    /// empty password it proves nothing, and a wrong one shows when decrypting.
    pub(super) fn verify(&self, content: &[u8], password: Password<'_>, budget: &mut Budget) -> Result<bool, PfxError> {
        let (hash, mac): (&'static Algorithm, _) = match self.algorithm {
            SHA1 => (&digest::SHA1_FOR_LEGACY_USE_ONLY, hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY),
            SHA256 => (&digest::SHA256, hmac::HMAC_SHA256),
            SHA384 => (&digest::SHA384, hmac::HMAC_SHA384),
            SHA512 => (&digest::SHA512, hmac::HMAC_SHA512),
            _ => return Ok(true),
        };
        budget.spend(self.iterations)?;
        let key = derive(
            hash,
            password,
            self.salt,
            Purpose::Mac,
            self.iterations,
            hash.output_len(),
        );
        Ok(hmac::verify(&hmac::Key::new(mac, &key), content, self.digest).is_ok())
    }
}

/// Decrypts by an `AlgorithmIdentifier`; wrong padding counts as a wrong password.
pub(super) fn decrypt(
    algorithm: AnyRef<'_>,
    ciphertext: &[u8],
    password: Password<'_>,
    budget: &mut Budget,
) -> Result<Zeroizing<Vec<u8>>, PfxError> {
    let [oid, parameters] = children(algorithm)?[..] else {
        return Err(PfxError::Malformed);
    };
    let oid = oid.decode_as()?;
    if oid == PBES2 {
        return pbes2(parameters, ciphertext, password, budget);
    }
    let open = match oid {
        TRIPLE_DES_3_KEYS => pbe::<TdesEde3>,
        TRIPLE_DES_2_KEYS => pbe::<TdesEde2>,
        RC2_128 | RC2_40 => pbe::<Rc2>,
        oid => return Err(PfxError::Algorithm(oid)),
    };
    let key_size = match oid {
        TRIPLE_DES_3_KEYS => 24,
        RC2_40 => 5,
        _ => 16,
    };
    // pkcs-12PbeParams ::= SEQUENCE { salt OCTET STRING, iterations INTEGER }
    let [salt, iterations] = children(parameters)?[..] else {
        return Err(PfxError::Malformed);
    };
    let (salt, iterations) = (octets(salt)?, rounds(iterations)?);
    let key_blocks = u32::try_from(usize::div_ceil(key_size, digest::SHA1_OUTPUT_LEN)).unwrap_or(u32::MAX);
    budget.spend(iterations.saturating_mul(key_blocks + 1))?; // and one block of IV
    let hash = &digest::SHA1_FOR_LEGACY_USE_ONLY;
    let key = derive(hash, password, salt, Purpose::Encryption, iterations, key_size);
    let iv = derive(hash, password, salt, Purpose::Iv, iterations, 8);
    open(&key, &iv, ciphertext)
}

/// CBC with PKCS#7 padding.
fn pbe<C: KeyInit + BlockCipherDecrypt>(
    key: &[u8],
    iv: &[u8],
    ciphertext: &[u8],
) -> Result<Zeroizing<Vec<u8>>, PfxError> {
    let cipher = Decryptor::<C>::new_from_slices(key, iv).map_err(|_| PfxError::Malformed)?;
    cipher
        .decrypt_padded_vec::<Pkcs7>(ciphertext)
        .map(Zeroizing::new)
        .map_err(|_| PfxError::Password)
}

/// PBES2 (RFC 8018 §6.2) with PBKDF2.
fn pbes2(
    parameters: AnyRef<'_>,
    ciphertext: &[u8],
    password: Password<'_>,
    budget: &mut Budget,
) -> Result<Zeroizing<Vec<u8>>, PfxError> {
    let parameters = pbes2::Parameters::from_der(&parameters.to_der()?)?;
    match &parameters.kdf {
        Kdf::Pbkdf2(pbkdf2) => {
            let blocks = if pbkdf2.prf == Pbkdf2Prf::HmacWithSha1 { 2 } else { 1 }; // keys have at most 32 bytes
            budget.spend(pbkdf2.iteration_count.saturating_mul(blocks))?;
        }
        kdf => return Err(PfxError::Algorithm(kdf.oid())),
    }
    let mut buffer = Zeroizing::new(ciphertext.to_vec());
    let length = parameters
        .decrypt_in_place(password.utf8(), &mut buffer)
        .map_err(|error| match error {
            pkcs5::Error::UnsupportedAlgorithm { oid } => PfxError::Algorithm(oid),
            _ => PfxError::Password,
        })?
        .len();
    buffer.truncate(length);
    Ok(buffer)
}

/// A round count; 0, negative and unrepresentable ones are malformed, or more than any budget.
fn rounds(integer: AnyRef<'_>) -> Result<u32, PfxError> {
    match integer.decode_as::<u32>() {
        Ok(0) => Err(PfxError::Malformed),
        Ok(count) => Ok(count),
        Err(_) if integer.tag() == Tag::Integer && integer.value().first().is_some_and(|first| *first < 0x80) => {
            Err(PfxError::Work)
        }
        Err(_) => Err(PfxError::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use der::asn1::OctetString;

    use super::*;
    use crate::object::testdata;

    fn decrypted(path: &str) -> Result<Vec<u8>, PfxError> {
        let file = testdata::bytes(path);
        let [algorithm, ciphertext] = children(AnyRef::from_der(&file)?)?[..] else {
            return Err(PfxError::Malformed);
        };
        decrypt(algorithm, octets(ciphertext)?, Password::Empty, &mut Budget::new()).map(|plain| plain.to_vec())
    }

    #[test]
    fn pbkdf2_with_sha1_as_old_openssl_wrote_it_is_read() {
        let plain = decrypted("pfx/pbes2-sha1-prf.key.der").expect("readable");
        assert!(plain == testdata::der("keys/rsa2048.pkcs8.pem"));
    }

    #[test]
    fn scrypt_is_refused_by_its_name_since_its_memory_has_no_bound() {
        let error = decrypted("pfx/scrypt.key.der").expect_err("refused");
        assert!(matches!(error, PfxError::Algorithm(oid) if oid.to_string() == "1.3.6.1.4.1.11591.4.11"));
    }

    #[test]
    fn round_counts_are_positive_and_may_be_larger_than_any_budget() {
        let count = |der: &[u8]| rounds(AnyRef::from_der(der).expect("an INTEGER"));
        assert!(matches!(count(&[2, 1, 1]), Ok(1)));
        assert!(matches!(count(&[2, 2, 8, 0]), Ok(2048)));
        assert!(matches!(count(&[2, 1, 0]), Err(PfxError::Malformed)));
        assert!(matches!(count(&[2, 1, 0xff]), Err(PfxError::Malformed)));
        assert!(matches!(
            count(&[2, 9, 0x7f, 0, 0, 0, 0, 0, 0, 0, 0]),
            Err(PfxError::Work)
        ));
        let octets = OctetString::new([1]).expect("short").to_der().expect("encodable");
        assert!(matches!(count(&octets), Err(PfxError::Malformed)));
    }
}
