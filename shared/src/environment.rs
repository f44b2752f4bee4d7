//! The process environment as a value, so that everything that reads variables can be tested without touching it.

use std::collections::HashMap;
use std::path::PathBuf;

use crate::secret::SecretBytes;

/// A snapshot of environment variables. Some hold secrets: there is no `Debug`, and values are zeroised when dropped.
#[derive(Clone, Default)]
pub struct Environment {
    variables: HashMap<String, SecretBytes>,
}

impl Environment {
    /// The variables of this process; those that are not UTF-8 are left out.
    pub fn from_process() -> Self {
        let utf8 = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        std::env::vars_os().filter_map(utf8).collect()
    }

    /// The value of `name`; a variable that is empty or only white space counts as unset.
    pub fn get(&self, name: &str) -> Option<&str> {
        let value = self.variables.get(name)?.expose_str()?.trim();
        (!value.is_empty()).then_some(value)
    }

    /// The same variables with `name` set to `value`.
    #[must_use]
    pub fn with(&self, name: &str, value: &str) -> Self {
        let mut changed = self.clone();
        changed.variables.insert(name.to_owned(), SecretBytes::from(value));
        changed
    }

    /// Like [`Self::get`], as a path.
    pub fn path(&self, name: &str) -> Option<PathBuf> {
        self.get(name).map(PathBuf::from)
    }
}

/// A boolean as upstream's flags and variables spell it: the twelve words of Go's `strconv.ParseBool`, and no others.
pub fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Self {
        let variables = pairs
            .into_iter()
            .map(|(name, value)| (name.into(), SecretBytes::from(value.into())))
            .collect();
        Self { variables }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn booleans_are_gos_and_nothing_else_is_one() {
        for yes in ["1", "t", "T", "true", "TRUE", "True"] {
            assert_eq!(parse_bool(yes), Some(true), "{yes}");
        }
        for no in ["0", "f", "F", "false", "FALSE", "False"] {
            assert_eq!(parse_bool(no), Some(false), "{no}");
        }
        for neither in ["", "yes", "no", "on", "tRUE", "2", " 1", "truefalse"] {
            assert_eq!(parse_bool(neither), None, "{neither:?}");
        }
    }

    #[test]
    fn an_empty_variable_counts_as_unset() {
        let environment = Environment::from_iter([("A", " "), ("B", " b\n"), ("C", "")]);
        assert_eq!(environment.get("A"), None);
        assert_eq!(environment.get("B"), Some("b"));
        assert_eq!(environment.get("C"), None);
        assert_eq!(environment.get("D"), None);
    }
}
