//! User name and password: OAuth's resource owner password grant, for public clients.
//!
//! Wire format: <https://learn.microsoft.com/entra/identity-platform/v2-oauth-ropc>. Users with multi-factor
//! authentication, and federated ones, cannot sign in this way.

use std::time::Duration;

use http_body_util::Full;
use hyper::Request;
use hyper::body::Bytes;
use hyper::header::CONTENT_TYPE;
use serde::Deserialize;
use url::Url;
use url::form_urlencoded::Serializer;
use zeroize::Zeroizing;

use super::token::Token;
use crate::http::{Failure, HttpClient, Response};
use crate::secret::SecretBytes;

#[derive(Deserialize)]
struct Answer {
    access_token: String,
    /// Seconds.
    expires_in: u64,
}

/// Asks `endpoint` for a token for `audience` in the name of `user`.
pub(super) async fn request(
    http: &HttpClient,
    endpoint: &Url,
    client_id: &str,
    (user, password): (&str, &SecretBytes),
    audience: &str,
) -> Result<Response, Failure> {
    let body = form(client_id, user, password, audience);
    let request = Request::post(endpoint.as_str())
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Full::new(Bytes::from_owner(body)))
        .map_err(|error| Failure::unsendable(endpoint.host_str().unwrap_or_default(), &error))?;
    http.send(request).await
}

/// The fields of the request; zeroised when it has been sent.
fn form(client_id: &str, user: &str, password: &SecretBytes, audience: &str) -> Zeroizing<Vec<u8>> {
    let password = password.expose_str().unwrap_or_default();
    // Three bytes for each that is escaped: the buffer must not grow, which would leave copies behind.
    let mut fields = Serializer::new(String::with_capacity(
        256 + 3 * (client_id.len() + user.len() + password.len() + audience.len()),
    ));
    fields
        .append_pair("grant_type", "password")
        .append_pair("client_id", client_id)
        .append_pair("username", user)
        .append_pair("password", password)
        .append_pair("scope", &format!("{audience}/.default"));
    Zeroizing::new(fields.finish().into_bytes())
}

/// The token in an answer with status 200; `None` when there is none.
pub(super) fn parse(body: &[u8]) -> Option<Token> {
    let answer: Answer = serde_json::from_slice(body).ok()?;
    let lifetime = Duration::from_secs(answer.expires_in);
    (!answer.access_token.is_empty()).then(|| Token::new(answer.access_token.into(), lifetime))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_escapes_what_users_put_into_passwords() {
        let form = form("c-1", "a@b.example", &"p&=ß %".into(), "https://vault.azure.net");
        assert_eq!(
            str::from_utf8(&form).unwrap(),
            "grant_type=password&client_id=c-1&username=a%40b.example&password=p%26%3D%C3%9F+%25\
             &scope=https%3A%2F%2Fvault.azure.net%2F.default"
        );
    }

    #[test]
    fn only_a_token_with_a_lifetime_is_one() {
        assert!(parse(br#"{"token_type":"Bearer","access_token":"t","expires_in":3599}"#).is_some());
        for body in [
            "",
            "{}",
            r#"{"access_token":"t"}"#,
            r#"{"access_token":"","expires_in":1}"#,
        ] {
            assert!(parse(body.as_bytes()).is_none(), "{body}");
        }
    }
}
