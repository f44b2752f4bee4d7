//! Client assertions: a signed statement of somebody else (a cluster, say) about who asks, exchanged at Entra for a token.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use azure_core::http::ClientMethodOptions;
use azure_identity::ClientAssertion;

use super::token::TokenError;
use crate::diagnosis::{AssertionClaims, Diagnosis, Explanation, Retry, case};
use crate::file;
use crate::secret::SecretBytes;

/// A compact JWT, and what it says of itself. It cannot be printed.
#[derive(Clone)]
pub struct Assertion {
    text: SecretBytes,
    claims: AssertionClaims,
}

impl Assertion {
    /// Takes over a JWT, white space around it left out; `None` when it is not one. Its signature is Entra's to verify.
    pub fn parse(text: &SecretBytes) -> Option<Self> {
        let text = text.expose_str()?.trim();
        let claims = AssertionClaims::decode(text)?;
        let text = SecretBytes::from(text);
        Some(Self { text, claims })
    }

    /// Reads the file in which the kubelet keeps a ServiceAccount token.
    ///
    /// # Errors
    /// Why it holds none.
    pub async fn from_file(path: &Path) -> Result<Self, Explanation> {
        let read = file::read(path).await;
        let bytes = read.map_err(|error| Explanation::from(case::TokenFileUnread { error: &error }))?;
        Self::parse(&bytes).ok_or_else(|| case::TokenFileHoldsNone.into())
    }

    /// What it says: decoded, not verified.
    pub fn claims(&self) -> &AssertionClaims {
        &self.claims
    }
}

impl fmt::Debug for Assertion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Assertion(…)")
    }
}

/// As `azure_identity` asks for it.
#[async_trait::async_trait]
impl ClientAssertion for Assertion {
    async fn secret(&self, _: Option<ClientMethodOptions<'_>>) -> azure_core::Result<String> {
        Ok(self.text.expose_str().unwrap_or_default().to_owned())
    }
}

/// Gives assertions; asked for each exchange, so that it can renew what it has.
#[async_trait::async_trait]
pub trait AssertionSource: Send + Sync {
    /// What tells it from other sources, and is not secret: a path, a subject. Those of one name give the same assertions.
    fn name(&self) -> String;

    /// An assertion that Entra should take now.
    ///
    /// # Errors
    /// There is none; the diagnosis names the source.
    async fn assertion(&self) -> Result<Assertion, TokenError>;
}

#[async_trait::async_trait]
impl<T: AssertionSource> AssertionSource for Arc<T> {
    fn name(&self) -> String {
        self.as_ref().name()
    }

    async fn assertion(&self) -> Result<Assertion, TokenError> {
        self.as_ref().assertion().await
    }
}

/// The file in which the kubelet keeps a ServiceAccount token.
pub(super) struct TokenFile(pub(super) PathBuf);

#[async_trait::async_trait]
impl AssertionSource for TokenFile {
    fn name(&self) -> String {
        self.0.display().to_string()
    }

    /// Read anew for each exchange: the kubelet replaces it every hour.
    async fn assertion(&self) -> Result<Assertion, TokenError> {
        Assertion::from_file(&self.0).await.map_err(|why| self.unusable(why))
    }
}

impl TokenFile {
    fn unusable(&self, why: Explanation) -> TokenError {
        TokenError {
            diagnosis: Diagnosis::case(
                why,
                format!("The ServiceAccount token {} cannot be used.", self.0.display()),
            ),
            retry: Retry::Slowly,
        }
    }
}
