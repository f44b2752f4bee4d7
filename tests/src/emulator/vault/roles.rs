//! Rights: the built-in roles of Azure RBAC, access policies, and what each operation needs of them.

use serde::{Deserialize, Serialize};

use crate::emulator::operation::{Action, Kind};

/// A data-plane role of Azure RBAC: a built-in one by its name, or data actions one by one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Role {
    /// Everything.
    #[serde(rename = "Key Vault Administrator")]
    Administrator,
    /// Metadata of everything, no values.
    #[serde(rename = "Key Vault Reader")]
    Reader,
    /// Secrets: get and list.
    #[serde(rename = "Key Vault Secrets User")]
    SecretsUser,
    /// Secrets: everything.
    #[serde(rename = "Key Vault Secrets Officer")]
    SecretsOfficer,
    /// Certificates with their private keys: get and list.
    #[serde(rename = "Key Vault Certificate User")]
    CertificateUser,
    /// Certificates: everything.
    #[serde(rename = "Key Vault Certificates Officer")]
    CertificatesOfficer,
    /// Keys: get and list.
    #[serde(rename = "Key Vault Crypto User")]
    CryptoUser,
    /// Keys: everything.
    #[serde(rename = "Key Vault Crypto Officer")]
    CryptoOfficer,
    /// A custom role: data actions below `Microsoft.KeyVault/vaults/`, such as `secrets/getSecret/action`.
    #[serde(rename = "custom")]
    Custom(Vec<String>),
}

impl Role {
    /// Data actions below `Microsoft.KeyVault/vaults/`; `*` at the end stands for anything.
    fn actions(&self) -> Vec<&str> {
        match self {
            Self::Administrator => vec!["*"],
            Self::Reader => vec!["secrets/readMetadata/action", "keys/read", "certificates/read"],
            Self::SecretsUser => vec!["secrets/getSecret/action", "secrets/readMetadata/action"],
            Self::SecretsOfficer => vec!["secrets/*"],
            Self::CertificateUser => {
                vec![
                    "certificates/read",
                    "secrets/getSecret/action",
                    "secrets/readMetadata/action",
                    "keys/read",
                ]
            }
            Self::CertificatesOfficer => vec!["certificates/*", "certificatecas/*", "certificatecontacts/*"],
            Self::CryptoUser => vec!["keys/read"],
            Self::CryptoOfficer => vec!["keys/*"],
            Self::Custom(actions) => actions.iter().map(String::as_str).collect(),
        }
    }

    pub(super) fn allows(&self, action: &str) -> bool {
        self.actions()
            .into_iter()
            .any(|allowed| match allowed.strip_suffix('*') {
                Some(prefix) => action.starts_with(prefix),
                None => action.eq_ignore_ascii_case(allowed),
            })
    }
}

/// An access policy: permissions (`get`, `list`, `set`, `delete`, …, `all`) for each kind of object.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Policy {
    /// Permissions on secrets.
    pub secrets: Vec<String>,
    /// Permissions on keys.
    pub keys: Vec<String>,
    /// Permissions on certificates.
    pub certificates: Vec<String>,
}

impl Policy {
    pub(super) fn allows(&self, kind: Kind, permission: &str) -> bool {
        let permissions = match kind {
            Kind::Secret => &self.secrets,
            Kind::Key => &self.keys,
            Kind::Certificate => &self.certificates,
        };
        permissions
            .iter()
            .any(|p| p.eq_ignore_ascii_case(permission) || p.eq_ignore_ascii_case("all"))
    }
}

/// The data action below `Microsoft.KeyVault/vaults/` an operation needs.
pub(super) fn data_action(kind: Kind, action: Action) -> String {
    let collection = kind.segment();
    let verb = match (kind, action) {
        (Kind::Certificate, Action::IssuerGet | Action::IssuerList) => return "certificatecas/read".into(),
        (Kind::Certificate, Action::IssuerSet) => return "certificatecas/write".into(),
        (Kind::Certificate, Action::IssuerDelete) => return "certificatecas/delete".into(),
        (Kind::Secret, Action::Get) => "getSecret/action",
        (Kind::Secret, Action::Set | Action::Update) => "setSecret/action",
        (Kind::Secret, Action::List | Action::ListVersions | Action::GetDeleted | Action::ListDeleted) => {
            "readMetadata/action"
        }
        (_, Action::Set | Action::Create | Action::PendingUpdate | Action::PendingDelete) => "create/action",
        (_, Action::Update | Action::PolicyUpdate) => "update/action",
        (_, Action::Import) => "import/action",
        (_, Action::Delete) => "delete",
        (_, Action::Recover) => "recover/action",
        (_, Action::Purge) => "purge/action",
        _ => "read",
    };
    format!("{collection}/{verb}")
}

/// The access policy permission an operation needs.
pub(super) fn permission(action: Action) -> &'static str {
    match action {
        Action::Get | Action::GetDeleted | Action::PolicyGet | Action::PendingGet => "get",
        Action::List | Action::ListVersions | Action::ListDeleted => "list",
        Action::Set => "set",
        Action::Create => "create",
        Action::Import => "import",
        Action::Update | Action::PolicyUpdate | Action::PendingUpdate | Action::PendingDelete => "update",
        Action::Delete => "delete",
        Action::Recover => "recover",
        Action::Purge => "purge",
        Action::IssuerGet => "getissuers",
        Action::IssuerList => "listissuers",
        Action::IssuerSet => "setissuers",
        Action::IssuerDelete => "deleteissuers",
    }
}
