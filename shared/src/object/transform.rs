//! `spec.output.transform`: steps applied to a secret's value before anything else looks at it.

use base64::Engine;

use super::Transform;
use crate::diagnosis::{Explanation, case};
use crate::encoding::{BASE64, decode_base64};
use crate::secret::SecretBytes;

/// Applies `transforms` in order. Only `base64decode` can fail.
pub(crate) fn apply(transforms: &[Transform], value: &SecretBytes) -> Result<SecretBytes, Explanation> {
    transforms
        .iter()
        .try_fold(value.clone(), |value, transform| match transform {
            Transform::Trim => Ok(SecretBytes::new(trim(value.expose()).to_vec())),
            Transform::Base64Encode => Ok(SecretBytes::from(BASE64.encode(value.expose()))),
            Transform::Base64Decode => decode_base64(value.expose()).ok_or_else(|| case::NotBase64.into()),
        })
}

/// Without Unicode white space at both ends; bytes that are not UTF-8 are not white space.
fn trim(bytes: &[u8]) -> &[u8] {
    let blanks_before = bytes
        .utf8_chunks()
        .next()
        .map_or(0, |chunk| chunk.valid().len() - chunk.valid().trim_start().len());
    let rest = &bytes[blanks_before..];
    let blanks_after = rest
        .utf8_chunks()
        .last()
        .filter(|chunk| chunk.invalid().is_empty())
        .map_or(0, |chunk| chunk.valid().len() - chunk.valid().trim_end().len());
    &rest[..rest.len() - blanks_after]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::diagnosis::Code;

    fn applied(transforms: &[Transform], value: &[u8]) -> Option<Vec<u8>> {
        apply(transforms, &SecretBytes::new(value.to_vec()))
            .ok()
            .map(|value| value.expose().to_vec())
    }

    #[test]
    fn each_transform_gives_what_other_tools_give() {
        use Transform::{Base64Decode, Base64Encode, Trim};
        // The encoded form is from `base64` of GNU coreutils.
        let spaced: &[u8] = b"  alsdjfl ljasfk   ";
        let encoded: &[u8] = b"ICBhbHNkamZsIGxqYXNmayAgIA==";
        let table: &[(&[Transform], &[u8], &[u8])] = &[
            (&[], spaced, spaced),
            (&[Trim], spaced, b"alsdjfl ljasfk"),
            (&[Base64Encode], spaced, encoded),
            (&[Base64Decode], encoded, spaced),
            (&[Base64Decode, Trim], encoded, b"alsdjfl ljasfk"),
            (&[Trim, Base64Encode], b" a ", b"YQ=="),
            (&[Base64Encode, Base64Encode], b"a", b"WVE9PQ=="),
            (&[Base64Decode], b"ICBhbHNkamZs\r\nIGxqYXNm\nayAgIA==\n", spaced),
            (&[Base64Decode], b"", b""),
            (&[Base64Decode], b"/+8=", b"\xff\xef"),
            (&[Base64Decode], b"YR==", b"a"),
            (&[Trim], "\u{a0}\u{2003}\u{85}x\u{3000}\t\u{b}".as_bytes(), b"x"),
            (&[Trim], b" \xff ", b"\xff"),
            (&[Trim], b"\xff", b"\xff"),
            (&[Trim], b" \n", b""),
            (&[Trim], b"", b""),
        ];
        for (transforms, value, expected) in table {
            assert_eq!(
                applied(transforms, value).as_deref(),
                Some(*expected),
                "{transforms:?} of {value:?}"
            );
        }
    }

    #[test]
    fn base64decode_refuses_what_is_not_standard_base64_and_never_prints_it() {
        for value in ["YQ", "YQ=", "-_8=", "Y Q==", "YQ==YQ==", "=", "canary!"] {
            let problem = apply(&[Transform::Base64Decode], &SecretBytes::from(value))
                .err()
                .expect(value);
            assert_eq!(problem.code, Code::TransformFailed);
            assert!(!format!("{problem:?}").contains("canary"));
        }
    }

    proptest! {
        #[test]
        fn decoding_undoes_encoding(value: Vec<u8>) {
            let there_and_back = applied(&[Transform::Base64Encode, Transform::Base64Decode], &value);
            prop_assert_eq!(there_and_back, Some(value));
        }

        #[test]
        fn trimming_twice_is_trimming_once_and_keeps_a_contiguous_part(value: Vec<u8>) {
            let once = trim(&value);
            prop_assert_eq!(trim(once), once);
            prop_assert!(once.is_empty() || value.windows(once.len()).any(|part| part == once));
        }

        #[test]
        fn trimming_text_is_trimming_its_characters(value: String) {
            prop_assert_eq!(trim(value.as_bytes()), value.trim().as_bytes());
        }

        #[test]
        fn decoding_never_panics(value: Vec<u8>) {
            let _ = decode_base64(&value);
        }
    }
}
