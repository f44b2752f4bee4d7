//! A certificate that signs: what a client certificate is for.

use ring::rand::SystemRandom;
use ring::rsa;
use ring::signature::{RSA_PSS_SHA256, RsaKeyPair};

use super::{Bundle, bundle, chain};
use crate::diagnosis::{Explanation, case};
use crate::secret::SecretBytes;

/// An RSA key with its certificate and the chain above. It holds a private key: no `Debug`.
pub(crate) struct Signer {
    key: RsaKeyPair,
    /// DER, the key's own certificate first.
    chain: Vec<Vec<u8>>,
}

impl Signer {
    /// Reads a PFX (DER, or its base64) or PEM with key and certificates.
    pub(crate) fn open(file: &SecretBytes, password: Option<&str>) -> Result<Self, Explanation> {
        let Bundle { keys, certificates } = bundle(file, password)?;
        if certificates.is_empty() {
            return Err(case::CertificateMissing.into());
        }
        let key = chain::matching_key(&keys, &certificates)?;
        // Of a certificate and a key that do not belong together nothing can be signed that anybody would believe.
        let chain = chain::leaf_first(key, &certificates)?;
        let der = key.rsa_der().ok_or(case::SignerNotRsa)?;
        let key = RsaKeyPair::from_der(der).map_err(|_| case::SignerSizeUnsupported)?;
        Ok(Self { key, chain })
    }

    /// The key's own certificate, DER.
    pub(crate) fn certificate(&self) -> &[u8] {
        self.chain.first().map_or(&[], Vec::as_slice)
    }

    /// The certificates from the key's own upwards, DER.
    pub(crate) fn chain(&self) -> &[Vec<u8>] {
        &self.chain
    }

    /// RSASSA-PSS with SHA-256 and a salt as long (`PS256`, RFC 7518 §3.5); `None` when the system has no random numbers.
    pub(crate) fn ps256(&self, message: &[u8]) -> Option<Vec<u8>> {
        let mut signature = vec![0; rsa_length(&self.key)];
        self.key
            .sign(&RSA_PSS_SHA256, &SystemRandom::new(), message, &mut signature)
            .ok()?;
        Some(signature)
    }
}

fn rsa_length(key: &rsa::KeyPair) -> usize {
    key.public().modulus_len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnosis::Code;
    use crate::object::testdata::bytes;

    fn open(path: &str, password: Option<&str>) -> Result<Signer, Explanation> {
        Signer::open(&SecretBytes::new(bytes(path)), password)
    }

    #[test]
    fn pfx_and_pem_with_and_without_a_password_sign_what_openssl_made_them_for() {
        use ring::signature::{RSA_PSS_2048_8192_SHA256, UnparsedPublicKey};
        for (path, password) in [
            ("pfx/modern.pfx", None),
            ("pfx/legacy.pfx", None),
            ("pfx/password.pfx", Some("secret")),
            ("pfx/password-legacy.pfx", Some("secret")),
            ("pem/pkcs8.pem", None),
            ("pem/pkcs1.pem", None),
            ("pem/encrypted-pkcs8.pem", Some("secret")),
        ] {
            let signer = open(path, password).unwrap_or_else(|problem| panic!("{path}: {}", problem.cause));
            let signature = signer.ps256(b"message").expect("random numbers");
            let (_, certificate) = x509_parser::parse_x509_certificate(signer.certificate()).expect("X.509");
            let key = certificate.public_key().subject_public_key.data.as_ref();
            UnparsedPublicKey::new(&RSA_PSS_2048_8192_SHA256, key)
                .verify(b"message", &signature)
                .unwrap_or_else(|_| panic!("{path}"));
        }
    }

    #[test]
    fn what_cannot_sign_for_entra_says_why() {
        for (path, password, part) in [
            ("pfx/password.pfx", None, "password"),
            ("pfx/password.pfx", Some("wrong"), "password"),
            ("pfx/password-legacy.pfx", Some("wrong"), "password"),
            ("pem/encrypted-pkcs8.pem", Some("wrong"), "password"),
            ("pem/encrypted-pkcs1.pem", Some("secret"), "password"),
            ("pfx/p256.pfx", None, "RSA keys only"),
            ("pfx/ed25519.pfx", None, "RSA keys only"),
            ("pem/certificate-only.pem", None, "no private key"),
            ("pem/key-only.pem", None, "no certificate"),
        ] {
            let Err(problem) = open(path, password) else {
                panic!("{path} signs")
            };
            assert!(problem.cause.contains(part), "{path}: {}", problem.cause);
            assert!(
                matches!(
                    problem.code,
                    Code::CertificateUnreadable | Code::CertificatePasswordProtected
                ),
                "{path}"
            );
        }
    }
}
