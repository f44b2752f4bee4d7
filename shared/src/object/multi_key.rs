//! `multi-key-value-secret`: one vault secret that holds many pairs, as a JSON object or a YAML mapping.
//!
//! | value            | JSON                                  | YAML                                              |
//! |------------------|---------------------------------------|---------------------------------------------------|
//! | string           | its characters                        | its characters                                    |
//! | number, boolean  | its text as written: `1.50` → `1.50`  | its text as written: `0644` → `0644`, `yes` → `yes` |
//! | null             | empty                                 | empty                                             |
//! | object, list     | refused                               | refused                                           |
//!
//! A key that occurs twice has its last value. A byte order mark is skipped. An empty object gives no pairs; an empty
//! document or a bare `null` is refused, since it would wipe the output.

mod select;
mod yaml;

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::{MultiKeyFormat, SecretData};
use crate::diagnosis::{Explanation, case};
use crate::secret::SecretBytes;
use crate::text::shortened;

pub(crate) use self::select::select;

/// The pairs of `value`. Keys are not checked here: not every reader needs them to be data keys.
pub(crate) fn parse(format: MultiKeyFormat, value: &SecretBytes) -> Result<SecretData, Explanation> {
    let text = text(format, value)?;
    match format {
        MultiKeyFormat::Json => json_object(text)?
            .into_iter()
            .map(|(key, raw)| json_scalar(&key, raw).map(|value| (key, value)))
            .collect(),
        MultiKeyFormat::Yaml => yaml::parse(text),
    }
}

fn text(format: MultiKeyFormat, value: &SecretBytes) -> Result<&str, Explanation> {
    let text = value.expose_str().ok_or_else(|| {
        Explanation::from(case::PairsNotText {
            format: &format.content_type(),
        })
    })?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}

/// Values keep their text, so that numbers are not rewritten.
fn json_object(text: &str) -> Result<BTreeMap<String, &RawValue>, Explanation> {
    // Parser messages may quote the value, so only the place is passed on.
    serde_json::from_str(text).map_err(|error| {
        case::PairsNotJson {
            line: &error.line(),
            column: &error.column(),
        }
        .into()
    })
}

fn json_scalar(key: &str, raw: &RawValue) -> Result<SecretBytes, Explanation> {
    match raw.get().as_bytes()[0] {
        b'"' => serde_json::from_str::<String>(raw.get())
            .map(SecretBytes::from)
            .map_err(|_| case::PairHasBadEscape { key: &shown(key) }.into()),
        b'{' | b'[' => Err(nested(key)),
        b'n' => Ok(SecretBytes::from("")),
        _ => Ok(SecretBytes::from(raw.get())),
    }
}

fn nested(key: &str) -> Explanation {
    case::PairIsNested { key: &shown(key) }.into()
}

/// The key in quotes, of bounded length.
fn shown(key: &str) -> String {
    format!("{:?}", shortened(key, 64))
}

impl MultiKeyFormat {
    /// As `spec.vault.object.contentType` names it.
    fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/x-json",
            Self::Yaml => "application/x-yaml",
        }
    }
}

#[cfg(test)]
mod tests {
    use MultiKeyFormat::{Json, Yaml};
    use proptest::prelude::*;

    use super::*;
    use crate::diagnosis::Code;

    fn pairs(format: MultiKeyFormat, value: &str) -> Result<Vec<(String, String)>, Explanation> {
        let text = |bytes: &SecretBytes| bytes.expose_str().expect("text").to_owned();
        parse(format, &SecretBytes::from(value)).map(|data| data.iter().map(|(k, v)| (k.clone(), text(v))).collect())
    }

    #[track_caller]
    fn gives(format: MultiKeyFormat, value: &str, expected: &[(&str, &str)]) {
        let expected: Vec<_> = expected
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect();
        assert_eq!(pairs(format, value), Ok(expected), "{value}");
    }

