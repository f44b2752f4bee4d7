//! A `TokenReview`, asked for without leaving copies of the token in memory.
//!
//! Format: <https://kubernetes.io/docs/reference/kubernetes-api/authentication-resources/token-review-v1/>.

use akv2k8s_shared::injection::names::TOKEN_AUDIENCE;
use hyper::body::Bytes;
use hyper::header::CONTENT_TYPE;
use hyper::{Method, Request};
use k8s_openapi::api::authentication::v1::TokenReviewStatus;
use kube::Error;
use kube::client::Body;
use kube::core::Status;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

const PATH: &str = "/apis/authentication.k8s.io/v1/tokenreviews";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Review<'t> {
    api_version: &'static str,
    kind: &'static str,
    spec: Spec<'t>,
}

#[derive(Serialize)]
struct Spec<'t> {
    audiences: [&'static str; 1],
    token: &'t str,
}

/// What matters of the answer, which repeats the token.
#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    status: TokenReviewStatus,
}

/// What the API server says of `token`.
pub(super) async fn ask(client: &kube::Client, token: &str) -> Result<TokenReviewStatus, Error> {
    let body = body(token).map_err(Error::SerdeError)?;
    let request = Request::builder()
        .method(Method::POST)
        .uri(PATH)
        .header(CONTENT_TYPE, "application/json")
        .body(Body::from(Bytes::from_owner(body)))
        .map_err(Error::HttpError)?;
    let answer = client.send(request).await?;
    let code = answer.status();
    let bytes = answer.into_body().collect_bytes().await?;
    if code.is_client_error() || code.is_server_error() {
        let status = serde_json::from_slice::<Status>(&bytes);
        let unnamed = || Status::failure("no reason is given", "Unknown").with_code(code.as_u16());
        return Err(Error::Api(status.unwrap_or_else(|_| unnamed()).boxed()));
    }
    let answer: Answer = serde_json::from_slice(&bytes).map_err(Error::SerdeError)?;
    Ok(answer.status)
}

/// The request's body, overwritten once it was sent.
fn body(token: &str) -> serde_json::Result<Zeroizing<Vec<u8>>> {
    let review = Review {
        api_version: "authentication.k8s.io/v1",
        kind: "TokenReview",
        spec: Spec {
            audiences: [TOKEN_AUDIENCE],
            token,
        },
    };
    // Six bytes for each that is escaped: the buffer must not grow, which would leave copies behind.
    let mut body = Zeroizing::new(Vec::with_capacity(256 + 6 * token.len()));
    serde_json::to_writer(&mut *body, &review)?;
    Ok(body)
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::authentication::v1::TokenReview;

    use super::*;

    #[test]
    fn the_body_is_a_token_review_and_its_buffer_never_grows() {
        for token in ["e30.e30.c2ln", "\"\\\u{1}"] {
            let body = body(token).unwrap();
            let read: TokenReview = serde_json::from_slice(&body).unwrap();
            assert_eq!(read.spec.token, token);
            assert_eq!(read.spec.audiences.unwrap(), [TOKEN_AUDIENCE]);
            assert_eq!(body.capacity(), 256 + 6 * token.len());
        }
    }
}
