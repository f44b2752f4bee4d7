//! The failure catalogue: what was observed → stable code, cause, and the fix to print.
//!
//! One row per way to fail; status conditions, events, log lines and `doctor` all speak through it.

mod entra;
mod imds;
mod vault;

use std::fmt;
use std::time::Duration;

pub use entra::{AssertionClaims, TokenRefusal};
pub use imds::ImdsRefusal;
pub use vault::VaultRefusal;
pub(crate) use vault::throttled;

/// Declares [`Code`] with each name written once.
macro_rules! codes {
    ($($(#[$documentation:meta])* $name:ident,)*) => {
        /// A stable code of the failure catalogue. Its name is the condition's reason, the event's note and the metric's label.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Code {
            $($(#[$documentation])* $name,)*
        }

        impl Code {
            /// Every code, in the catalogue's order.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The code as written in conditions, events, logs and metrics.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)*
                }
            }
        }
    };
}

codes! {
    // Entra token endpoint
    /// AADSTS7000215: the client secret is wrong.
    ClientSecretInvalid,
    /// AADSTS7000222: the client secret has expired.
    ClientSecretExpired,
    /// AADSTS700016: no such application in that tenant.
    AppNotFoundInTenant,
    /// AADSTS700027: the assertion's certificate is not registered.
    AssertionSignatureInvalid,
    /// AADSTS50126: wrong user name or password.
    UserPasswordInvalid,
    /// AADSTS700024: the assertion is expired or not yet valid.
    AssertionOutsideValidity,
    /// AADSTS70021 and 70021x: no federated credential matches the token's issuer, subject and audience.
    NoFederatedCredential,
    /// AADSTS90002, 900023: no such tenant.
    TenantNotFound,
    /// Any other refusal or failure of a token request.
    TokenRequestFailed,
    // Environment and files
    /// Some, not all, variables of workload identity are set.
    WorkloadIdentityIncomplete,
    /// The federated token file is missing, empty, or not a token.
    TokenFileUnreadable,
    /// No method of authentication is completely configured.
    EnvironmentIncomplete,
    /// The cloud's name is unknown, or its file cannot be used.
    CloudConfigUnreadable,
    /// The certificate authorities named by `SSL_CERT_FILE` or `SSL_CERT_DIR` cannot be used.
    TrustStoreUnreadable,
    // Instance metadata service (IMDS)
    /// IMDS knows no such managed identity on this node.
    ImdsIdentityNotAssigned,
    /// Several identities are on this node, and none was named.
    ImdsAmbiguousIdentity,
    /// 502 or 504: something answered in place of IMDS.
    ImdsGateway,
    /// Nothing answers at the IMDS address.
    ImdsUnreachable,
    /// IMDS asks to slow down, or is failing.
    ImdsThrottled,
    // Key Vault
    /// 403: no role assignment allows it.
    ForbiddenByRbac,
    /// 403: no access policy allows it.
    ForbiddenByPolicy,
    /// 403: the vault's network rules do not admit this client.
    ForbiddenByFirewall,
    /// 403 on the secret behind a certificate whose private key is wanted.
    WrongPermissionKind,
    /// 403: the version is disabled.
    ObjectDisabled,
    /// 403: before its `nbf`.
    ObjectNotYetValid,
    /// 403: after its `exp`.
    ObjectExpired,
    /// 404: no such object or version, or it is deleted.
    ObjectNotFound,
    /// DNS knows no such vault.
    VaultNotFound,
    /// 401: the token is meant for another cloud or service.
    WrongAudience,
    /// 401: the vault belongs to another tenant.
    WrongTenant,
    /// 429: the vault or the subscription is over its limit.
    Throttled,
    /// 5xx, timeout, reset or TLS failure.
    VaultUnavailable,
    /// The answer is not what the Key Vault REST reference says.
    VaultResponseInvalid,
    /// A server asked for a token that it must not have; none was sent.
    ChallengeRefused,
    /// The certificate's policy keeps its private key in the vault.
    NotExportable,
    // Vault object → data
    /// The specification asks for something that cannot be.
    InvalidSpec,
    /// A transform cannot be applied to the value.
    TransformFailed,
    /// The output names no key to write to.
    DataKeyMissing,
    /// The output's key is not one Kubernetes accepts.
    DataKeyInvalid,
    /// The value is not in the format its type needs.
    ValueMalformed,
    /// The output would exceed what Kubernetes stores.
    ValueTooLarge,
    /// The certificate or its key cannot be parsed.
    CertificateUnreadable,
    /// The PFX is protected by a password.
    CertificatePasswordProtected,
    // Kubernetes output
    /// Another object claims the same key.
    OutputConflict,
    /// The output exists and belongs to somebody else.
    OutputNotOwned,
    /// That Secret type is never written.
    OutputTypeRefused,
    /// The Secret exists with another type.
    OutputTypeImmutable,
    /// The output is marked immutable.
    OutputImmutable,
    /// The API server refuses the output.
    OutputRejected,
    /// The API server does not answer.
    ApiServerUnavailable,
    /// The controller lacks a right in the cluster.
    ApiServerForbidden,
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

impl Diagnosis {
    /// A diagnosis of `code`; the texts are whole sentences.
    pub fn new(code: Code, what: impl Into<String>, cause: impl Into<String>, fix: impl Into<String>) -> Self {
        Self {
            code,
            what: what.into(),
            cause: cause.into(),
            fix: fix.into(),
        }
    }
}

impl std::error::Error for Diagnosis {}

/// When asking again makes sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// Throttled: not before this time has passed.
    After(Duration),
    /// Transient: seconds, with back-off.
    Soon,
    /// Somebody must change something (a role, a name): minutes.
    Slowly,
}

/// Makes foreign text fit for a message: one line, bounded length.
pub(crate) fn tidy(text: &str) -> String {
    const LONGEST: usize = 300;
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn users_find_every_code_explained_once_and_no_code_that_does_not_exist() {
        let page = include_str!("../../../docs/troubleshooting.md");
        let (codes, _) = page
            .split_once("## Other reasons")
            .expect("codes come before other reasons");
        let rows = codes
            .lines()
            .filter_map(|line| line.strip_prefix("| `")?.split('`').next());
        let mut explained = BTreeSet::new();
        for code in rows {
            assert!(explained.insert(code), "{code} has two rows");
        }
        let existing: BTreeSet<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(explained, existing);
    }
}
