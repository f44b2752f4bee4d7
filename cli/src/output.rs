//! How results are printed: text for people, JSON and YAML for programs.

use anyhow::Context;
use clap::ValueEnum;
use serde::Serialize;

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

/// One YAML document, with a line break at its end.
pub(crate) fn yaml(result: &impl Serialize) -> anyhow::Result<String> {
    let text = serde_saphyr::to_string(result).context("the result has no YAML form")?;
    Ok(text.trim_end().to_owned() + "\n")
}
