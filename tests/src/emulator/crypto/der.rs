//! The little DER (ITU-T X.690) that is written by hand.

/// One element: tag, length, content.
pub(super) fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    match content.len() {
        short @ 0..0x80 => out.push(u8::try_from(short).expect("below 0x80")),
        long => {
            let bytes = long.to_be_bytes();
            let significant = &bytes[bytes.iter().take_while(|byte| **byte == 0).count()..];
            out.push(0x80 | u8::try_from(significant.len()).expect("at most 8"));
            out.extend_from_slice(significant);
        }
    }
    out.extend_from_slice(content);
    out
}

/// `SEQUENCE` of already encoded elements.
pub(super) fn sequence(elements: &[&[u8]]) -> Vec<u8> {
    element(0x30, &elements.concat())
}

/// `AlgorithmIdentifier` of RSA keys (RFC 8017 A.1).
pub(super) const RSA_ENCRYPTION: &[u8] = &[
    0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00,
];

/// Wraps a PKCS#1 private key in PKCS#8 (RFC 5208 §5).
pub(super) fn pkcs8_rsa(pkcs1: &[u8]) -> Vec<u8> {
    sequence(&[&[0x02, 0x01, 0x00], RSA_ENCRYPTION, &element(0x04, pkcs1)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_take_the_short_or_the_long_form() {
        assert_eq!(element(0x04, b"ab"), [0x04, 0x02, b'a', b'b']);
        assert_eq!(element(0x04, &[0; 0x80])[..3], [0x04, 0x81, 0x80]);
        assert_eq!(element(0x04, &[0; 0x1234])[..4], [0x04, 0x82, 0x12, 0x34]);
    }
}
