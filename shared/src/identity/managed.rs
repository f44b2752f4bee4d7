//! The managed identity of a node, from the instance metadata service.
//!
//! Wire format: <https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token>.

use std::time::Duration;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::{Request, StatusCode};
use serde::Deserialize;
use url::Url;

use super::token::{Token, TokenError};
use crate::diagnosis::{Code, Diagnosis, ImdsRefusal, Retry};
use crate::http::HttpClient;
use crate::secret::SecretBytes;

/// Off Azure nothing answers at the address, not even with a refusal: do not wait long for it.
const PROBE: Duration = Duration::from_secs(3);

/// Which identity is asked for, and where.
pub(super) struct ManagedIdentity {
    pub(super) endpoint: Url,
    pub(super) client_id: Option<String>,
}

#[derive(Deserialize)]
struct Answer {
    access_token: String,
    /// Seconds, as text; some versions send a number.
    expires_in: Option<serde_json::Value>,
    /// Unix seconds, likewise.
    expires_on: Option<serde_json::Value>,
}

impl ManagedIdentity {
    pub(super) async fn token(&self, http: &HttpClient, audience: &str) -> Result<Token, TokenError> {
        let request = Request::get(self.url(audience)?.as_str())
            .header("Metadata", "true")
            .body(Full::new(Bytes::new()))
            .map_err(|error| self.unreachable(&error.to_string()))?;
        let answer = tokio::time::timeout(PROBE, http.send(request))
            .await
            .map_err(|_| self.unreachable("no answer within 3 s"))?
            .map_err(|failure| self.unreachable(&failure.detail))?;
        if answer.status == StatusCode::OK {
            return parse(&answer.body).ok_or_else(malformed);
        }
        let refusal = ImdsRefusal {
            status: answer.status.as_u16(),
            body: &answer.body,
            client_id: self.client_id.as_deref(),
        };
        Err(TokenError {
            diagnosis: refusal.recognise(),
            retry: match answer.status.as_u16() {
                // 404 and 410: IMDS is being updated; 400 and 403 stay until somebody acts.
                404 | 410 | 429 | 500..=599 => Retry::Soon,
                _ => Retry::Slowly,
            },
        })
    }

    fn url(&self, audience: &str) -> Result<Url, TokenError> {
        let mut url = self
            .endpoint
            .join("metadata/identity/oauth2/token")
            .map_err(|error| self.unreachable(&error.to_string()))?;
        url.query_pairs_mut()
            .append_pair("api-version", "2018-02-01")
            .append_pair("resource", audience);
        if let Some(client_id) = &self.client_id {
            url.query_pairs_mut().append_pair("client_id", client_id);
        }
        Ok(url)
    }

    fn unreachable(&self, detail: &str) -> TokenError {
        TokenError {
            diagnosis: Diagnosis::new(
                Code::ImdsUnreachable,
                format!("No instance metadata service answers at {}.", self.endpoint),
                format!(
                    "This is not an Azure node, or something blocks the address ({detail}); and neither AZURE_CLIENT_SECRET \
                     nor AZURE_FEDERATED_TOKEN_FILE is set, so nothing else can be tried."
                ),
                "On AKS use workload identity: label the pod azure.workload.identity/use=true and annotate its service \
                 account with azure.workload.identity/client-id.",
            ),
            retry: Retry::Soon,
        }
    }
}

fn parse(body: &[u8]) -> Option<Token> {
    let answer: Answer = serde_json::from_slice(body).ok()?;
    let in_seconds = answer.expires_in.as_ref().and_then(seconds);
    let lifetime = in_seconds.or_else(|| {
        let until = answer.expires_on.as_ref().and_then(seconds)?;
        let now = jiff::Timestamp::now().as_second();
        Some(until - now)
    })?;
    let lifetime = Duration::from_secs(u64::try_from(lifetime).ok()?);
    (!answer.access_token.is_empty()).then(|| Token::new(SecretBytes::from(answer.access_token), lifetime))
}

fn seconds(value: &serde_json::Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.parse().ok())
}

fn malformed() -> TokenError {
    TokenError {
        diagnosis: Diagnosis::new(
            Code::TokenRequestFailed,
            "What answers as the instance metadata service is not it.",
            "The answer is not a token response.",
            "Check that nothing intercepts the metadata service's address on this node.",
        ),
        retry: Retry::Soon,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lifetimes_come_as_text_or_number_relative_or_absolute() {
        let until = jiff::Timestamp::now().as_second() + 3600;
        for body in [
            r#"{"access_token":"t","expires_in":"3600","expires_on":"1"}"#.to_owned(),
            r#"{"access_token":"t","expires_in":3600}"#.to_owned(),
            format!(r#"{{"access_token":"t","expires_on":"{until}"}}"#),
            format!(r#"{{"access_token":"t","expires_on":{until}}}"#),
        ] {
            assert!(parse(body.as_bytes()).is_some(), "{body}");
        }
        for body in [
            "",
            "{}",
            r#"{"access_token":"","expires_in":1}"#,
            r#"{"access_token":"t"}"#,
        ] {
            assert!(parse(body.as_bytes()).is_none(), "{body}");
        }
    }

    #[test]
    fn the_identity_is_named_in_the_query() {
        let identity = ManagedIdentity {
            endpoint: Url::parse("http://127.0.0.1:8080/").unwrap(),
            client_id: Some("c-1".to_owned()),
        };
        assert_eq!(
            identity.url("https://vault.azure.net").unwrap().as_str(),
            "http://127.0.0.1:8080/metadata/identity/oauth2/token?api-version=2018-02-01\
             &resource=https%3A%2F%2Fvault.azure.net&client_id=c-1"
        );
    }
}
