//! Names of vaults, objects and versions, parsed once; only these types reach a Key Vault client.
//!
//! Rules: <https://learn.microsoft.com/azure/key-vault/general/about-keys-secrets-certificates#objects-identifiers-and-versioning>.

use std::fmt;
use std::hash::{Hash, Hasher};

use thiserror::Error;

use crate::text::shortened;

/// Why a name is not one Azure could have given.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ReferenceError {
    /// Not 3–24 letters, digits and single hyphens, beginning with a letter and ending with a letter or digit.
    #[error(
        "{0:?} is not a vault name: write 3 to 24 letters, digits and single hyphens, beginning with a letter, \
         without the DNS suffix"
    )]
    Vault(String),
    /// Not 1–127 letters, digits and hyphens.
    #[error("{0:?} is not a vault object's name: write 1 to 127 letters, digits and hyphens")]
    Object(String),
    /// Not 32 hexadecimal digits.
    #[error("{0:?} is not an object version: write its 32 hexadecimal digits, or leave it out for the latest")]
    Version(String),
}

/// A vault's short name, lower-cased: `myvault` of `https://myvault.vault.azure.net`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct VaultName(String);

impl VaultName {
    /// Parses a name as users write it; upper case is accepted, as DNS does.
    pub fn parse(text: &str) -> Result<Self, ReferenceError> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
        let valid = (3..=24).contains(&text.len())
            && text.bytes().all(allowed)
            && text.as_bytes()[0].is_ascii_alphabetic()
            && !text.ends_with('-')
            && !text.contains("--");
        if valid {
            Ok(Self(text.to_ascii_lowercase()))
        } else {
            Err(ReferenceError::Vault(shorten(text)))
        }
    }

    /// The lower-case name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for VaultName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A secret's, certificate's or key's name. Compared without regard to case, as Key Vault does; printed as written.
#[derive(Debug, Clone)]
pub struct ObjectName(String);

impl ObjectName {
    /// Parses a name as users write it.
    pub fn parse(text: &str) -> Result<Self, ReferenceError> {
        let valid = (1..=127).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        if valid {
            Ok(Self(text.to_owned()))
        } else {
            Err(ReferenceError::Object(shorten(text)))
        }
    }

    /// The name as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl PartialEq for ObjectName {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

impl Eq for ObjectName {}

impl Hash for ObjectName {
    fn hash<H: Hasher>(&self, state: &mut H) {
        for byte in self.0.bytes() {
            state.write_u8(byte.to_ascii_lowercase());
        }
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An object version: 32 lower-case hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ObjectVersion(String);

impl ObjectVersion {
    /// Parses a version; upper-case digits are accepted.
    pub fn parse(text: &str) -> Result<Self, ReferenceError> {
        let valid = text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit());
        if valid {
            Ok(Self(text.to_ascii_lowercase()))
        } else {
            Err(ReferenceError::Version(shorten(text)))
        }
    }

    /// The lower-case digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ObjectVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What is read from the vault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ObjectKind {
    /// `GET /secrets/{name}`.
    Secret,
    /// `GET /certificates/{name}`: the public certificate only.
    Certificate,
    /// The certificate, and the secret behind it, which holds the private key and the chain.
    CertificateWithKey,
    /// `GET /keys/{name}`: the public part.
    Key,
}

impl ObjectKind {
    /// The smallest built-in role that allows reading it:
    /// <https://learn.microsoft.com/azure/key-vault/general/rbac-guide#azure-built-in-roles-for-key-vault-data-plane-operations>.
    pub fn role(self) -> &'static str {
        match self {
            Self::Secret => "Key Vault Secrets User",
            Self::Certificate | Self::CertificateWithKey => "Key Vault Certificate User",
            Self::Key => "Key Vault Reader",
        }
    }
}

/// One object in one vault: the only thing a Key Vault client is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ObjectRef {
    /// The vault that holds it.
    pub vault: VaultName,
    /// What is read.
    pub kind: ObjectKind,
    /// The object's name.
    pub name: ObjectName,
    /// A pinned version; `None` is the latest.
    pub version: Option<ObjectVersion>,
}

impl fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            ObjectKind::Secret => "secret",
            ObjectKind::Certificate | ObjectKind::CertificateWithKey => "certificate",
            ObjectKind::Key => "key",
        };
        write!(f, "{kind} '{}' in vault '{}'", self.name, self.vault)?;
        match &self.version {
            Some(version) => write!(f, ", version {version}"),
            None => Ok(()),
        }
    }
}

/// Keeps error messages short whatever was typed.
fn shorten(text: &str) -> String {
    shortened(text, 60)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_azure_would_refuse_are_refused() {
        for bad in [
            "",
            "ab",
            "1abc",
            "a--b",
            "abc-",
            "my.vault",
            "evil.com#",
            "a/b",
            "vault@x",
            "ünicode",
            &"a".repeat(25),
        ] {
            assert!(VaultName::parse(bad).is_err(), "{bad}");
        }
        for bad in [
            "",
            "../keys/k1",
            "a/b",
            "a.b",
            "a_b",
            "a b",
            "naïve",
            "a%2fb",
            "a?b",
            "a#b",
            &"a".repeat(128),
        ] {
            assert!(ObjectName::parse(bad).is_err(), "{bad}");
        }
        for bad in ["", "latest", "0123", &"g".repeat(32), &"a".repeat(33)] {
            assert!(ObjectVersion::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn case_is_folded_where_azure_folds_it() {
        assert_eq!(VaultName::parse("My-Vault").unwrap().as_str(), "my-vault");
        assert_eq!(
            ObjectName::parse("DB-Password").unwrap(),
            ObjectName::parse("db-password").unwrap()
        );
        assert_eq!(ObjectName::parse("DB-Password").unwrap().as_str(), "DB-Password");
        assert_eq!(
            ObjectVersion::parse(&"AB".repeat(16)).unwrap().as_str(),
            "ab".repeat(16)
        );
    }

    proptest! {
        #[test]
        fn whatever_parses_is_safe_in_a_url(text in ".*") {
            if let Ok(name) = ObjectName::parse(&text) {
                prop_assert!(name.as_str().bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'));
            }
            if let Ok(vault) = VaultName::parse(&text) {
                prop_assert!(!vault.as_str().contains(['.', '/', '@', '#', ':']));
            }
        }
    }
}
