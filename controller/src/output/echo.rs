//! Whether somebody's message repeats a value that was sent, in any spelling in which programs write text into messages.

use std::collections::BTreeSet;

use akv2k8s_shared::object::SecretData;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// Parts of a value that are shorter stand in messages by chance. A whole value counts however short it is.
const SHORTEST_PART: usize = 4;
/// So often a message may have been written into another one: JSON within JSON, quoted by Go.
const NESTED: usize = 3;
/// Nobody says so much about an object without repeating it; comparing costs its length for each line of a value.
const LONGEST: usize = 16 * 1024;

/// Whether `message` holds a value of `data`, or a line of one.
pub(super) fn repeats(message: &str, data: &SecretData) -> bool {
    let readings = readings(message);
    let holds = |text: &str| readings.iter().any(|reading| reading.contains(text));
    message.len() > LONGEST
        || data.values().filter(|value| !value.is_empty()).any(|value| {
            let bytes = value.expose();
            holds(&STANDARD_NO_PAD.encode(bytes))
                || holds(&URL_SAFE_NO_PAD.encode(bytes))
                || value
                    .expose_str()
                    .is_some_and(|text| parts(text).into_iter().any(holds))
        })
}

/// The text and its lines: a message may hold only one of them.
fn parts(text: &str) -> BTreeSet<&str> {
    let lines = text.lines().map(str::trim).filter(|line| line.len() >= SHORTEST_PART);
    lines.chain([text]).collect()
}

/// The message as it stands, and as it was before it was quoted.
fn readings(message: &str) -> Vec<String> {
    let mut readings = vec![message.to_owned()];
    for _ in 0..NESTED {
        let Some(inner) = readings.last().filter(|it| it.contains('\\')).map(|it| unescaped(it)) else {
            break;
        };
        readings.push(inner);
    }
    readings
}

/// `text` without the escapes of JSON (also those that Go writes for `<`, `>` and `&`) and of Go's `%q`. What is none stays.
fn unescaped(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        plain.push_str(before);
        let (char, length) = escape(after).unwrap_or(('\\', 0));
        plain.push(char);
        rest = &after[length..];
    }
    plain.push_str(rest);
    plain
}

/// What the escape at the beginning of `text`, behind its backslash, stands for, and how long it is.
fn escape(text: &str) -> Option<(char, usize)> {
    let simple = |char| Some((char, 1));
    match text.chars().next()? {
        'a' => simple('\u{7}'),
        'b' => simple('\u{8}'),
        'f' => simple('\u{c}'),
        'n' => simple('\n'),
        'r' => simple('\r'),
        't' => simple('\t'),
        'v' => simple('\u{b}'),
        char @ ('"' | '\'' | '/' | '\\') => simple(char),
        'x' => Some((char::from_u32(hex(text, 1, 2)?)?, 3)),
        'U' => Some((char::from_u32(hex(text, 1, 8)?)?, 9)),
        'u' => {
            let first = hex(text, 1, 4)?;
            if let Some(char) = char::from_u32(first) {
                return Some((char, 5));
            }
            // Half of a surrogate pair.
            let second = text.get(5..7).filter(|it| *it == "\\u").and_then(|_| hex(text, 7, 4))?;
            let pair = [u16::try_from(first).ok()?, u16::try_from(second).ok()?];
            Some((char::decode_utf16(pair).next()?.ok()?, 11))
        }
        _ => None,
    }
}

fn hex(text: &str, from: usize, digits: usize) -> Option<u32> {
    u32::from_str_radix(text.get(from..from + digits)?, 16).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn data(value: &str) -> SecretData {
        [("k".to_owned(), value.into())].into()
    }

    #[test]
    fn every_spelling_of_a_value_is_known() {
        let value = "a\"<canary>&\u{1f511}\tü";
        for spelling in [
            "a\"<canary>&\u{1f511}\tü",
            r#"a\"<canary>&🔑\tü"#,
            r#"a\"\u003ccanary\u003e\u0026🔑\tü"#,
            r#"a\"\u003Ccanary\u003E\u0026\ud83d\udd11\u0009\u00fc"#,
            r#"a\"<canary>&\U0001f511\x09ü"#,
            r#"{\"data\":\"a\\\"\\u003ccanary\\u003e\\u0026🔑\\tü\"}"#,
            "YSI8Y2FuYXJ5Pibwn5SRCcO8",
        ] {
            let message = format!("denied: {spelling} is weak");
            assert!(repeats(&message, &data(value)), "{spelling}");
            assert!(!repeats(&message, &data("another")), "{spelling}");
        }
    }

    #[test]
    fn a_line_of_a_value_counts_unless_it_may_stand_there_by_chance() {
        let value = data("{\n  canary-one\r\n  \"canary & two\"\nis\n}");
        for message in ["canary-one", r#"a \"canary \u0026 two\" b"#] {
            assert!(repeats(message, &value), "{message}");
        }
        for message in ["denied: {this} is weak", "canary", ""] {
            assert!(!repeats(message, &value), "{message}");
        }
        assert!(repeats("denied: x", &data("x")), "a whole value is never shown");
    }

    #[test]
    fn base64_is_known_in_both_alphabets_and_without_padding() {
        let value: SecretData = [(
            "k".to_owned(),
            akv2k8s_shared::secret::SecretBytes::new(vec![251, 255, 254, 1]),
        )]
        .into();
        for spelling in ["+//+AQ==", "+//+AQ", "-__-AQ==", r"+\/\/+AQ=="] {
            assert!(repeats(&format!("denied: {spelling}"), &value), "{spelling}");
        }
    }

    #[test]
    fn a_message_that_is_too_long_to_be_looked_through_is_not_shown() {
        assert!(repeats(&"x".repeat(LONGEST + 1), &data("canary")));
    }

    proptest! {
        #[test]
        fn what_json_writes_is_found(value in "\\PC{1,20}", before in "\\PC{0,20}", depth in 0..3_usize) {
            let mut message = format!("{before}{value}");
            for _ in 0..depth {
                message = serde_json::Value::from(message).to_string();
            }
            prop_assert!(repeats(&message, &data(&value)));
        }

        #[test]
        fn nothing_makes_it_panic(message in "([\\\\uUxn0-9a-fü]|\\PC){0,40}") {
            let _ = repeats(&message, &data("canary"));
        }
    }
}
