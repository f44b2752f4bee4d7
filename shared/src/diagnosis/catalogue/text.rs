//! The texts of the catalogue, filled in.

use std::fmt::{self, Display};
use std::ops::Deref;

use serde::{Serialize, Serializer};

use super::{Code, template};
use crate::diagnosis::Diagnosis;

/// A cause or a fix. Only the catalogue makes them, so that all of them stand there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text(String);

/// Why something failed and what to do, not yet tied to an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// The catalogue row.
    pub code: Code,
    /// Why.
    pub cause: Text,
    /// The command or edit that fixes it.
    pub fix: Text,
}

impl Explanation {
    /// The texts of the catalogue with `names` filled in.
    pub(super) fn of(code: Code, cause: &str, fix: &str, names: &[(&str, &dyn Display)]) -> Self {
        let text = |template| Text(template::fill(template, names));
        Self {
            code,
            cause: text(cause),
            fix: text(fix),
        }
    }
}

/// The row's own texts, with names left to the reader.
impl From<Code> for Explanation {
    fn from(code: Code) -> Self {
        code.explain(&[])
    }
}

impl Code {
    /// The row's own texts, with `names` filled in. One that is not given stands there in capitals, for the reader to fill in.
    pub fn explain(self, names: &[(&str, &str)]) -> Explanation {
        let row = self.row();
        debug_assert!(
            names.iter().all(|(name, _)| is_known(name)),
            "{self}: no row has all of these names: {names:?}"
        );
        let names: Vec<_> = names
            .iter()
            .map(|(name, value)| (*name, value as &dyn Display))
            .collect();
        Explanation::of(self, row.cause, row.fix, &names)
    }
}

/// Whether any row has `{name}`: callers give the same names to several.
fn is_known(name: &str) -> bool {
    let has = |text| template::names(text).any(|known| known == name);
    Code::ALL
        .iter()
        .map(|code| code.row())
        .any(|row| has(row.cause) || has(row.fix))
}

impl Text {
    /// With the words that a service has for it: `… IMDS says: …`.
    #[must_use]
    pub(crate) fn quoting(self, who: &str, said: &str) -> Self {
        match said {
            "" => self,
            said => Self(format!("{self} {who} says: {said}")),
        }
    }

    /// With what was found out on the way before it: whole sentences.
    #[must_use]
    pub(crate) fn after(self, findings: &str) -> Self {
        Self(format!("{findings} {self}"))
    }
}

impl Diagnosis {
    /// What a program told of itself as `reason` and `WHAT Cause: CAUSE Fix: FIX`; `None` when this version does not know the reason.
    pub fn told(reason: &str, message: &str) -> Option<Self> {
        let code = Code::ALL.iter().find(|code| code.as_str() == reason)?;
        let (what, rest) = message.split_once(" Cause: ").unwrap_or((message, ""));
        let (cause, fix) = rest.split_once(" Fix: ").unwrap_or((rest, ""));
        Some(Self {
            code: *code,
            what: what.to_owned(),
            cause: Text(cause.to_owned()),
            fix: Text(fix.to_owned()),
            trace: None,
        })
    }
}

impl Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

impl From<Text> for String {
    fn from(text: Text) -> Self {
        text.0
    }
}

impl<T: AsRef<str> + ?Sized> PartialEq<T> for Text {
    fn eq(&self, other: &T) -> bool {
        self.0 == other.as_ref()
    }
}

impl Serialize for Text {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self)
    }
}
