//! The vault's error answers: `{"error":{"code","message","innererror":{"code"}}}`.

use hyper::StatusCode;
use serde_json::json;

use crate::emulator::http::Reply;
use crate::emulator::operation::Kind;

/// A refused request to a vault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct VaultError {
    pub(crate) status: StatusCode,
    pub(crate) code: String,
    pub(crate) message: String,
    pub(crate) inner: Option<String>,
}

impl VaultError {
    fn new(status: StatusCode, code: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            status,
            code: code.into(),
            message: message.into(),
            inner: None,
        }
    }

    fn inner(mut self, code: impl Into<String>) -> Self {
        self.inner = Some(code.into());
        self
    }

    pub(crate) fn bad_parameter(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "BadParameter", message)
    }

    pub(crate) fn not_found(kind: Kind, name: &str) -> Self {
        let (title, lower) = (kind.title(), kind.title().to_ascii_lowercase());
        Self::new(
            StatusCode::NOT_FOUND,
            format!("{title}NotFound"),
            format!(
                "A {lower} with (name/id) {name} was not found in this key vault. If you recently deleted this {lower} \
                 you may be able to recover it using the correct recovery command. For help resolving this issue, \
                 please see https://go.microsoft.com/fwlink/?linkid=2125182"
            ),
        )
    }

    pub(crate) fn issuer_not_found(name: &str) -> Self {
        let message = format!("The certificate issuer {name} was not found in this key vault.");
        Self::new(StatusCode::NOT_FOUND, "CertificateIssuerNotFound", message)
    }

    pub(crate) fn pending_not_found(name: &str) -> Self {
        let message = format!("Pending certificate not found: {name}");
        Self::new(StatusCode::NOT_FOUND, "PendingCertificateNotFound", message)
    }

    /// Secrets and keys behind certificates live and die with them.
    pub(crate) fn managed(kind: Kind, name: &str) -> Self {
        let lower = kind.title().to_ascii_lowercase();
        Self::forbidden(
            format!("Operation is not allowed on {lower} {name}: it is managed by the certificate of that name."),
            format!("{}Managed", kind.title()),
        )
    }

    pub(crate) fn deleted_but_recoverable(kind: Kind, name: &str) -> Self {
        let (title, lower) = (kind.title(), kind.title().to_ascii_lowercase());
        let message = format!(
            "{title} {name} is currently in a deleted but recoverable state, and its name cannot be reused; in this \
             state, the {lower} can only be recovered or purged."
        );
        Self::new(StatusCode::CONFLICT, "Conflict", message).inner("ObjectIsDeletedButRecoverable")
    }

    pub(crate) fn disabled(kind: Kind) -> Self {
        let message = format!(
            "Operation get is not allowed on a disabled {}.",
            kind.title().to_ascii_lowercase()
        );
        Self::forbidden(message, format!("{}Disabled", kind.title()))
    }

    pub(crate) fn forbidden(message: impl Into<String>, inner: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "Forbidden", message).inner(inner)
    }

    pub(crate) fn throttled() -> Self {
        let message =
            "Request was not processed because too many requests were received. Reason: VaultRequestTypeLimitReached";
        Self::new(StatusCode::TOO_MANY_REQUESTS, "Throttled", message).inner("VaultRequestTypeLimitReached")
    }

    pub(crate) fn unauthorized(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "Unauthorized", message)
    }

    pub(crate) fn unsupported(method: &str, path: &str) -> Self {
        let message =
            format!("The request {method} {path} is not an operation of Key Vault, or not one of this emulator.");
        Self::new(StatusCode::NOT_FOUND, "NotFound", message)
    }

    pub(crate) fn reply(&self) -> Reply {
        let mut error = json!({ "code": self.code, "message": self.message });
        if let Some(inner) = &self.inner {
            error["innererror"] = json!({ "code": inner });
        }
        Reply::json(self.status, &json!({ "error": error }))
    }
}
