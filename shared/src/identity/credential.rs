//! One token exchange, by each method.
//!
//! Entra is spoken to by Microsoft's `azure_identity`, one credential object per exchange: the crate's own cache cannot
//! be told that a token was rejected, and drops the old token when a refresh fails, so ours ([`super::token`]) is used.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use azure_core::cloud::{CloudConfiguration, CustomConfiguration};
use azure_core::credentials::{AccessToken, Secret, TokenCredential};
use azure_core::error::ErrorKind;
use azure_core::http::headers::HeaderName;
use azure_core::http::{ClientOptions, RetryOptions, Transport};
use azure_core::time::OffsetDateTime;
use azure_identity::{
    ClientAssertionCredential, ClientAssertionCredentialOptions, ClientSecretCredential, ClientSecretCredentialOptions,
};
use backon::{ExponentialBuilder, Retryable};
use hyper::header::RETRY_AFTER;
use sha2::Digest;
use url::Url;

use super::assertion::{Assertion, AssertionSource, TokenFile};
use super::caveat::Caveat;
use super::certificate::{CertificateFile, Parties};
use super::choice::Plan;
use super::managed::ManagedIdentity;
use super::token::{Token, TokenError};
use super::token_proxy::TokenProxy;
use super::{Cloud, IdentityInfo, azure_cli, counts, password};
use crate::diagnosis::{AssertionClaims, Diagnosis, Retry, TokenRefusal, case, explain_secret};
use crate::environment::Environment;
use crate::http::{self, Failure, HttpClient, find};
use crate::secret::SecretBytes;
use crate::span;

/// Longest `Retry-After` of Entra that is believed.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);

/// Longest pause between the attempts of one exchange, whose askers know nothing of it. A longer one is for them to make.
const LONGEST_INNER_PAUSE: Duration = Duration::from_secs(3);

/// How to obtain a token, with what it takes. No `Debug`: it holds secrets.
pub(super) enum Credential {
    Secret(SecretBytes),
    /// A signed statement of somebody else, exchanged at Entra, or at the proxy that stands in for it.
    Assertion {
        source: Box<dyn AssertionSource>,
        token_proxy: Option<TokenProxy>,
    },
    /// A statement that the application signs itself.
    Certificate(CertificateFile),
    Password {
        user: String,
        password: SecretBytes,
    },
    Managed(ManagedIdentity),
    AzureCli {
        program: PathBuf,
    },
}

impl Credential {
    /// What is needed to do as `plan` says.
    pub(super) fn of(plan: &Plan, environment: &Environment, cloud: &Cloud) -> Result<Self, Box<Diagnosis>> {
        Ok(match plan {
            Plan::ClientSecret(secret) => Self::Secret(secret.clone()),
            Plan::ClientCertificate(file) => Self::Certificate(file.clone()),
            Plan::UsernamePassword { user, password } => Self::Password {
                user: user.clone(),
                password: password.clone(),
            },
            Plan::WorkloadIdentity { token_file } => Self::Assertion {
                source: Box::new(TokenFile(token_file.clone())),
                token_proxy: TokenProxy::from_environment(environment)?,
            },
            Plan::ManagedIdentity(user) => {
                Self::Managed(ManagedIdentity::from_environment(environment, cloud, user.clone())?)
            }
            Plan::AzureCli { program } => Self::AzureCli {
                program: program.clone(),
            },
        })
    }

    /// Tells two credentials apart without revealing either. Equal marks of equal [`IdentityInfo`]s share their tokens.
    pub(super) fn mark(&self) -> [u8; 32] {
        let mut digest = sha2::Sha256::new();
        match self {
            Self::Secret(secret) => digest.update(secret.expose()),
            Self::Assertion { source, .. } => digest.update(source.name()),
            Self::Certificate(file) => {
                digest.update(file.path.as_os_str().as_encoded_bytes());
                digest.update([0, u8::from(file.send_chain)]);
                digest.update(file.password.as_ref().map_or(&[][..], SecretBytes::expose));
            }
            Self::Password { user, password } => {
                digest.update(user);
                digest.update([0]);
                digest.update(password.expose());
            }
            Self::AzureCli { program } => digest.update(program.as_os_str().as_encoded_bytes()),
            Self::Managed(identity) => identity.mark(&mut digest),
        }
        digest.finalize().into()
    }
}

/// Everything one exchange needs.
#[derive(Clone)]
pub(super) struct Exchange {
    pub(super) cloud: Cloud,
    pub(super) info: IdentityInfo,
    pub(super) credential: Arc<Credential>,
    pub(super) caveat: Caveat,
    pub(super) http: HttpClient,
}

impl Exchange {
    /// The same somebody in another tenant.
    pub(super) fn in_tenant(&self, tenant: &str) -> Self {
        let mut other = self.clone();
        other.info.tenant_id = Some(tenant.to_owned());
        other
    }

