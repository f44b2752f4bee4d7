//! Tokens of one ServiceAccount, from the API server's `TokenRequest`, as assertions for Entra.
//!
//! API: <https://kubernetes.io/docs/reference/kubernetes-api/authentication-resources/token-request-v1/>.

use std::time::{Duration, Instant};

use akv2k8s_shared::diagnosis::AUDIENCE;
use akv2k8s_shared::identity::{Assertion, AssertionSource, TokenError};
use akv2k8s_shared::secret::SecretBytes;
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::Api;
use kube::api::PostParams;
use tokio::sync::Mutex;

use super::{Account, explain};

/// Seconds; the API server's minimum. Entra takes the token once, at once.
const LIFETIME: u32 = 600;
/// A token is used again for so long: an Entra that fails must not cost the API server a token for each try.
const KEPT: Duration = Duration::from_secs(LIFETIME as u64 / 2);

/// Asks for tokens of one ServiceAccount.
pub(super) struct TokenRequests {
    client: kube::Client,
    account: Account,
    kept: Mutex<Option<(Instant, Assertion)>>,
}

impl TokenRequests {
    /// Asks for nothing yet.
    pub(super) fn new(client: kube::Client, account: Account) -> Self {
        Self {
            client,
            account,
            kept: Mutex::default(),
        }
    }

    async fn request(&self) -> Result<Assertion, TokenError> {
        let spec = TokenRequestSpec {
            audiences: Some(vec![AUDIENCE.to_owned()]),
            expiration_seconds: Some(LIFETIME.into()),
            ..TokenRequestSpec::default()
        };
        let request = TokenRequest {
            spec: Some(spec),
            ..TokenRequest::default()
        };
        let api = Api::<ServiceAccount>::namespaced(self.client.clone(), &self.account.namespace);
        let answer = api
            .create_token_request(&self.account.name, &PostParams::default(), &request)
            .await
            .map_err(|error| explain::token_failed(&self.account, &error))?;
        let token = answer.status.and_then(|status| status.token).map(SecretBytes::from);
        token
            .and_then(|token| Assertion::parse(&token))
            .ok_or_else(|| explain::no_token(&self.account))
    }
}

#[async_trait::async_trait]
impl AssertionSource for TokenRequests {
    fn name(&self) -> String {
        self.account.subject()
    }

    async fn assertion(&self) -> Result<Assertion, TokenError> {
        let mut kept = self.kept.lock().await;
        if let Some((since, assertion)) = &*kept
            && since.elapsed() < KEPT
        {
            return Ok(assertion.clone());
        }
        // What is too old goes, whatever comes of the request.
        *kept = None;
        let assertion = self.request().await?;
        Ok(kept.insert((Instant::now(), assertion)).1.clone())
    }
}
