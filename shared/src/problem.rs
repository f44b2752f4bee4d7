//! Why a vault object cannot become data. The modules below know cause and fix; who calls them knows which object.

use crate::diagnosis::{Code, Diagnosis};

/// A cause with its fix, not yet tied to an object. Neither text ever holds a byte of a secret value; names of keys in
/// a multi-key secret may appear.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    /// The catalogue row.
    pub(crate) code: Code,
    /// Why it failed: one plain sentence.
    pub(crate) cause: String,
    /// What to do: one plain sentence.
    pub(crate) fix: String,
}

impl Problem {
    /// A problem of catalogue row `code`; both texts are sentences.
    pub(crate) fn new(code: Code, cause: impl Into<String>, fix: impl Into<String>) -> Self {
        Self {
            code,
            cause: cause.into(),
            fix: fix.into(),
        }
    }

    /// Says which object it happened to: `what` is a sentence.
    pub(crate) fn happened(self, what: String) -> Diagnosis {
        Diagnosis::new(self.code, what, self.cause, self.fix)
    }
}
