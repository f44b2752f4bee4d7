//! One value of a JSON object or YAML mapping: by its exact key, else by a path through nested ones, with a dot between two keys.
//!
//! At each level the key that is all of the rest of the path comes first, then the one up to the next dot.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};

use super::yaml::{self, Kind, Kinds};
use super::{MultiKeyFormat, json_object, json_scalar, nested, text};
use crate::diagnosis::Explanation;
use crate::secret::SecretBytes;

/// The value at `path` in `value`; `None`: nothing is there. Other values may be nested, this one may not.
pub(crate) fn select(
    format: MultiKeyFormat,
    value: &SecretBytes,
    path: &str,
) -> Result<Option<SecretBytes>, Explanation> {
    let text = text(format, value)?;
    match format {
        MultiKeyFormat::Json => in_json(text, path),
        MultiKeyFormat::Yaml => in_yaml(text, path),
    }
}

fn in_json(mut text: &str, mut path: &str) -> Result<Option<SecretBytes>, Explanation> {
    loop {
        let pairs = json_object(text)?;
        if let Some(raw) = pairs.get(path) {
            return json_scalar(path, raw).map(Some);
        }
        let step = path
            .split_once('.')
            .and_then(|(key, rest)| Some((pairs.get(key)?.get(), rest)));
        match step {
            Some((inner, rest)) if inner.starts_with('{') => (text, path) = (inner, rest),
            _ => return Ok(None),
        }
    }
}

fn in_yaml(text: &str, path: &str) -> Result<Option<SecretBytes>, Explanation> {
    yaml::check_nesting(text)?;
    let mut above: Vec<&str> = Vec::new();
    let mut rest = path;
    loop {
        let Some(Kinds(kinds)) = at(text, &above)? else {
            return Ok(None);
        };
        // A key that occurs twice has its last value.
        let kind = |key: &str| {
            kinds
                .iter()
                .rev()
                .find(|(known, _)| known == key)
                .map(|(_, kind)| *kind)
        };
        match kind(rest) {
            Some(Kind::List | Kind::Mapping) => return Err(nested(rest)),
            Some(Kind::Null) => return Ok(Some(SecretBytes::from(""))),
            Some(Kind::Scalar) => {
                above.push(rest);
                return Ok(at::<String>(text, &above)?.map(SecretBytes::from));
            }
            None => {}
        }
        match rest.split_once('.') {
            Some((key, below)) if kind(key) == Some(Kind::Mapping) => {
                above.push(key);
                rest = below;
            }
            _ => return Ok(None),
        }
    }
}

/// Reads what stands below `keys` as a `T`; `None`: there is no mapping with these keys.
fn at<'t, T: Deserialize<'t>>(text: &'t str, keys: &[&str]) -> Result<Option<T>, Explanation> {
    At(keys, PhantomData)
        .deserialize(serde_yaml::Deserializer::from_str(text))
        .map_err(|error| yaml::unreadable(&error))
}

struct At<'k, T>(&'k [&'k str], PhantomData<T>);

impl<'de, T: Deserialize<'de>> DeserializeSeed<'de> for At<'_, T> {
    type Value = Option<T>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        match self.0 {
            [] => T::deserialize(deserializer).map(Some),
            _ => deserializer.deserialize_any(self),
        }
    }
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for At<'_, T> {
    type Value = Option<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a mapping")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(key) = map.next_key::<String>()? {
            if self.0.first() == Some(&key.as_str()) {
                found = map.next_value_seed(At(&self.0[1..], PhantomData))?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use MultiKeyFormat::{Json, Yaml};
    use proptest::prelude::*;

    use super::*;

    const JSON: &str =
        r#"{"a":"1","n":1.50,"z":null,"x":{"y":"deep","y.z":"exact","l":[1]},"x.y":"top","w":{"x.y":"mixed"},"l":[]}"#;
    const YAML: &str = "a: 1\nn: 0644\nz: null\nx: {y: deep, y.z: exact, l: [1]}\nx.y: top\nw:\n  x.y: mixed\nl: []\n";

    fn found(format: MultiKeyFormat, value: &str, path: &str) -> Result<Option<String>, Explanation> {
        let value = select(format, &SecretBytes::from(value), path)?;
        Ok(value.map(|value| value.expose_str().expect("text").to_owned()))
    }

    #[test]
    fn an_exact_key_comes_before_a_path() {
        for (path, expected) in [
            ("a", Some("1")),
            ("z", Some("")),
            ("x.y", Some("top")),
            ("x.y.z", Some("exact")),
            ("w.x.y", Some("mixed")),
            ("b", None),
            ("a.b", None),
            ("l.0", None),
            ("x.q", None),
            ("x.", None),
        ] {
            for (format, text) in [(Json, JSON), (Yaml, YAML)] {
                assert_eq!(
                    found(format, text, path),
                    Ok(expected.map(str::to_owned)),
                    "{format:?} {path}"
                );
            }
        }
    }

    #[test]
    fn numbers_keep_their_text() {
        assert_eq!(found(Json, JSON, "n"), Ok(Some("1.50".to_owned())));
        assert_eq!(found(Yaml, YAML, "n"), Ok(Some("0644".to_owned())));
    }

    #[test]
    fn what_is_no_text_is_refused_by_name_and_what_cannot_be_read_without_a_byte_of_it() {
        for (format, text) in [(Json, JSON), (Yaml, YAML)] {
            for path in ["x", "l", "x.l"] {
                assert!(found(format, text, path).is_err(), "{format:?} {path}");
            }
            let problem = found(format, "[canary", "a").unwrap_err();
            assert!(!format!("{problem:?}").contains("canary"), "{problem:?}");
        }
    }

    #[test]
    fn of_a_key_that_occurs_twice_the_last_value_counts() {
        assert_eq!(found(Json, r#"{"a":"1","a":"2"}"#, "a"), Ok(Some("2".to_owned())));
    }

    proptest! {
        #[test]
        fn any_text_and_any_path_are_read_without_a_panic(value: String, path in "[a-c.]{0,8}") {
            let _ = found(Json, &value, &path);
            let _ = found(Yaml, &value, &path);
        }

        #[test]
        fn a_path_leads_where_its_keys_lead(keys in proptest::collection::vec("[a-z]{1,4}", 1..6), value in "[a-z]{1,8}") {
            let json = keys.iter().rev().fold(format!("{value:?}"), |inner, key| format!("{{{key:?}:{inner}}}"));
            for format in [Json, Yaml] {
                prop_assert_eq!(found(format, &json, &keys.join(".")), Ok(Some(value.clone())));
            }
        }
    }
}
