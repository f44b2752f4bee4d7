//! Assertions of a `ServiceAccount`, from the API server's `TokenRequest`.
//!
//! API: <https://kubernetes.io/docs/reference/kubernetes-api/authentication-resources/token-request-v1/>.

use std::time::Duration;

use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::PostParams;
use kube::{Api, Client};

use super::Assertion;
use crate::diagnosis::AUDIENCE;
use crate::secret::SecretBytes;

const SECONDS: u32 = 600;

impl Assertion {
    /// How long one of [`Self::request`] lasts: the API server's minimum. Entra takes it once, at once.
    pub const REQUESTED_LIFETIME: Duration = Duration::from_secs(SECONDS as u64);

    /// Asks the API server for an assertion of the `ServiceAccount` `namespace/name`, for Entra and nobody else. `None`: the answer
    /// holds no token.
    ///
    /// # Errors
    /// The API server's, or the way to it.
    pub async fn request(client: &Client, namespace: &str, name: &str) -> kube::Result<Option<Self>> {
        let spec = TokenRequestSpec {
            audiences: Some(vec![AUDIENCE.to_owned()]),
            expiration_seconds: Some(SECONDS.into()),
            ..TokenRequestSpec::default()
        };
        let request = TokenRequest {
            spec: Some(spec),
            ..TokenRequest::default()
        };
        let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), namespace);
        let answer = accounts
            .create_token_request(name, &PostParams::default(), &request)
            .await?;
        let token = answer.status.and_then(|status| status.token).map(SecretBytes::from);
        Ok(token.and_then(|token| Self::parse(&token)))
    }
}
