//! Refusals of the instance metadata service → diagnosis.
//!
//! Answers: <https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token#error-handling>.

use serde::Deserialize;

use super::{Code, Diagnosis, case, tidy};

/// A token request that the metadata service refused.
#[derive(Debug, Clone, Copy)]
pub struct ImdsRefusal<'a> {
    /// HTTP status.
    pub status: u16,
    /// The answer's body.
    pub body: &'a [u8],
    /// The identity that was asked for; `None` = the node's only one.
    pub client_id: Option<&'a str>,
}

/// What aad-pod-identity says where an identity is not assigned to the pod, in lower case.
const NOT_READY: [&str; 2] = [
    "no azure identity found for request",
    "no azureassignedidentity found for pod",
];

/// The metadata service speaks JSON, and aad-pod-identity plain text: a web page is a proxy's.
fn is_page(body: &[u8]) -> bool {
    body.trim_ascii_start().starts_with(b"<")
}

#[derive(Deserialize, Default)]
struct Body {
    #[serde(default)]
    error: String,
    #[serde(default)]
    error_description: String,
}

impl ImdsRefusal<'_> {
    /// Names the failure.
    pub fn recognise(&self) -> Diagnosis {
        let body: Body = serde_json::from_slice(self.body).unwrap_or_default();
        let said = tidy(&format!("{} {}", body.error, body.error_description));
        let who = self.client_id.map_or_else(
            || "the node's managed identity".to_owned(),
            |id| format!("the managed identity '{id}'"),
        );
        let what = format!(
            "The instance metadata service gave no token for {who}: HTTP {}.",
            self.status
        );
        let row = |code| Diagnosis::of(code, what.as_str(), &[]);
        let lower = String::from_utf8_lossy(self.body).to_ascii_lowercase();
        match self.status {
            _ if NOT_READY.iter().any(|words| lower.contains(words)) => row(Code::PodIdentityNotReady),
            _ if is_page(self.body) => row(Code::ImdsGateway),
            400 if lower.contains("multiple user assigned") => row(Code::ImdsAmbiguousIdentity),
            400 | 403 | 404 => row(Code::ImdsIdentityNotAssigned).quoting("IMDS", &said),
            410 => Diagnosis::case(case::ImdsUpdating, what),
            502 | 504 => row(Code::ImdsGateway),
            429 | 500..=599 => row(Code::ImdsThrottled),
            _ => Diagnosis::case(case::ImdsSays { message: &said }, what),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_answer_of_the_metadata_service_is_recognised() {
        let ambiguous = r#"{"error":"invalid_request","error_description":"Multiple user assigned identities exist, please specify the clientId"}"#;
        let unknown = r#"{"error":"invalid_request","error_description":"Identity not found"}"#;
        for (status, body, code) in [
            (400, ambiguous, Code::ImdsAmbiguousIdentity),
            (400, unknown, Code::ImdsIdentityNotAssigned),
            (
                404,
                "no azure identity found for request clientID",
                Code::PodIdentityNotReady,
            ),
            (
                403,
                "no AzureAssignedIdentity found for pod:ns/name in assigned state",
                Code::PodIdentityNotReady,
            ),
            (403, "<html>ERR_ACCESS_DENIED", Code::ImdsGateway),
            (410, "", Code::ImdsThrottled),
            (429, "", Code::ImdsThrottled),
            (500, "", Code::ImdsThrottled),
            (502, "<html>", Code::ImdsGateway),
            (504, "", Code::ImdsGateway),
            (418, "", Code::TokenRequestFailed),
        ] {
            let refusal = ImdsRefusal {
                status,
                body: body.as_bytes(),
                client_id: Some("cid"),
            };
            assert_eq!(refusal.recognise().code, code, "{status} {body}");
        }
    }
}
