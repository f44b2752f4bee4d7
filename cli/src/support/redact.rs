//! Takes out of texts what must not leave the cluster. Pure.
//!
//! Two nets: values that are known (those of outputs), in every writing in which they may stand in a text; and, best effort, private keys and
//! what else looks like a credential.

use akv2k8s_shared::secret::SecretBytes;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};

use super::credentials::without_credentials;

/// What stands in the place of something that was taken out.
pub(super) const GONE: &str = "[REDACTED]";

/// Values shorter than this are not looked for: they are in every text.
pub(super) const SHORTEST: usize = 4;

/// Knows what to take out. It has no `Debug`: it holds values.
#[derive(Default)]
pub(super) struct Redactor {
    /// The longest first, so that no part of one is left by another.
    writings: Vec<SecretBytes>,
}

impl Redactor {
    /// One that knows `values`.
    pub(super) fn new<'v>(values: impl IntoIterator<Item = &'v SecretBytes>) -> Self {
        let long = values.into_iter().filter(|value| value.len() >= SHORTEST);
        let mut writings: Vec<_> = long.flat_map(writings).collect();
        writings.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.expose().cmp(b.expose())));
        writings.dedup_by(|a, b| a == b);
        Self { writings }
    }

    /// `text` without them.
    pub(super) fn clean(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for writing in self.writings.iter().filter_map(SecretBytes::expose_str) {
            if text.contains(writing) {
                text = text.replace(writing, GONE);
            }
        }
        without_credentials(&without_keys(&text))
    }
}

/// The ways in which a value may stand in a text.
fn writings(value: &SecretBytes) -> Vec<SecretBytes> {
    let bytes = value.expose();
    let mut all = vec![
        SecretBytes::from(STANDARD.encode(bytes)),
        SecretBytes::from(STANDARD_NO_PAD.encode(bytes)),
        SecretBytes::from(URL_SAFE_NO_PAD.encode(bytes)),
    ];
    if let Some(text) = value.expose_str() {
        all.push(SecretBytes::from(text));
        // As JSON and `{:?}` write them; line by line, as logs may.
        all.push(SecretBytes::from(
            serde_json::Value::from(text).to_string().trim_matches('"'),
        ));
        let lines = text.lines().map(str::trim).filter(|line| line.len() >= 2 * SHORTEST);
        all.extend(lines.map(SecretBytes::from));
    }
    all
}

/// Private keys in PEM (RFC 7468), also where line breaks are written `\n`.
fn without_keys(text: &str) -> String {
    const BEGIN: &str = "-----BEGIN ";
    const END: &str = "-----END ";
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(BEGIN) {
        let (before, block) = rest.split_at(at);
        clean.push_str(before);
        let label = block[BEGIN.len()..].split("-----").next().unwrap_or_default();
        let end = block.find(END).map(|at| at + END.len() + label.len() + "-----".len());
        let end = end.unwrap_or(block.len()).min(block.len());
        let end = (end..=block.len())
            .find(|at| block.is_char_boundary(*at))
            .unwrap_or(block.len());
        clean.push_str(if label.contains("PRIVATE KEY") {
            GONE
        } else {
            &block[..end]
        });
        rest = &block[end..];
    }
    clean + rest
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn clean(values: &[&str], text: &str) -> String {
        let values: Vec<_> = values.iter().map(|value| SecretBytes::from(*value)).collect();
        Redactor::new(&values).clean(text)
    }

    #[test]
    fn known_values_go_in_every_writing() {
        let value = "can\"ary\nline two of it";
        for written in [
            value.to_owned(),
            STANDARD.encode(value),
            URL_SAFE_NO_PAD.encode(value),
            format!("{value:?}"),
            serde_json::json!({ "v": value }).to_string(),
            "only line two of it".to_owned(),
        ] {
            let text = clean(&[value], &format!("before {written} after"));
            assert!(
                text.starts_with("before ") && text.ends_with(" after") && text.contains(GONE),
                "{text}"
            );
            assert!(!text.contains("ary") && !text.contains("two of it"), "{text}");
        }
        assert_eq!(
            clean(&["canary", "canary-and-more"], "x canary-and-more y"),
            format!("x {GONE} y")
        );
        assert_eq!(clean(&["abc"], "abcdef"), "abcdef", "what is so short is in every text");
    }

    #[test]
    fn private_keys_go_whoever_they_are_of_and_certificates_stay() {
        for (text, expected) in [
            (
                "-----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY-----\nx",
                "[REDACTED]\nx",
            ),
            ("-----BEGIN PRIVATE KEY-----\nabc", "[REDACTED]"),
            (
                "-----BEGIN CERTIFICATE-----\nabc\n-----END CERTIFICATE-----\n",
                "-----BEGIN CERTIFICATE-----\nabc\n-----END CERTIFICATE-----\n",
            ),
        ] {
            assert_eq!(clean(&[], text), expected);
        }
    }

    proptest! {
        #[test]
        fn no_known_value_survives(value in "[a-z0-9]{4,20}", before in "[ .:=\"]{0,10}", after in "[ .:=\"]{0,10}") {
            let text = clean(&[&value], &format!("{before}{value}{after}{value}"));
            prop_assert!(!text.contains(&value), "{text}");
        }

        #[test]
        fn no_text_makes_it_panic(text in "\\PC*") {
            clean(&["canary"], &text);
        }
    }
}
