//! Federated assertions, truly verified: the issuer's keys are fetched from where the issuer publishes them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, anyhow, bail};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Map, Value};

use super::FederatedCredential;
use super::error::EntraError;
use crate::emulator::clock::iso_date;
use crate::emulator::jwt::Jwt;

const LARGEST_DOCUMENT: usize = 1 << 20;
const ADVICE: &str = "Check your federated identity credential Subject, Audience and Issuer against the presented \
                      assertion. https://learn.microsoft.com/entra/workload-id/workload-identity-federation";

type Jwks = Vec<Map<String, Value>>;

/// The keys of foreign issuers, and the authorities their servers are trusted by.
#[derive(Default)]
pub(crate) struct Federation {
    authorities: Mutex<Vec<CertificateDer<'static>>>,
    keys: Mutex<BTreeMap<String, Arc<Jwks>>>,
}

impl Federation {
    pub(crate) fn trust(&self, pem: &str) {
        let mut authorities = self.authorities.lock().unwrap_or_else(PoisonError::into_inner);
        authorities.extend(CertificateDer::pem_slice_iter(pem.as_bytes()).filter_map(Result::ok));
    }

    /// Checks an assertion against the credentials registered for the application, as Entra does: validity, issuer,
    /// subject, audience, then the signature.
    pub(crate) async fn check(
        &self,
        credentials: &[FederatedCredential],
        assertion: &Jwt,
        now: i64,
    ) -> Result<(), EntraError> {
        check_validity(assertion, now)?;
        let issuer = match_credential(credentials, assertion)?;
        match self.verify_signature(issuer, assertion).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(EntraError::invalid_client(
                50_013,
                "Assertion failed signature validation. [Reason - The key was not found or the signature does not match.]",
            )),
            Err(error) => Err(EntraError::invalid_request(
                50_166,
                format!("Request to External OIDC endpoint failed. [{error:#}]"),
            )),
        }
    }

    async fn verify_signature(&self, issuer: &str, assertion: &Jwt) -> anyhow::Result<bool> {
        let cached = self
            .keys
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(issuer)
            .cloned();
        if cached.is_some_and(|keys| signed_by(&keys, assertion)) {
            return Ok(true);
        }
        // Not known yet, or rotated since.
        let keys = Arc::new(self.fetch_keys(issuer).await?);
        self.keys
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(issuer.to_owned(), keys.clone());
        Ok(signed_by(&keys, assertion))
    }

    async fn fetch_keys(&self, issuer: &str) -> anyhow::Result<Jwks> {
        let url = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
        let configuration = self.fetch(&url).await?;
        if configuration["issuer"] != issuer {
            bail!("{url} speaks for issuer {}, not {issuer}", configuration["issuer"]);
        }
        let uri = configuration["jwks_uri"]
            .as_str()
            .with_context(|| format!("{url} has no jwks_uri"))?;
        let document = self.fetch(uri).await?;
        let keys = document["keys"]
            .as_array()
            .with_context(|| format!("{uri} has no keys"))?;
        Ok(keys.iter().filter_map(Value::as_object).cloned().collect())
    }

    async fn fetch(&self, url: &str) -> anyhow::Result<Value> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add_parsable_certificates(self.authorities.lock().unwrap_or_else(PoisonError::into_inner).clone());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let connector = hyper_rustls::HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_only()
            .enable_http1()
            .build();
        let client: Client<_, Empty<Bytes>> = Client::builder(TokioExecutor::new()).build(connector);
        let uri = url.parse().with_context(|| format!("{url} is not a URL"))?;
        let response = client
            .get(uri)
            .await
            .map_err(|error| anyhow!(error))
            .with_context(|| format!("GET {url}"))?;
        let status = response.status();
        if !status.is_success() {
            bail!("GET {url} answered {status}");
        }
        let body = Limited::new(response.into_body(), LARGEST_DOCUMENT)
            .collect()
            .await
            .map_err(|e| anyhow!(e))?;
        serde_json::from_slice(&body.to_bytes()).with_context(|| format!("GET {url} gave no JSON"))
    }
}

/// Whether one of the keys made the signature; a key with another id than the token names does not count.
fn signed_by(keys: &Jwks, assertion: &Jwt) -> bool {
    let named = assertion.header("kid");
    keys.iter()
        .filter(|key| named.is_none() || key.get("kid").and_then(Value::as_str) == named)
        .any(|key| assertion.verify(key))
}

/// `exp` and `nbf` of an assertion, with five minutes of grace for clocks.
pub(super) fn check_validity(assertion: &Jwt, now: i64) -> Result<(), EntraError> {
    const GRACE: i64 = 300;
    let from = assertion.time("nbf").or_else(|| assertion.time("iat")).unwrap_or(0);
    let until = assertion.time("exp").unwrap_or(0);
    if from - GRACE <= now && now < until + GRACE {
        return Ok(());
    }
    Err(EntraError::invalid_client(
        700_024,
        format!(
            "Client assertion is not within its valid time range. Current time: {}, assertion valid from {}, expiry \
             time of assertion {}. Review the documentation at \
             https://learn.microsoft.com/entra/identity-platform/certificate-credentials .",
            iso_date(now),
            iso_date(from),
            iso_date(until)
        ),
    ))
}

/// The issuer of the credential that fits the assertion, or the error for the first claim that fits none.
fn match_credential<'a>(credentials: &'a [FederatedCredential], assertion: &Jwt) -> Result<&'a str, EntraError> {
    let (issuer, subject) = (
        assertion.claim("iss").unwrap_or(""),
        assertion.claim("sub").unwrap_or(""),
    );
    let audiences = assertion.audiences();
    if credentials.is_empty() {
        return Err(mismatch(
            70_021,
            "No matching federated identity record found for presented assertion.",
        ));
    }
    let of_issuer: Vec<_> = credentials
        .iter()
        .filter(|credential| credential.issuer == issuer)
        .collect();
    if of_issuer.is_empty() {
        return Err(mismatch(700_211, &no_record("issuer", issuer)));
    }
    let of_subject: Vec<_> = of_issuer
        .iter()
        .filter(|credential| credential.subject == subject)
        .collect();
    if of_subject.is_empty() {
        return Err(mismatch(700_213, &no_record("subject", subject)));
    }
    of_subject
        .iter()
        .find(|credential| {
            credential
                .audiences
                .iter()
                .any(|accepted| audiences.contains(&accepted.as_str()))
        })
        .map(|credential| credential.issuer.as_str())
        .ok_or_else(|| mismatch(700_212, &no_record("audience", &audiences.join(", "))))
}

fn no_record(what: &str, value: &str) -> String {
    format!("No matching federated identity record found for presented assertion {what} '{value}'.")
}

fn mismatch(code: u32, text: &str) -> EntraError {
    EntraError::invalid_client(code, format!("{text} {ADVICE}"))
}
