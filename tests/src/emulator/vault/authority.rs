//! The authority behind a vault's issuers: a root and an issuing certificate, as a commercial one has.

use std::sync::OnceLock;

use super::error::VaultError;
use crate::emulator::crypto::x509::{Profile, Signer, issue};
use crate::emulator::crypto::{CryptoError, Curve, KeyType, PrivateKey};

const ROOT: &str = "CN=Emulator Test Root, O=akv2k8s-rs";
const ISSUING: &str = "CN=Emulator Test Issuing CA, O=akv2k8s-rs";

/// Signs certificates for issuers other than `Self`.
pub(crate) struct Authority {
    key: PrivateKey,
    /// Root, then issuing certificate; DER.
    chain: [Vec<u8>; 2],
}

/// An emulator's authority, made when it is first needed.
#[derive(Default)]
pub(crate) struct LazyAuthority(OnceLock<Authority>);

impl LazyAuthority {
    pub(crate) fn get(&self, now: i64) -> Result<&Authority, CryptoError> {
        if let Some(authority) = self.0.get() {
            return Ok(authority);
        }
        let made = Authority::new(now)?;
        Ok(self.0.get_or_init(|| made))
    }
}

impl Authority {
    fn new(now: i64) -> Result<Self, CryptoError> {
        const TEN_YEARS: i64 = 10 * 365 * 86_400;
        let profile = |subject: &str| Profile {
            subject: subject.into(),
            key_usage: vec!["keyCertSign".into(), "cRLSign".into()],
            not_before: now - 86_400,
            not_after: now + TEN_YEARS,
            ca: true,
            ..Profile::default()
        };
        let root_key = PrivateKey::generate(KeyType::Ec(Curve::P256))?;
        let key = PrivateKey::generate(KeyType::Ec(Curve::P256))?;
        let signer = Signer {
            name: ROOT,
            key: &root_key,
        };
        let root = issue(&profile(ROOT), root_key.public(), &signer)?;
        let issuing = issue(&profile(ISSUING), key.public(), &signer)?;
        Ok(Self {
            key,
            chain: [root, issuing],
        })
    }

    pub(super) fn signer(&self) -> Signer<'_> {
        Signer {
            name: ISSUING,
            key: &self.key,
        }
    }

    /// Root first.
    pub(super) fn chain(&self) -> &[Vec<u8>; 2] {
        &self.chain
    }
}

impl From<CryptoError> for VaultError {
    fn from(error: CryptoError) -> Self {
        Self::bad_parameter(error.to_string())
    }
}
