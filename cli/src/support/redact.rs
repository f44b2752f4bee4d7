//! Takes out of texts what must not leave the cluster. Pure.
//!
//! Two nets: values that are known (those of outputs), in every writing in which they may stand in a text; and what looks like a credential,
//! whatever it is.

use akv2k8s_shared::secret::SecretBytes;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// What stands in the place of something that was taken out.
pub(super) const GONE: &str = "[REDACTED]";

/// Values shorter than this are not looked for: they are in every text.
pub(super) const SHORTEST: usize = 4;

/// Names whose value is taken out when it follows `=` or `:`, in lower case and without `-` and `_`.
const SECRET_NAMES: [&str; 9] = [
    "password",
    "passwd",
    "secret",
    "clientsecret",
    "azureclientsecret",
    "token",
    "sig",
    "clientassertion",
    "authorization",
];

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

/// Word by word: JSON Web Tokens, what follows `Bearer`, and what follows the name of a secret.
fn without_credentials(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut previous = String::new();
    let mut rest = text;
    while !rest.is_empty() {
        let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '+' | '/' | '~' | '%');
        let length = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(length);
        if is_token(word) || (!word.is_empty() && follows_a_name(&previous, &clean)) {
            clean.push_str(GONE);
        } else {
            clean.push_str(word);
        }
        if !word.is_empty() {
            word.clone_into(&mut previous);
        }
        let separators = after.find(is_part).unwrap_or(after.len());
        clean.push_str(&after[..separators]);
        rest = &after[separators..];
    }
    clean
}

/// Three parts in base64url, of which the first is a JSON object (RFC 7519); also without its signature.
fn is_token(word: &str) -> bool {
    word.starts_with("eyJ") && word.len() > 20 && word.contains('.')
}

/// Whether what comes next is the value of the name before: `name=…`, `name: …`, `"name":"…"`, `Bearer …`.
fn follows_a_name(previous: &str, clean: &str) -> bool {
    let between = clean.rsplit_once(previous).map_or("", |(_, between)| between);
    let is_assignment =
        between.len() <= 5 && between.contains([':', '=']) && !between.contains(['\n', ',', '{', '}', '(', ')', '[']);
    let plain: String = previous.chars().filter(char::is_ascii_alphanumeric).collect();
    let plain = plain.to_ascii_lowercase();
    let is_bearer = previous.eq_ignore_ascii_case("bearer") && between.trim().is_empty();
    is_bearer || (is_assignment && SECRET_NAMES.contains(&plain.as_str()))
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
    fn what_looks_like_a_credential_goes_whoever_it_is_of_and_all_else_stays() {
        for (text, expected) in [
            (
                "token eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln end",
                "token [REDACTED] end",
            ),
            (
                "Authorization: Bearer abc.def-1",
                "Authorization: [REDACTED] [REDACTED]",
            ),
            ("AZURE_CLIENT_SECRET=abc~d", "AZURE_CLIENT_SECRET=[REDACTED]"),
            (
                r#"{"password":"abc","user":"u"}"#,
                r#"{"password":"[REDACTED]","user":"u"}"#,
            ),
            ("https://h/p?sv=1&sig=abc%2F&x=1", "https://h/p?sv=1&sig=[REDACTED]&x=1"),
            (
                "-----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY-----\nx",
                "[REDACTED]\nx",
            ),
            ("-----BEGIN PRIVATE KEY-----\nabc", "[REDACTED]"),
            (
                "-----BEGIN CERTIFICATE-----\nabc\n-----END CERTIFICATE-----\n",
                "-----BEGIN CERTIFICATE-----\nabc\n-----END CERTIFICATE-----\n",
            ),
            (
                "secret 'db' in vault 'kv1': there is none",
                "secret 'db' in vault 'kv1': there is none",
            ),
            (
                "akv2k8s_token_requests_total{vault=\"kv1\"} 3",
                "akv2k8s_token_requests_total{vault=\"kv1\"} 3",
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