    #[test]
    fn json_strings_are_taken_verbatim() {
        gives(
            Json,
            r#"{"someKey":"someValue","someOtherKey":"some other\n\u00e4 value"}"#,
            &[("someKey", "someValue"), ("someOtherKey", "some other\nä value")],
        );
        gives(Json, "{}", &[]);
        gives(Json, "\u{feff}{\"a\":\"\"} \n", &[("a", "")]);
        gives(Json, r#"{"a":"1","a":"2"}"#, &[("a", "2")]);
        gives(Json, r#"{"a-b":"{\"x\":1}"}"#, &[("a-b", r#"{"x":1}"#)]);
    }

    #[test]
    fn json_numbers_and_booleans_become_their_text_and_null_becomes_empty() {
        let value = r#"{"b":true,"big":123456789012345678901234567890,"e":1e400,"f":1.50,"n":null,"neg":-0}"#;
        let expected = [
            ("b", "true"),
            ("big", "123456789012345678901234567890"),
            ("e", "1e400"),
            ("f", "1.50"),
            ("n", ""),
            ("neg", "-0"),
        ];
        gives(Json, value, &expected);
    }

    /// Expectations are what Go's yaml.v2 2.4.0, upstream's reader, gives for the same documents.
    #[test]
    fn yaml_scalars_become_their_text() {
        gives(
            Yaml,
            "\nsomeKey: someValue\nsomeOtherKey: some other value",
            &[("someKey", "someValue"), ("someOtherKey", "some other value")],
        );
        gives(
            Yaml,
            "a: 0644\nb: 1.50\nc: yes\nd: 2020-01-01\ne: 0x1F",
            &[
                ("a", "0644"),
                ("b", "1.50"),
                ("c", "yes"),
                ("d", "2020-01-01"),
                ("e", "0x1F"),
            ],
        );
        gives(
            Yaml,
            "a: null\nb: ~\nc:\nd: x",
            &[("a", ""), ("b", ""), ("c", ""), ("d", "x")],
        );
        gives(
            Yaml,
            "80: x\ntrue: y\n1.50: z",
            &[("1.50", "z"), ("80", "x"), ("true", "y")],
        );
        gives(Yaml, "a: 1\na: 2", &[("a", "2")]);
        gives(Yaml, "\u{feff}a: 1", &[("a", "1")]);
        gives(Yaml, "a: &x hello\nb: *x", &[("a", "hello"), ("b", "hello")]);
        gives(Yaml, "a: !!str 12\nb: !foo bar", &[("a", "12"), ("b", "bar")]);
        gives(
            Yaml,
            "a: |\n  x\n  y\nb: 'null'\nc: \"\"",
            &[("a", "x\ny\n"), ("b", "null"), ("c", "")],
        );
        gives(Yaml, "{}", &[]);
        gives(Yaml, "---\n{\"json\": \"is yaml\"}\n", &[("json", "is yaml")]);
    }

    #[test]
    fn yaml_oddities_have_a_defined_outcome() {
        gives(Yaml, "a: !!binary aGVsbG8=", &[("a", "aGVsbG8=")]);
        gives(Yaml, "null: 3\n~: 4", &[("null", "3"), ("~", "4")]);
        assert_eq!(
            pairs(Yaml, "<<: {x: y}\nb: c").expect_err("merge").code,
            Code::ValueMalformed
        );
    }

    #[test]
    fn nested_values_are_refused_with_the_name_of_their_key() {
        for (format, value) in [
            (Json, r#"{"ok":"1","deep":{"x":"canary"}}"#),
            (Json, r#"{"deep":["canary"]}"#),
            (Yaml, "ok: 1\ndeep:\n  x: canary"),
            (Yaml, "deep: [canary]"),
            (Yaml, "deep: !tag {x: canary}"),
        ] {
            let problem = pairs(format, value).expect_err(value);
            assert_eq!(problem.code, Code::ValueMalformed);
            assert!(problem.cause.contains("\"deep\""), "{}", problem.cause);
            assert!(!format!("{problem:?}").contains("canary"));
        }
    }

    #[test]
    fn documents_that_are_no_mapping_are_refused_and_never_printed() {
        for (format, value) in [
            (Json, ""),
            (Json, "null"),
            (Json, "canary"),
            (Json, "[\"canary\"]"),
            (Json, "\"canary\""),
            (Json, "{\"a\":\"canary\"} canary"),
            (Json, "{\"a\":\"canary"),
            (Json, r#"{"a":"canary\ud800"}"#),
            (Yaml, ""),
            (Yaml, "null"),
            (Yaml, "# canary"),
            (Yaml, "canary"),
            (Yaml, "- canary"),
            (Yaml, "a: canary\n---\nb: canary"),
            (Yaml, "a: canary: canary"),
            (Yaml, "? [canary]\n: x"),
            (Yaml, "a: *canary"),
        ] {
            let problem = pairs(format, value).expect_err(value);
            assert_eq!(problem.code, Code::ValueMalformed, "{value}");
            assert!(!format!("{problem:?}").contains("canary"), "{problem:?}");
        }
    }

    #[test]
    fn hostile_documents_are_refused_quickly() {
        const MIB: usize = 1_048_576;
        let level = |level: u32| format!("b{level}: &a{level} [{}]\n", format!("*a{}, ", level - 1).repeat(9));
        let bomb =
            "b0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned() + &(1..30).map(level).collect::<Vec<_>>().concat();
        let start = std::time::Instant::now();
        assert!(pairs(Json, &format!("{{\"a\":{}", "[".repeat(MIB))).is_err());
        assert!(pairs(Yaml, &bomb).is_err());
        for opening in [
            "[", "{", "- ", "? ", "a: ", "&a ", "*a ", "!a ", "\"", "|\n", "[{a: ", "[]", "- [", "{[}]", "\n\t", "%",
        ] {
            assert!(
                pairs(Yaml, &format!("a: {}", opening.repeat(MIB / opening.len()))).is_err(),
                "{opening:?}"
            );
        }
        assert!(start.elapsed().as_secs() < 60, "{:?}", start.elapsed());
    }

    proptest! {
        #[test]
        fn what_serde_json_writes_is_read_back_by_both_readers(map: BTreeMap<String, String>) {
            let text = serde_json::to_string(&map).expect("strings");
            let expected: Vec<_> = map.into_iter().collect();
            prop_assert_eq!(pairs(Json, &text), Ok(expected));
        }

        #[test]
        fn what_serde_yaml_writes_is_read_back(map: BTreeMap<String, String>) {
            let text = serde_yaml::to_string(&map).expect("strings");
            let expected: Vec<_> = map.into_iter().collect();
            prop_assert_eq!(pairs(Yaml, &text), Ok(expected));
        }

        #[test]
        fn no_bytes_make_the_readers_panic(value: Vec<u8>, text in "[\\PC\n :{}\\[\\]\"'&*!|>-]{0,64}") {
            for format in [Json, Yaml] {
                let _ = parse(format, &SecretBytes::new(value.clone()));
                let _ = parse(format, &SecretBytes::from(text.as_str()));
            }
        }
    }
}
