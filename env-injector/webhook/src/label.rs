//! The label that switches injection on in a namespace.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use akv2k8s_shared::injection::names;

/// Name and value, written `NAME=VALUE`. By default that of akv2k8s.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamespaceLabel {
    name: String,
    value: String,
}

/// It cannot be a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is no label: write NAME=VALUE")]
pub struct NotALabel;

impl NamespaceLabel {
    /// Whether `labels` have it.
    pub fn is_on(&self, labels: &BTreeMap<String, String>) -> bool {
        labels.get(&self.name) == Some(&self.value)
    }
}

impl Default for NamespaceLabel {
    fn default() -> Self {
        Self {
            name: names::LABEL.to_owned(),
            value: names::ENABLED.to_owned(),
        }
    }
}

impl fmt::Display for NamespaceLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.name, self.value)
    }
}

impl FromStr for NamespaceLabel {
    type Err = NotALabel;

    fn from_str(text: &str) -> Result<Self, NotALabel> {
        let legal = |part: &str, more: &[char]| {
            let is_legal = |c: char| c.is_ascii_alphanumeric() || more.contains(&c);
            !part.is_empty() && part.chars().all(is_legal)
        };
        match text.split_once('=') {
            Some((name, value)) if legal(name, &['-', '_', '.', '/']) && legal(value, &['-', '_', '.']) => Ok(Self {
                name: name.to_owned(),
                value: value.to_owned(),
            }),
            _ => Err(NotALabel),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_and_value_count_both() {
        let labels = |name: &str, value: &str| BTreeMap::from([(name.to_owned(), value.to_owned())]);
        let usual = NamespaceLabel::default();
        assert!(usual.is_on(&labels("azure-key-vault-env-injection", "enabled")));
        assert!(!usual.is_on(&labels("azure-key-vault-env-injection", "Enabled")));
        let other: NamespaceLabel = "example.org/inject=yes".parse().unwrap();
        assert!(other.is_on(&labels("example.org/inject", "yes")));
        assert!(!other.is_on(&labels("azure-key-vault-env-injection", "enabled")));
        assert_eq!(usual.to_string().parse(), Ok(usual));
    }

    #[test]
    fn what_no_namespace_can_have_is_refused() {
        for text in ["", "a", "=b", "a=", "a=b=c", "a=b c", "a b=c", "a=b/c"] {
            assert_eq!(text.parse::<NamespaceLabel>(), Err(NotALabel), "{text:?}");
        }
    }
}
