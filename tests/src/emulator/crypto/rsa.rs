//! RSA key generation, which ring does not offer: primes from `crypto-primes`, the rest is arithmetic.

use std::convert::Infallible;

use crypto_bigint::BoxedUint;
use crypto_primes::{Flavor, random_prime};
use num_bigint::BigUint;
use pkcs1::UintRef;
use pkcs8::der::{Decode, Encode};
use ring::rand::{SecureRandom, SystemRandom};

use super::CryptoError;

/// The public exponent of every generated key, as Key Vault's.
const PUBLIC_EXPONENT: u32 = 65_537;

/// Generates a key of `bits` (2048, 3072 or 4096) and returns it as PKCS#1 DER (RFC 8017 A.1.2).
pub(super) fn generate(bits: u32) -> Result<Vec<u8>, CryptoError> {
    if !matches!(bits, 2048 | 3072 | 4096) {
        return Err(CryptoError::KeySize(bits));
    }
    loop {
        let (p, q) = (prime(bits / 2), prime(bits / 2));
        if p == q || (&p * &q).bits() != u64::from(bits) {
            continue;
        }
        // `e` must be invertible; with a prime exponent it nearly always is, otherwise new primes are drawn.
        if let Some(der) = encode(p.clone().max(q.clone()), p.min(q)) {
            return Ok(der);
        }
    }
}

fn prime(bits: u32) -> BigUint {
    let prime: BoxedUint = random_prime(&mut SystemRng(SystemRandom::new()), Flavor::Any, bits);
    BigUint::from_bytes_be(&prime.to_be_bytes())
}

/// PKCS#1 of the key with the primes `p > q`, or `None` when the public exponent has no inverse. The names are those of
/// RFC 8017.
#[expect(clippy::many_single_char_names, reason = "the names of the standard")]
fn encode(p: BigUint, q: BigUint) -> Option<Vec<u8>> {
    let one = BigUint::from(1u32);
    let e = BigUint::from(PUBLIC_EXPONENT);
    let n = &p * &q;
    let d = e.modinv(&((&p - &one) * (&q - &one)))?;
    let exponents = [&d % (&p - &one), &d % (&q - &one), q.modinv(&p)?];
    let numbers: Vec<Vec<u8>> = [n, e, d, p, q]
        .iter()
        .chain(&exponents)
        .map(BigUint::to_bytes_be)
        .collect();
    let number = |i: usize| UintRef::new(&numbers[i]).expect("a few hundred bytes fit DER");
    let key = pkcs1::RsaPrivateKey::<UintRef<'_>> {
        modulus: number(0),
        public_exponent: number(1),
        private_exponent: number(2),
        prime1: number(3),
        prime2: number(4),
        exponent1: number(5),
        exponent2: number(6),
        coefficient: number(7),
        other_prime_infos: None,
    };
    Some(key.to_der().expect("a few hundred bytes fit DER"))
}

/// Modulus and exponent of a PKCS#1 private key, big-endian without leading zeros.
pub(super) fn public_numbers(pkcs1_der: &[u8]) -> Result<(Vec<u8>, Vec<u8>), CryptoError> {
    let key = pkcs1::RsaPrivateKeyRef::from_der(pkcs1_der).map_err(|error| CryptoError::Encoding(error.to_string()))?;
    Ok((key.modulus.as_bytes().to_vec(), key.public_exponent.as_bytes().to_vec()))
}

/// The operating system's generator, as the trait `crypto-primes` asks for.
struct SystemRng(SystemRandom);

impl rand_core::TryRng for SystemRng {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, into: &mut [u8]) -> Result<(), Infallible> {
        self.0.fill(into).expect("the operating system gives random bytes");
        Ok(())
    }
}

impl rand_core::TryCryptoRng for SystemRng {}
