//! Client certificates: assertions that an application signs itself.
//!
//! Format: <https://learn.microsoft.com/entra/identity-platform/certificate-credentials>. Entra takes RSA keys only.

use std::path::PathBuf;

use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use ring::rand::{SecureRandom, SystemRandom};
use serde_json::json;
use url::Url;

use super::assertion::Assertion;
use super::token::TokenError;
use crate::certificate::Signer;
use crate::diagnosis::{Code, Diagnosis, Explanation, Retry, case};
use crate::file;
use crate::secret::SecretBytes;

/// How long an assertion is good for, in seconds: as short as Microsoft advises.
const LIFETIME: i64 = 600;

/// A file with an application's certificate and its private key.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct CertificateFile {
    /// PFX (DER or base64) or PEM.
    pub(super) path: PathBuf,
    /// Of the PFX, or of the PEM's private key.
    pub(super) password: Option<SecretBytes>,
    /// Sends the whole chain along, so that Entra can trust a certificate by its subject name and issuer.
    pub(super) send_chain: bool,
}

/// To whom an assertion is addressed, and from whom.
pub(super) struct Parties<'a> {
    /// Entra's token endpoint.
    pub(super) endpoint: &'a Url,
    /// The application.
    pub(super) client_id: &'a str,
}

impl CertificateFile {
    /// A new assertion. The file is read each time: it may have been replaced.
    pub(super) async fn assertion(&self, parties: Parties<'_>) -> Result<Assertion, TokenError> {
        let signer = self.signer().await?;
        let now = jiff::Timestamp::now().as_second();
        let assertion = random_id()
            .and_then(|id| sign(&signer, self.send_chain, &parties, now, &id))
            .and_then(|jwt| Assertion::parse(&jwt));
        assertion.ok_or_else(|| TokenError {
            diagnosis: Diagnosis::case(case::RandomNumbersMissing, "The client assertion could not be signed."),
            retry: Retry::Slowly,
        })
    }

    async fn signer(&self) -> Result<Signer, TokenError> {
        let file = file::read(&self.path)
            .await
            .map_err(|error| self.unreadable(case::CertificateFileUnread { error: &error }))?;
        let password = self.password.clone();
        // Passwords are stretched on purpose: up to a second or two of one core.
        let opened = tokio::task::spawn_blocking(move || {
            let password = password
                .as_ref()
                .map(|password| password.expose_str().unwrap_or_default());
            Signer::open(&file, password)
        });
        match opened.await {
            Ok(Ok(signer)) => Ok(signer),
            Ok(Err(problem)) => Err(self.unusable(&problem)),
            Err(_) => Err(self.unreadable(case::CertificateReadInterrupted)),
        }
    }

    fn unusable(&self, problem: &Explanation) -> TokenError {
        match (problem.code, &self.password) {
            (Code::CertificatePasswordProtected, None) => self.unreadable(case::CertificatePasswordMissing),
            (Code::CertificatePasswordProtected, Some(_)) => self.unreadable(case::CertificatePasswordWrong),
            _ => self.unreadable(case::CertificateFileUnusable { cause: &problem.cause }),
        }
    }

    fn unreadable(&self, why: impl Into<Explanation>) -> TokenError {
        TokenError {
            diagnosis: Diagnosis::case(
                why,
                format!("The client certificate {} cannot be used.", self.path.display()),
            ),
            retry: Retry::Slowly,
        }
    }
}

/// The compact JWT (RFC 7515); `None` without random numbers.
fn sign(signer: &Signer, send_chain: bool, parties: &Parties<'_>, now: i64, id: &str) -> Option<SecretBytes> {
    let certificate = signer.certificate();
    let mut header = json!({
        "alg": "PS256", "typ": "JWT",
        "x5t": BASE64_URL_SAFE_NO_PAD.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, certificate)),
        "x5t#S256": BASE64_URL_SAFE_NO_PAD.encode(digest(&SHA256, certificate)),
    });
    if send_chain {
        let chain = signer.chain().iter();
        header["x5c"] = chain.map(|der| BASE64_STANDARD.encode(der)).collect::<Vec<_>>().into();
    }
    let claims = json!({
        "aud": parties.endpoint.as_str(), "iss": parties.client_id, "sub": parties.client_id, "jti": id,
        "iat": now, "nbf": now, "exp": now + LIFETIME,
    });
    let part = |value: serde_json::Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    let message = format!("{}.{}", part(header), part(claims));
    let signature = BASE64_URL_SAFE_NO_PAD.encode(signer.ps256(message.as_bytes())?);
    Some(SecretBytes::from(format!("{message}.{signature}")))
}

/// 128 random bits in the form of a UUID (RFC 9562 §5.4).
fn random_id() -> Option<String> {
    let mut bytes = [0_u8; 16];
    SystemRandom::new().fill(&mut bytes).ok()?;
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex = format!("{:032x}", u128::from_be_bytes(bytes));
    let (time, version, variant) = (&hex[..8], &hex[12..16], &hex[16..20]);
    Some(format!("{time}-{}-{version}-{variant}-{}", &hex[8..12], &hex[20..]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::testdata;

    fn signed(send_chain: bool) -> (serde_json::Value, serde_json::Value) {
        let signer = Signer::open(&SecretBytes::new(testdata::bytes("pfx/modern.pfx")), None).ok();
        let endpoint = Url::parse("https://login.example/t-1/oauth2/v2.0/token").unwrap();
        let parties = Parties {
            endpoint: &endpoint,
            client_id: "c-1",
        };
        let jwt = sign(&signer.unwrap(), send_chain, &parties, 1_700_000_000, "id-1").unwrap();
        let parts: Vec<_> = jwt.expose_str().unwrap().split('.').collect();
        let object = |part: &str| serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap();
        (object(parts[0]), object(parts[1]))
    }

    #[test]
    fn an_assertion_says_what_entra_wants_to_know() {
        let (header, claims) = signed(false);
        assert_eq!((&header["alg"], &header["typ"]), (&json!("PS256"), &json!("JWT")));
        let der = testdata::der("pfx/modern.crt.pem");
        let sha256 = BASE64_URL_SAFE_NO_PAD.encode(digest(&SHA256, &der));
        assert_eq!(header["x5t#S256"], json!(sha256));
        assert_eq!(header.get("x5c"), None);
        let expected = json!({
            "aud": "https://login.example/t-1/oauth2/v2.0/token", "iss": "c-1", "sub": "c-1", "jti": "id-1",
            "iat": 1_700_000_000, "nbf": 1_700_000_000, "exp": 1_700_000_600,
        });
        assert_eq!(claims, expected);
    }

    #[test]
    fn the_chain_goes_along_when_asked_for_the_own_certificate_first() {
        let (header, _) = signed(true);
        let own = BASE64_STANDARD.encode(testdata::der("pfx/modern.crt.pem"));
        assert_eq!(header["x5c"][0], json!(own));
    }

    #[test]
    fn ids_are_random_uuids() {
        let (one, two) = (random_id().unwrap(), random_id().unwrap());
        assert_ne!(one, two);
        assert_eq!((one.len(), &one[14..15]), (36, "4"));
    }
}
