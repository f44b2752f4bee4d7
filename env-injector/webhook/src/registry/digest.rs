//! The digest of what a registry holds: its name, and the proof that it was not changed.
//!
//! Format: <https://github.com/opencontainers/image-spec/blob/main/descriptor.md#digests>.

use std::fmt;
use std::fmt::Write as _;

use sha2::{Digest as _, Sha256, Sha512};

/// `sha256:` or `sha512:` and lower-case hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Digest(String);

impl Digest {
    /// Reads a digest; `None` when it is no digest, or of an algorithm that cannot be checked here.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (algorithm, digits) = text.split_once(':')?;
        let length = match algorithm {
            "sha256" => 64,
            "sha512" => 128,
            _ => return None,
        };
        let hexadecimal = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
        (digits.len() == length && digits.bytes().all(hexadecimal)).then(|| Self(text.to_owned()))
    }

    /// The SHA-256 of `content`.
    pub(super) fn of(content: &[u8]) -> Self {
        Self(format!("sha256:{}", hex(&Sha256::digest(content))))
    }

    /// Whether `content` is what this digest names.
    pub(super) fn names(&self, content: &[u8]) -> bool {
        if self.0.starts_with("sha512:") {
            return self.0["sha512:".len()..] == hex(&Sha512::digest(content));
        }
        *self == Self::of(content)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_those_of_sha256sum_and_sha512sum() {
        let sha256 = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let sha512 = "sha512:ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a\
                      2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f";
        assert_eq!(Digest::of(b"abc").to_string(), sha256);
        for text in [sha256, sha512] {
            let digest = Digest::parse(text).unwrap();
            assert!(digest.names(b"abc"), "{text}");
            assert!(!digest.names(b"abd"), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_checked_is_no_digest() {
        let digits = "a".repeat(64);
        assert!(Digest::parse(&format!("sha256:{digits}")).is_some());
        for text in [
            String::new(),
            digits.clone(),
            format!("md5:{digits}"),
            format!("SHA256:{digits}"),
            format!("sha256:{digits}a"),
            format!("sha512:{digits}"),
            format!("sha256:{}", digits.to_uppercase()),
            format!("sha256:{}/", &digits[1..]),
            format!("sha256:{}é", &digits[2..]),
        ] {
            assert_eq!(Digest::parse(&text), None, "{text}");
        }
    }
}
