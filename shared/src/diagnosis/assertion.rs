//! A ServiceAccount token, read without verifying it: what is wrong with it can be said before, and better than, Entra does.
//!
//! Claims: <https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/#schema-for-service-account-private-claims>.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::{Code, Diagnosis};
use crate::environment::common::AZURE_KUBERNETES_TOKEN_PROXY;

/// What Entra wants a ServiceAccount token to be for.
pub const AUDIENCE: &str = "api://AzureADTokenExchange";
/// Variable: the proxy in the cluster at which tokens are exchanged in place of Entra (AKS identity binding). Microsoft's SDKs
/// read it, and the webhook sets it in pods; `AZURE_KUBERNETES_TOKEN_ENDPOINT`, its name in drafts, means nothing to them.
pub const TOKEN_PROXY: &str = AZURE_KUBERNETES_TOKEN_PROXY.name();

/// What a ServiceAccount token says of itself; decoded, not verified.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct AssertionClaims {
    /// `iss`: the cluster's OIDC issuer.
    #[serde(rename = "iss", default)]
    pub issuer: String,
    /// `sub`: `system:serviceaccount:NAMESPACE:NAME`.
    #[serde(rename = "sub", default)]
    pub subject: String,
    /// `aud`, joined by commas when there are several.
    #[serde(rename = "aud", default, deserialize_with = "joined")]
    pub audience: String,
    /// `exp`, Unix seconds.
    #[serde(rename = "exp")]
    pub expires: Option<i64>,
    /// `iat`, Unix seconds.
    #[serde(rename = "iat")]
    pub issued: Option<i64>,
}

fn joined<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum OneOrMany {
        One(String),
        Many(Vec<String>),
    }
    Ok(match OneOrMany::deserialize(deserializer)? {
        OneOrMany::One(audience) => audience,
        OneOrMany::Many(audiences) => audiences.join(","),
    })
}

impl AssertionClaims {
    /// Decodes the claims of a compact JWT (RFC 7519 §3); `None` when it is not one.
    pub fn decode(token: &str) -> Option<Self> {
        let mut parts = token.trim().split('.');
        let (_, claims, _) = (parts.next()?, parts.next()?, parts.next()?);
        if parts.next().is_some() {
            return None;
        }
        let json = Zeroizing::new(BASE64_URL_SAFE_NO_PAD.decode(claims).ok()?);
        serde_json::from_slice(&json).ok()
    }

    /// What is wrong with the token itself, whatever Entra knows; `what` is the sentence that begins each diagnosis.
    pub fn findings(&self, what: &str) -> Vec<Diagnosis> {
        let names = self.names();
        let mut found = Vec::new();
        if is_internal(&self.issuer) {
            found.push(Diagnosis::of(Code::OidcIssuerNotEnabled, what, &names));
        }
        if !self.audience.split(',').any(|audience| audience == AUDIENCE) {
            found.push(Diagnosis::of(Code::FederatedAudienceWrong, what, &names));
        }
        found
    }

    /// Values for the catalogue's `{issuer}`, `{subject}` and `{audience}`: only those that may stand between quotes in a command.
    pub(super) fn names(&self) -> Vec<(&'static str, &str)> {
        let plain = |text: &str| {
            !text.is_empty()
                && text.len() <= 400
                && text.chars().all(|c| c.is_ascii_graphic() && !"'\"`$\\".contains(c))
        };
        [
            ("issuer", self.issuer.as_str()),
            ("subject", self.subject.as_str()),
            ("audience", self.audience.as_str()),
        ]
        .into_iter()
        .filter(|(_, value)| plain(value))
        .collect()
    }
}

/// Whether only the cluster itself can reach the issuer: the API server's defaults, in place of a public address.
fn is_internal(issuer: &str) -> bool {
    let host = issuer.split_once("://").map_or(issuer, |(_, rest)| rest);
    let host = host.split(['/', ':']).next().unwrap_or_default();
    host == "kubernetes" || host.starts_with("kubernetes.default") || issuer == "kubernetes/serviceaccount"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims(issuer: &str, audience: &str) -> AssertionClaims {
        AssertionClaims {
            issuer: issuer.to_owned(),
            subject: "system:serviceaccount:ns:sa".to_owned(),
            audience: audience.to_owned(),
            expires: None,
            issued: None,
        }
    }

    #[test]
    fn a_token_that_entra_can_never_take_is_told_from_the_token_alone() {
        let public = "https://westeurope.oic.prod-aks.azure.com/t/c/";
        for (issuer, audience, found) in [
            (public, AUDIENCE, vec![]),
            (public, "other,api://AzureADTokenExchange", vec![]),
            (
                public,
                "https://kubernetes.default.svc",
                vec![Code::FederatedAudienceWrong],
            ),
            (
                "https://kubernetes.default.svc.cluster.local",
                AUDIENCE,
                vec![Code::OidcIssuerNotEnabled],
            ),
            (
                "https://kubernetes.default.svc:443/",
                AUDIENCE,
                vec![Code::OidcIssuerNotEnabled],
            ),
            (
                "kubernetes/serviceaccount",
                "",
                vec![Code::OidcIssuerNotEnabled, Code::FederatedAudienceWrong],
            ),
            ("https://kubernetes.example.com", AUDIENCE, vec![]),
        ] {
            let findings = claims(issuer, audience).findings("Something failed.");
            let codes: Vec<_> = findings.iter().map(|finding| finding.code).collect();
            assert_eq!(codes, found, "{issuer} {audience}");
        }
    }

    #[test]
    fn claims_that_could_leave_their_quotes_are_not_printed() {
        let claims = claims("https://x' ; reboot '", AUDIENCE);
        let diagnosis = Diagnosis::of(Code::FederatedIssuerMismatch, "Failed.", &claims.names());
        assert!(!diagnosis.to_string().contains("reboot"), "{diagnosis}");
        assert!(diagnosis.fix.contains("--issuer 'ISSUER'"), "{diagnosis}");
    }

    #[test]
    fn what_is_not_a_token_has_no_claims() {
        for text in ["", "a.b", "a.b.c.d", "a.!!.c", "a.bm90anNvbg.c"] {
            assert_eq!(AssertionClaims::decode(text), None, "{text}");
        }
    }
}
