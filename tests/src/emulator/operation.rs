//! What a request asks for, under the names Azure's own diagnostic logs use (`SecretGet`, `CertificateList`, …).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The three collections of a vault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// `/secrets`.
    Secret,
    /// `/keys`.
    Key,
    /// `/certificates`.
    Certificate,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Secret, Self::Key, Self::Certificate];

    /// `Secret`, `Key`, `Certificate`: the beginning of operation names and error codes.
    pub fn title(self) -> &'static str {
        match self {
            Self::Secret => "Secret",
            Self::Key => "Key",
            Self::Certificate => "Certificate",
        }
    }

    /// `secrets`, `keys`, `certificates`: the path segment.
    pub fn segment(self) -> &'static str {
        match self {
            Self::Secret => "secrets",
            Self::Key => "keys",
            Self::Certificate => "certificates",
        }
    }
}

/// What is done to an object of a vault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(
    missing_docs,
    reason = "each is the operation of that name in the Key Vault REST reference"
)]
pub enum Action {
    Get,
    List,
    ListVersions,
    Set,
    Create,
    Import,
    Update,
    Delete,
    GetDeleted,
    ListDeleted,
    Recover,
    Purge,
    PolicyGet,
    PolicyUpdate,
    PendingGet,
    PendingUpdate,
    PendingDelete,
    IssuerGet,
    IssuerList,
    IssuerSet,
    IssuerDelete,
}

impl Action {
    const ALL: [Self; 21] = [
        Self::Get,
        Self::List,
        Self::ListVersions,
        Self::Set,
        Self::Create,
        Self::Import,
        Self::Update,
        Self::Delete,
        Self::GetDeleted,
        Self::ListDeleted,
        Self::Recover,
        Self::Purge,
        Self::PolicyGet,
        Self::PolicyUpdate,
        Self::PendingGet,
        Self::PendingUpdate,
        Self::PendingDelete,
        Self::IssuerGet,
        Self::IssuerList,
        Self::IssuerSet,
        Self::IssuerDelete,
    ];
}

/// One kind of request; the journal counts by it, faults are aimed by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operation {
    /// A request to a vault.
    Vault(Kind, Action),
    /// A token request at Entra or at a managed identity endpoint.
    Token,
    /// `openid-configuration`, instance discovery, user realm.
    Discovery,
    /// `jwks_uri`.
    SigningKeys,
    /// Nothing the service offers.
    Unknown,
}

impl Operation {
    /// `GET /secrets/{name}[/{version}]`.
    pub const SECRET_GET: Self = Self::Vault(Kind::Secret, Action::Get);
    /// `GET /secrets`, one page.
    pub const SECRET_LIST: Self = Self::Vault(Kind::Secret, Action::List);
    /// `PUT /secrets/{name}`.
    pub const SECRET_SET: Self = Self::Vault(Kind::Secret, Action::Set);
    /// `GET /certificates/{name}[/{version}]`.
    pub const CERTIFICATE_GET: Self = Self::Vault(Kind::Certificate, Action::Get);
    /// `GET /certificates`, one page.
    pub const CERTIFICATE_LIST: Self = Self::Vault(Kind::Certificate, Action::List);
    /// `GET /keys/{name}[/{version}]`.
    pub const KEY_GET: Self = Self::Vault(Kind::Key, Action::Get);
    /// `GET /keys`, one page.
    pub const KEY_LIST: Self = Self::Vault(Kind::Key, Action::List);

    fn all() -> impl Iterator<Item = Self> {
        let vault = Kind::ALL
            .into_iter()
            .flat_map(|kind| Action::ALL.into_iter().map(move |a| Self::Vault(kind, a)));
        vault.chain([Self::Token, Self::Discovery, Self::SigningKeys, Self::Unknown])
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Vault(kind, action) => write!(f, "{}{action:?}", kind.title()),
            other => write!(f, "{other:?}"),
        }
    }
}

impl FromStr for Operation {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::all()
            .find(|operation| operation.to_string() == text)
            .ok_or_else(|| {
                format!("{text:?} is not an operation: write SecretGet, SecretList, CertificateGet, Token, …")
            })
    }
}

impl Serialize for Operation {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Operation {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

/// Who answers a request.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Service {
    /// A vault, by name.
    Vault(String),
    /// Entra ID, every tenant.
    Entra,
    /// The instance metadata endpoint and the App Service identity endpoint.
    Imds,
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Vault(name) => write!(f, "vault {name}"),
            Self::Entra => f.write_str("entra"),
            Self::Imds => f.write_str("imds"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_azure_diagnostic_logs_and_read_back() {
        assert_eq!(Operation::SECRET_GET.to_string(), "SecretGet");
        assert_eq!(
            Operation::Vault(Kind::Certificate, Action::ListVersions).to_string(),
            "CertificateListVersions"
        );
        for operation in Operation::all() {
            assert_eq!(operation.to_string().parse(), Ok(operation));
        }
        assert!("SecretFetch".parse::<Operation>().is_err());
    }
}
