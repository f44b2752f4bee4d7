//! The process environment as a value, so that everything that reads variables can be tested without touching it.

pub mod common;
mod variable;

use std::collections::HashMap;
use std::path::PathBuf;

pub use variable::{Row, Variable};

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

    /// The value of `variable`; one that is empty or only white space counts as unset.
    pub fn get(&self, variable: Variable) -> Option<&str> {
        self.text(variable.name())
    }

    /// Like [`Self::get`], and where it is unset the same name in lower case, as many programs know those of proxies.
    pub fn get_in_any_case(&self, variable: Variable) -> Option<&str> {
        self.get(variable)
            .or_else(|| self.text(&variable.name().to_ascii_lowercase()))
    }

    /// Whether there is something under a name of any kind, for fuzz targets.
    #[cfg(fuzzing)]
    pub fn is_set(&self, name: &str) -> bool {
        self.text(name).is_some()
    }

    fn text(&self, name: &str) -> Option<&str> {
        let value = self.variables.get(name)?.expose_str()?.trim();
        (!value.is_empty()).then_some(value)
    }

    /// The same variables with `variable` set to `value`.
    #[must_use]
    pub fn with(&self, variable: Variable, value: &str) -> Self {
        let mut changed = self.clone();
        let name = variable.name().to_owned();
        changed.variables.insert(name, SecretBytes::from(value));
        changed
    }

    /// Like [`Self::get`], as a path.
    pub fn path(&self, variable: Variable) -> Option<PathBuf> {
        self.get(variable).map(PathBuf::from)
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
    use table::{A, B, C, D, TABLE};

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

    mod table {
        #![expect(unreachable_pub, reason = "tables of programs are public")]

        crate::variables! {
            /// Of the tests below.
            pub(super) TABLE:
            A, "", "first";
            B, "1", "second", "new";
            C = "ENV_C", "", "third";
            D, "", "fourth";
        }
    }

    #[test]
    fn an_empty_variable_counts_as_unset() {
        let environment = Environment::from_iter([("A", " "), ("B", " b\n"), ("ENV_C", "")]);
        assert_eq!(environment.get(A), None);
        assert_eq!(environment.get(B), Some("b"));
        assert_eq!(environment.get(C), None);
        assert_eq!(environment.get(D), None);
    }

    #[test]
    fn lower_case_counts_where_it_may_and_the_usual_name_is_unset() {
        let environment = Environment::from_iter([("a", "1"), ("b", "lower"), ("B", "upper")]);
        assert_eq!(environment.get(A), None);
        assert_eq!(environment.get_in_any_case(A), Some("1"));
        assert_eq!(environment.get_in_any_case(B), Some("upper"));
    }

    #[test]
    fn a_table_has_each_of_its_variables() {
        let names: Vec<_> = TABLE.iter().map(|row| row.name).collect();
        assert_eq!(names, ["A", "B", "ENV_C", "D"]);
        assert_eq!((TABLE[0].differs, TABLE[1].differs), ("", "new"));
    }
}
