//! How results are printed: text for people, JSON and YAML for programs.

use anyhow::Context;
use clap::ValueEnum;
use serde::Serialize;
use serde_json::Value;

use crate::style::Style;

/// `-o`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    Text,
    /// For programs; the shape is documented and stable.
    Json,
    /// The same as YAML.
    Yaml,
}

/// What people read of a result.
pub(crate) trait Text {
    /// All of it, with a line break at its end.
    fn text(&self, style: Style) -> String;
}

impl Output {
    /// `result` as it is printed, with a line break at its end.
    pub(crate) fn render(self, style: Style, result: &(impl Text + Serialize)) -> anyhow::Result<String> {
        match self {
            Self::Text => Ok(result.text(style)),
            Self::Json | Self::Yaml => self.document(result),
        }
    }

    /// `result` for programs: JSON unless YAML is asked for.
    pub(crate) fn document(self, result: &impl Serialize) -> anyhow::Result<String> {
        match self {
            Self::Yaml => yaml(result),
            Self::Text | Self::Json => {
                let json = serde_json::to_string_pretty(result).context("the result has no JSON form")?;
                Ok(json + "\n")
            }
        }
    }
}

/// One YAML document, with a line break at its end. Whatever else is white space there may belong to the last value.
///
/// Text of several lines is a block, which people read with ease. But the readers that kubectl and others use do not take every block that
/// YAML allows, such as one that begins with a tab: then all texts are quoted.
pub(crate) fn yaml(result: &impl Serialize) -> anyhow::Result<String> {
    const NO_FORM: &str = "the result has no YAML form";
    let value = serde_json::to_value(result).context(NO_FORM)?;
    let blocks = serde_saphyr::to_string(result).context(NO_FORM)?;
    let is_read_back = serde_yaml::from_str::<Value>(&blocks).is_ok_and(|read| read == value);
    let text = if is_read_back {
        blocks
    } else {
        let quoted = serde_saphyr::ser_options! { prefer_block_scalars: false };
        serde_saphyr::to_string_with_options(result, quoted).context(NO_FORM)?
    };
    Ok(if text.ends_with('\n') { text } else { text + "\n" })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use serde::Deserialize;

    use super::*;

    type Data = BTreeMap<String, String>;

    fn read(text: &str) -> Vec<Data> {
        let documents = serde_yaml::Deserializer::from_str(text).map(Data::deserialize);
        documents
            .collect::<Result<_, _>>()
            .unwrap_or_else(|error| panic!("{error}: {text:?}"))
    }

    #[test]
    fn white_space_at_the_end_of_the_last_value_stays() {
        for value in ["a ", " a \n", "a\n\n\n", "a\n \n", "\n", " ", "a\t", "---\n", "a\r\n"] {
            let data = Data::from([("k".to_owned(), value.to_owned())]);
            let text = yaml(&data).unwrap();
            assert!(text.ends_with('\n'), "{text:?}");
            assert_eq!(read(&[&*text, &text].join("---\n")), [data.clone(), data], "{text:?}");
        }
    }

    #[test]
    fn lines_stay_lines_unless_a_block_would_not_be_read_everywhere() {
        let text = |value: &str| yaml(&Data::from([("k".to_owned(), value.to_owned())])).unwrap();
        assert_eq!(text("a\nb\n"), "k: |\n  a\n  b\n");
        assert_eq!(text("\ta\nb\n"), "k: \"\\ta\\nb\\n\"\n");
    }

    proptest! {
        #[test]
        fn every_text_is_read_back_as_it_was(values in proptest::collection::vec(r#"[a0 \n\t\r:#'"|>~-]{0,12}|.*"#, 0..4)) {
            let data: Data = values.into_iter().enumerate().map(|(number, value)| (format!("k{number}"), value)).collect();
            let text = yaml(&data).unwrap();
            prop_assert_eq!(read(&[&*text, &text].join("---\n")), [data.clone(), data], "{:?}", text);
        }
    }
}
