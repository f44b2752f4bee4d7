//! Entra's errors: AADSTS codes with the texts and statuses of the service.

use hyper::StatusCode;
use serde_json::json;

use crate::emulator::clock::iso_date;
use crate::emulator::crypto::random_uuid;
use crate::emulator::http::Reply;

/// A refused token request. Codes: <https://learn.microsoft.com/entra/identity-platform/reference-error-codes>.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EntraError {
    /// The number after `AADSTS`.
    pub(crate) code: u32,
    /// OAuth error (RFC 6749 §5.2).
    pub(crate) error: &'static str,
    pub(crate) message: String,
}

impl EntraError {
    pub(crate) fn invalid_client(code: u32, message: impl Into<String>) -> Self {
        Self {
            code,
            error: "invalid_client",
            message: message.into(),
        }
    }

    pub(crate) fn invalid_request(code: u32, message: impl Into<String>) -> Self {
        Self {
            code,
            error: "invalid_request",
            message: message.into(),
        }
    }

    pub(crate) fn invalid_grant(code: u32, message: impl Into<String>) -> Self {
        Self {
            code,
            error: "invalid_grant",
            message: message.into(),
        }
    }

    pub(crate) fn missing_parameter(name: &str) -> Self {
        Self::invalid_request(
            900_144,
            format!("The request body must contain the following parameter: '{name}'."),
        )
    }

    /// The answer of the token endpoint; `correlation_id` is the client's own, when it sent one.
    pub(crate) fn reply(&self, now: i64, correlation_id: Option<&str>) -> Reply {
        let status = if self.error == "invalid_client" {
            StatusCode::UNAUTHORIZED
        } else {
            StatusCode::BAD_REQUEST
        };
        let (trace_id, correlation_id) = (random_uuid(), correlation_id.map_or_else(random_uuid, str::to_owned));
        let timestamp = iso_date(now).replacen('T', " ", 1).replace(".0000000", "");
        let description = format!(
            "AADSTS{}: {} Trace ID: {trace_id} Correlation ID: {correlation_id} Timestamp: {timestamp}",
            self.code, self.message
        );
        Reply::json(
            status,
            &json!({
                "error": self.error, "error_description": description, "error_codes": [self.code],
                "timestamp": timestamp, "trace_id": trace_id, "correlation_id": correlation_id,
                "error_uri": format!("https://login.microsoftonline.com/error?code={}", self.code),
            }),
        )
    }
}
