//! Distinguished names as people write them: `CN=example.com, O="Contoso, Ltd"`.

use super::CryptoError;
use super::der::{element, sequence};
use super::x509::object_identifier;

/// A distinguished name; the text's last part comes first in the encoding, as X.500 has it.
pub(super) fn encode(text: &str) -> Result<Vec<u8>, CryptoError> {
    let mut parts = Vec::new();
    for part in split_unquoted(text) {
        let invalid =
            || CryptoError::Encoding(format!("{part:?} is not part of a distinguished name: write CN=…, O=…"));
        let (key, value) = part.split_once('=').ok_or_else(invalid)?;
        let value = value.trim().trim_matches('"');
        let (oid, tag) = attribute(key.trim()).ok_or_else(invalid)?;
        parts.push(element(
            0x31,
            &sequence(&[&object_identifier(oid)?, &element(tag, value.as_bytes())]),
        ));
    }
    parts.reverse();
    Ok(element(0x30, &parts.concat()))
}

/// Object identifier and string type of an attribute of a distinguished name (RFC 4519, RFC 5280 §4.1.2.4).
fn attribute(key: &str) -> Option<(&'static str, u8)> {
    const UTF8: u8 = 0x0c;
    const PRINTABLE: u8 = 0x13;
    const IA5: u8 = 0x16;
    match key.to_ascii_uppercase().as_str() {
        "CN" => Some(("2.5.4.3", UTF8)),
        "SERIALNUMBER" => Some(("2.5.4.5", PRINTABLE)),
        "C" => Some(("2.5.4.6", PRINTABLE)),
        "L" => Some(("2.5.4.7", UTF8)),
        "S" | "ST" => Some(("2.5.4.8", UTF8)),
        "STREET" => Some(("2.5.4.9", UTF8)),
        "O" => Some(("2.5.4.10", UTF8)),
        "OU" => Some(("2.5.4.11", UTF8)),
        "E" | "EMAILADDRESS" => Some(("1.2.840.113549.1.9.1", IA5)),
        "DC" => Some(("0.9.2342.19200300.100.1.25", IA5)),
        _ => None,
    }
}

fn split_unquoted(text: &str) -> Vec<&str> {
    let mut quoted = false;
    text.split(|c| {
        quoted ^= c == '"';
        c == ',' && !quoted
    })
    .filter(|part| !part.trim().is_empty())
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_none_are_refused() {
        for bad in ["example.com", "XY=1", "CN=a, b"] {
            assert!(encode(bad).is_err(), "{bad}");
        }
    }
}
