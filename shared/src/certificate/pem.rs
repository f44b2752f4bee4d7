//! PEM (RFC 7468) read leniently, written strictly.

use std::fmt::Write;

use base64::Engine;
use zeroize::Zeroizing;

use super::private_key::PrivateKey;
use super::{Bundle, is_sequence, pfx};
use crate::diagnosis::{Explanation, case};
use crate::encoding::{BASE64, decode_base64};
use crate::secret::SecretBytes;

const BEGIN: &str = "-----BEGIN ";
const DASHES: &str = "-----";

/// Certificates and private keys of `text`, in order. Text around the blocks and blocks of other kinds (parameters,
/// public keys, requests) are skipped; any line ending will do. `password` opens keys in PKCS#8; of keys encrypted in the
/// older way (`Proc-Type: 4,ENCRYPTED`) none is read.
pub(super) fn read(text: &str, password: Option<&str>) -> Result<Bundle, Explanation> {
    let mut bundle = Bundle {
        keys: Vec::new(),
        certificates: Vec::new(),
    };
    let mut rest = text;
    while let Some((label, body, after)) = next_block(rest)? {
        match label {
            "CERTIFICATE" | "X509 CERTIFICATE" => {
                let der = decode(body)?;
                if !is_sequence(der.expose()) {
                    return Err(case::PemDamaged.into());
                }
                bundle.certificates.push(der.expose().to_vec());
            }
            "ENCRYPTED PRIVATE KEY" => {
                let password = password.ok_or(case::PrivateKeyHasPassword)?;
                bundle.keys.push(pfx::encrypted_key(decode(body)?.expose(), password)?);
            }
            label if label.ends_with("PRIVATE KEY") => {
                if body.contains("ENCRYPTED") {
                    return Err(case::PrivateKeyHasPassword.into());
                }
                bundle.keys.push(PrivateKey::from_der(decode(body)?.expose())?);
            }
            _ => {}
        }
        rest = after;
    }
    Ok(bundle)
}

/// Label and body of the first block, and what follows it.
fn next_block(text: &str) -> Result<Option<(&str, &str, &str)>, Explanation> {
    let Some((_, from_label)) = text.split_once(BEGIN) else {
        return Ok(None);
    };
    let (label, from_body) = from_label.split_once(DASHES).ok_or(case::PemDamaged)?;
    let (body, after) = from_body.split_once(DASHES).ok_or(case::PemDamaged)?;
    let end = after
        .strip_prefix("END ")
        .and_then(|after| after.strip_prefix(label))
        .and_then(|after| after.strip_prefix(DASHES));
    Ok(Some((label, body, end.ok_or(case::PemDamaged)?)))
}

/// The bytes of a body: base64 with white space anywhere.
fn decode(body: &str) -> Result<SecretBytes, Explanation> {
    let compact: Zeroizing<Vec<u8>> = Zeroizing::new(body.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect());
    decode_base64(&compact).ok_or_else(|| case::PemDamaged.into())
}

/// One PEM block: lines of 64 characters, LF, a line feed at the end.
pub(super) fn write(label: &str, der: &[u8]) -> String {
    let body = Zeroizing::new(BASE64.encode(der));
    // The full size at once: a growing buffer would leave copies of a private key behind.
    let mut pem = String::with_capacity(body.len() + body.len() / 64 + 2 * label.len() + 40);
    let _ = writeln!(pem, "{BEGIN}{label}{DASHES}"); // Writing to a String cannot fail.
    for line in body.as_bytes().chunks(64) {
        pem.extend(line.iter().map(|byte| char::from(*byte)));
        pem.push('\n');
    }
    let _ = writeln!(pem, "-----END {label}{DASHES}");
    pem
}