    /// Asks for a token for `audience`; transient failures are retried a little.
    pub(super) async fn token(self: Arc<Self>, audience: String) -> Result<Token, TokenError> {
        let pauses = ExponentialBuilder::default()
            .with_min_delay(Duration::from_millis(300))
            .with_max_delay(LONGEST_INNER_PAUSE)
            .with_max_times(2)
            .with_jitter();
        let attempts = (|| self.attempt(&audience))
            .retry(pauses)
            .when(|_| !matches!(*self.credential, Credential::Managed(_)))
            .adjust(|error, own| inner_pause(error.retry, own?));
        let attempts = async {
            attempts.await.map_err(|error| TokenError {
                diagnosis: self.caveat.explain(error.diagnosis),
                ..error
            })
        };
        let span = span!("token", method = self.info.method.as_str());
        let outcome = span::within(span, |error: &TokenError| error.diagnosis.code, attempts).await;
        counts::count(self.info.method, &outcome);
        outcome
    }

    async fn attempt(&self, audience: &str) -> Result<Token, TokenError> {
        match self.credential.as_ref() {
            Credential::Secret(secret) => self.with_secret(secret, audience).await,
            Credential::Assertion { source, token_proxy } => {
                self.with_assertion(source.as_ref(), token_proxy.as_ref(), audience)
                    .await
            }
            Credential::Certificate(file) => self.with_certificate(file, audience).await,
            Credential::Password { user, password } => self.with_password((user, password), audience).await,
            Credential::Managed(identity) => identity.token(&self.http, audience).await,
            Credential::AzureCli { program } => {
                azure_cli::token(program, self.info.tenant_id.as_deref(), audience).await
            }
        }
    }

    async fn with_secret(&self, secret: &SecretBytes, audience: &str) -> Result<Token, TokenError> {
        let options = ClientSecretCredentialOptions {
            client_options: self.client_options(),
        };
        let text = secret.expose_str().unwrap_or_default();
        let secret = Secret::new(text.to_owned());
        let credential = ClientSecretCredential::new(self.tenant(), self.client().to_owned(), secret, Some(options));
        let answer = self.ask(credential, audience, None).await;
        answer.map_err(|error| TokenError {
            diagnosis: explain_secret(error.diagnosis, text, self.client()),
            ..error
        })
    }

    async fn with_assertion(
        &self,
        source: &dyn AssertionSource,
        token_proxy: Option<&TokenProxy>,
        audience: &str,
    ) -> Result<Token, TokenError> {
        let assertion = source.assertion().await?;
        let claims = assertion.claims().clone();
        let mut client_options = self.client_options();
        if let Some(proxy) = token_proxy {
            client_options.transport = Some(Transport::new(proxy.transport().await?));
        }
        self.with_signed(assertion, Some(&claims), client_options, audience)
            .await
    }

    async fn with_certificate(&self, file: &CertificateFile, audience: &str) -> Result<Token, TokenError> {
        let parties = Parties {
            endpoint: &self.token_endpoint()?,
            client_id: self.client(),
        };
        let assertion = file.assertion(parties).await?;
        self.with_signed(assertion, None, self.client_options(), audience).await
    }

    async fn with_signed(
        &self,
        assertion: Assertion,
        claims: Option<&AssertionClaims>,
        client_options: ClientOptions,
        audience: &str,
    ) -> Result<Token, TokenError> {
        let options = ClientAssertionCredentialOptions { client_options };
        let (tenant, client) = (self.tenant().to_owned(), self.client().to_owned());
        let credential = ClientAssertionCredential::new(tenant, client, assertion, Some(options));
        self.ask(credential, audience, claims).await
    }

    async fn with_password(&self, user: (&str, &SecretBytes), audience: &str) -> Result<Token, TokenError> {
        let endpoint = self.token_endpoint()?;
        let answer = password::request(&self.http, &endpoint, self.client(), user, audience)
            .await
            .map_err(|failure| Self::silent(&failure))?;
        let status = answer.status.as_u16();
        if status == 200 {
            return password::parse(&answer.body).ok_or_else(|| self.refused(&Refusal::default(), None));
        }
        let retry_after = answer.headers.get(RETRY_AFTER).and_then(|it| it.to_str().ok());
        let refusal = Refusal {
            status,
            body: &answer.body,
            retry_after,
        };
        Err(self.refused(&refusal, None))
    }

    /// Where Entra exchanges proofs for tokens, version 2.0.
    fn token_endpoint(&self) -> Result<Url, TokenError> {
        let path = format!("{}/oauth2/v2.0/token", self.tenant());
        // A checked tenant is a relative path without any meaning of its own.
        let endpoint = self.cloud.authority_host.join(&path);
        endpoint.map_err(|_| self.refused(&Refusal::default(), None))
    }

    async fn ask<C: TokenCredential>(
        &self,
        credential: azure_core::Result<Arc<C>>,
        audience: &str,
        assertion: Option<&AssertionClaims>,
    ) -> Result<Token, TokenError> {
        let scope = format!("{audience}/.default");
        let answer = match credential {
            Ok(credential) => credential.get_token(&[&scope], None).await,
            Err(error) => Err(error),
        };
        answer
            .map(|token| into_token(&token))
            .map_err(|error| self.explain(&error, assertion))
    }

