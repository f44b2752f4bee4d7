//! A vault as somebody sees it.

use std::fmt;

use akv2k8s_shared::readers::Reader;

/// One vault as one reader sees it. What was listed, found out or refused there is nobody else's.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Sight {
    /// The vault's name, in lower case.
    pub(crate) vault: String,
    /// Who looks.
    pub(crate) reader: Reader,
}

impl fmt::Display for Sight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.reader {
            Reader::Program => f.write_str(&self.vault),
            Reader::ServiceAccount(account) => write!(f, "{} as {account}", self.vault),
        }
    }
}
