//! Tokens of one ServiceAccount, as assertions for Entra.

use crate::identity::{Assertion, AssertionSource, TokenError};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::{Account, explain};

/// Half of a token's life, 5 minutes, it is used again: an Entra that fails must not cost the API server a token for each try. No longer,
/// since only the next request shows that a policy refuses this ServiceAccount now.
fn is_kept(since: Instant) -> bool {
    since.elapsed() < Assertion::REQUESTED_LIFETIME / 2
}

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
        Assertion::request(&self.client, &self.account.namespace, &self.account.name)
            .await
            .map_err(|error| explain::token_failed(&self.account, &error))?
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
            && is_kept(*since)
        {
            return Ok(assertion.clone());
        }
        // What is too old goes, whatever comes of the request.
        *kept = None;
        let assertion = self.request().await?;
        Ok(kept.insert((Instant::now(), assertion)).1.clone())
    }
}
