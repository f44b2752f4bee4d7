//! PFX (PKCS#12, RFC 7292).

use p12_keystore::Pkcs12Archive;

use super::private_key::PrivateKey;
use super::{Bundle, password_protected};
use crate::object::problem::Problem;

/// Keys and certificates of a PFX without password, in bag order.
pub(super) fn read(der: &[u8]) -> Result<Bundle, Problem> {
    let archive = Pkcs12Archive::from_pkcs12(der, "").map_err(|_| {
        password_protected(
            "PFX",
            "Export it again without a password: `openssl pkcs12 -in FILE -nodes | openssl pkcs12 -export -passout pass: -out NEW`.",
        )
    })?;
    Ok(Bundle {
        keys: archive
            .keys
            .iter()
            .map(|bag| PrivateKey::from_der(bag.key.as_der()))
            .collect::<Result<_, _>>()?,
        certificates: archive.certs.iter().map(|bag| bag.cert.as_der().to_vec()).collect(),
    })
}
