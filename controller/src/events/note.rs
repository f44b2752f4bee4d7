//! What events say.

/// Longest message the API server accepts.
const LONGEST_MESSAGE: usize = 1024;

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Note {
    /// An output was written because the AKVS asked for it.
    Synced,
    /// An output was written because the vault changed.
    SyncedWithChange,
    /// A sync failed on the vault's side.
    ErrAzureVault {
        /// Name of the AKVS.
        akvs: String,
        /// Name of the vault.
        vault: String,
        /// What happened, why and what to do.
        error: String,
    },
    /// An output belongs to somebody else.
    ErrResourceExists {
        /// The output's name.
        name: String,
        /// Why, and what to do.
        error: String,
    },
    /// Any other failure; its reason is the catalogue code.
    Failed {
        /// The code.
        code: &'static str,
        /// What happened, why and what to do.
        error: String,
    },
    /// Something in the spec has no effect.
    Warning(String),
}

/// A kind of event, with what users have to know of it, in Markdown.
pub struct Kind {
    /// `Normal` or `Warning`.
    pub type_: &'static str,
    /// The reason; empty: the code of the failure.
    pub reason: &'static str,
    /// What it is about.
    pub on: &'static str,
    /// When there is one.
    pub when: &'static str,
}

/// Every kind.
pub const KINDS: &[Kind] = &[
    SYNCED,
    SYNCED_WITH_CHANGE,
    ERR_AZURE_VAULT,
    ERR_RESOURCE_EXISTS,
    FAILED,
    SPEC_FIELD_IGNORED,
];

const AKVS: &str = "the AzureKeyVaultSecret";

const SYNCED: Kind = Kind {
    type_: "Normal",
    reason: "Synced",
    on: "the Secret or ConfigMap",
    when: "it was written for a new or edited object",
};
const SYNCED_WITH_CHANGE: Kind = Kind {
    on: AKVS,
    when: "its output was written because the vault has a new version; the spec did not change",
    ..SYNCED
};
const ERR_AZURE_VAULT: Kind = Kind {
    type_: "Warning",
    reason: "ErrAzureVault",
    on: AKVS,
    when: "the vault object could not be read or turned into data; the message names code, cause and fix",
};
const ERR_RESOURCE_EXISTS: Kind = Kind {
    reason: "ErrResourceExists",
    when: "the output, or a key of it, belongs to somebody else",
    ..ERR_AZURE_VAULT
};
const FAILED: Kind = Kind {
    reason: "",
    when: "any other failure, e.g. `InvalidSpec` or `OutputRejected`; also `ObjectExpired` and `ObjectNotYetValid`, where the object is outside its \
           dates and is synced all the same",
    ..ERR_AZURE_VAULT
};
const SPEC_FIELD_IGNORED: Kind = Kind {
    reason: "SpecFieldIgnored",
    when: "a field of the spec has no effect, e.g. `spec.vault.azureIdentity`; the message says which",
    ..ERR_AZURE_VAULT
};

impl Note {
    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::Synced => SYNCED,
            Self::SyncedWithChange => SYNCED_WITH_CHANGE,
            Self::ErrAzureVault { .. } => ERR_AZURE_VAULT,
            Self::ErrResourceExists { .. } => ERR_RESOURCE_EXISTS,
            Self::Failed { .. } => FAILED,
            Self::Warning(_) => SPEC_FIELD_IGNORED,
        }
    }

    pub(super) fn reason(&self) -> &'static str {
        match self {
            Self::Failed { code, .. } => code,
            _ => self.kind().reason,
        }
    }

    pub(super) fn message(&self) -> String {
        let message = match self {
            Self::Synced => "AzureKeyVaultSecret synced to Kubernetes Secret successfully".to_owned(),
            Self::SyncedWithChange => {
                "AzureKeyVaultSecret synced to Kubernetes Secret successfully with change from Azure Key Vault"
                    .to_owned()
            }
            Self::ErrAzureVault { akvs, vault, error } => {
                format!("Failed to get secret for '{akvs}' from Azure Key Vault '{vault}': {error}")
            }
            Self::ErrResourceExists { name, error } => {
                format!("Resource '{name}' already exists and is not managed by AzureKeyVaultSecret: {error}")
            }
            Self::Failed { error, .. } => error.clone(),
            Self::Warning(text) => text.clone(),
        };
        shortened(message)
    }
}

fn shortened(mut message: String) -> String {
    if message.len() > LONGEST_MESSAGE {
        let end = (0..=LONGEST_MESSAGE - 3)
            .rev()
            .find(|at| message.is_char_boundary(*at))
            .unwrap_or(0);
        message.truncate(end);
        message.push('…');
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_and_messages_are_upstreams() {
        let failed = Note::ErrAzureVault {
            akvs: "db".to_owned(),
            vault: "kv".to_owned(),
            error: "ObjectNotFound".to_owned(),
        };
        assert_eq!((failed.kind().type_, failed.reason()), ("Warning", "ErrAzureVault"));
        assert_eq!(
            failed.message(),
            "Failed to get secret for 'db' from Azure Key Vault 'kv': ObjectNotFound"
        );
        assert_eq!((Note::Synced.kind().type_, Note::Synced.reason()), ("Normal", "Synced"));
        assert_eq!(
            Note::Synced.message(),
            "AzureKeyVaultSecret synced to Kubernetes Secret successfully"
        );
    }

    #[test]
    fn every_event_is_of_a_kind_that_users_read_of() {
        let (akvs, vault, error) = (String::new(), String::new(), String::new());
        let notes = [
            Note::Synced,
            Note::SyncedWithChange,
            Note::ErrAzureVault {
                akvs,
                vault,
                error: error.clone(),
            },
            Note::ErrResourceExists {
                name: String::new(),
                error: error.clone(),
            },
            Note::Failed {
                code: "InvalidSpec",
                error,
            },
            Note::Warning(String::new()),
        ];
        let listed = |kind: &Kind| KINDS.iter().any(|it| (it.reason, it.when) == (kind.reason, kind.when));
        assert!(notes.iter().all(|note| listed(&note.kind())));
        assert_eq!(notes.len(), KINDS.len());
        assert_eq!(notes[4].reason(), "InvalidSpec");
    }
}
