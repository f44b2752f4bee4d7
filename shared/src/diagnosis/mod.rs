//! The failure catalogue: what was observed → stable code, cause, and the fix to print.
//!
//! One row per way to fail; status conditions, events, log lines and `doctor` all speak through it.

use std::fmt;

/// A stable code of the failure catalogue. Its name is the condition's reason, the event's note and the metric's label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Code {
    // Entra token endpoint
    ClientSecretInvalid,
    ClientSecretExpired,
    AppNotFoundInTenant,
    AssertionSignatureInvalid,
    UserPasswordInvalid,
    AssertionOutsideValidity,
    NoFederatedCredential,
    TenantNotFound,
    TokenRequestFailed,
    // Environment and files
    WorkloadIdentityIncomplete,
    TokenFileUnreadable,
    EnvironmentIncomplete,
    CloudConfigUnreadable,
    // IMDS
    ImdsIdentityNotAssigned,
    ImdsAmbiguousIdentity,
    ImdsGateway,
    ImdsUnreachable,
    ImdsThrottled,
    // Key Vault
    ForbiddenByRbac,
    ForbiddenByPolicy,
    ForbiddenByFirewall,
    WrongPermissionKind,
    ObjectDisabled,
    ObjectNotYetValid,
    ObjectExpired,
    ObjectNotFound,
    VaultNotFound,
    WrongAudience,
    WrongTenant,
    Throttled,
    VaultUnavailable,
    VaultResponseInvalid,
    ChallengeRefused,
    NotExportable,
    // Vault object → data
    InvalidSpec,
    TransformFailed,
    DataKeyMissing,
    DataKeyInvalid,
    ValueMalformed,
    ValueTooLarge,
    CertificateUnreadable,
    CertificatePasswordProtected,
    // Kubernetes output
    OutputConflict,
    OutputNotOwned,
    OutputTypeRefused,
    OutputTypeImmutable,
    OutputImmutable,
    OutputRejected,
    ApiServerUnavailable,
    ApiServerForbidden,
}

impl Code {
    /// The code as written in conditions, events, logs and metrics.
    pub fn as_str(self) -> &'static str {
        // Variants are named as the catalogue spells them, and `Debug` of a fieldless variant is its name.
        match self {
            Self::ClientSecretInvalid => "ClientSecretInvalid",
            _ => "TODO",
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A failure that explains itself. None of the texts ever holds a secret value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnosis {
    /// The catalogue row.
    pub code: Code,
    /// What happened, to which object: one plain sentence.
    pub what: String,
    /// Why.
    pub cause: String,
    /// The command or edit that fixes it.
    pub fix: String,
}

impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {} Cause: {} Fix: {}",
            self.code, self.what, self.cause, self.fix
        )
    }
}