    fn client_options(&self) -> ClientOptions {
        let mut cloud = CustomConfiguration::default();
        self.cloud.authority_host.as_str().clone_into(&mut cloud.authority_host);
        ClientOptions {
            transport: Some(Transport::new(Arc::new(self.http.clone()))),
            retry: RetryOptions::none(),
            cloud: Some(Arc::new(CloudConfiguration::Custom(cloud))),
            ..ClientOptions::default()
        }
    }

    fn explain(&self, error: &azure_core::Error, assertion: Option<&AssertionClaims>) -> TokenError {
        if let Some(failure) = find::<Failure>(error) {
            return Self::silent(failure);
        }
        self.refused(&find_refusal(error).unwrap_or_default(), assertion)
    }

    /// Entra did not answer.
    fn silent(failure: &Failure) -> TokenError {
        // Not Entra's where a proxy stands in for it.
        let host = &failure.host;
        TokenError {
            diagnosis: Diagnosis::case(
                case::EntraSilent {
                    host,
                    error: &failure.detail,
                },
                format!("Entra at {host} did not answer."),
            ),
            retry: Retry::Soon,
        }
    }

    /// Entra answered, and gave no token.
    fn refused(&self, refusal: &Refusal<'_>, assertion: Option<&AssertionClaims>) -> TokenError {
        let refused = TokenRefusal {
            status: refusal.status,
            body: refusal.body,
            client_id: self.client(),
            tenant_id: self.tenant(),
            assertion,
        };
        let diagnosis = if refusal.status == 0 {
            Diagnosis::case(
                case::NotEntra,
                format!("What answered at {} is not Entra.", self.host()),
            )
        } else {
            refused.recognise()
        };
        TokenError {
            diagnosis,
            retry: refusal.retry(),
        }
    }

    fn host(&self) -> &str {
        self.cloud.authority_host.host_str().unwrap_or_default()
    }

    fn client(&self) -> &str {
        self.info.client_id.as_deref().unwrap_or_default()
    }

    fn tenant(&self) -> &str {
        self.info.tenant_id.as_deref().unwrap_or_default()
    }
}

/// How long to wait for the next attempt of the same exchange, `own` being what nobody asked for; `None`: there is none.
fn inner_pause(retry: Retry, own: Duration) -> Option<Duration> {
    match retry {
        Retry::Soon => Some(own),
        Retry::After(asked) => (asked <= LONGEST_INNER_PAUSE).then(|| asked.max(own)),
        Retry::Slowly => None,
    }
}

fn into_token(token: &AccessToken) -> Token {
    let lifetime = token.expires_on - OffsetDateTime::now_utc();
    let lifetime = Duration::try_from(lifetime).unwrap_or_default();
    Token::new(token.token.secret().into(), lifetime)
}

/// An answer of Entra's that is no token; status 0: it is not one of Entra's.
#[derive(Default)]
struct Refusal<'a> {
    status: u16,
    body: &'a [u8],
    /// The header of this name.
    retry_after: Option<&'a str>,
}

impl Refusal<'_> {
    fn retry(&self) -> Retry {
        let asked = || http::retry_after(self.retry_after?, LONGEST_PAUSE);
        match self.status {
            429 | 503 => asked().map_or(Retry::Soon, Retry::After),
            0 | 500..=599 => Retry::Soon,
            _ => Retry::Slowly,
        }
    }
}

/// The refusal somewhere in the chain of errors.
fn find_refusal(error: &azure_core::Error) -> Option<Refusal<'_>> {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = next {
        if let Some(ErrorKind::HttpResponse {
            status,
            raw_response: Some(response),
            ..
        }) = error.downcast_ref::<azure_core::Error>().map(azure_core::Error::kind)
        {
            return Some(Refusal {
                status: u16::from(*status),
                body: response.body().as_ref(),
                retry_after: response
                    .headers()
                    .get_optional_str(&HeaderName::from_static("retry-after")),
            });
        }
        next = error.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_that_entra_asks_for_is_kept_within_reason() {
        let retry = |status, retry_after| {
            let refusal = Refusal {
                status,
                retry_after,
                ..Refusal::default()
            };
            refusal.retry()
        };
        assert_eq!(retry(429, Some("17")), Retry::After(Duration::from_secs(17)));
        assert_eq!(retry(503, Some("86400")), Retry::After(LONGEST_PAUSE));
        assert_eq!(retry(429, None), Retry::Soon);
        assert_eq!(retry(429, Some("soon")), Retry::Soon);
        assert_eq!(retry(500, Some("17")), Retry::Soon);
        assert_eq!(retry(401, Some("17")), Retry::Slowly);
    }

    #[test]
    fn an_exchange_waits_as_long_as_it_is_asked_to_if_that_is_short() {
        let own = Duration::from_secs(1);
        let pause = |retry| inner_pause(retry, own).map(|it| it.as_secs());
        let after = |seconds| pause(Retry::After(Duration::from_secs(seconds)));
        assert_eq!([0, 2, 3, 4].map(after), [Some(1), Some(2), Some(3), None]);
        assert_eq!(pause(Retry::Soon), Some(1));
        assert_eq!(pause(Retry::Slowly), None);
    }
}
