//! Refusals of Entra's token endpoint → diagnosis.
//!
//! Codes: <https://learn.microsoft.com/entra/identity-platform/reference-error-codes>.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::Deserialize;

use super::{Code, Diagnosis, tidy};

/// What a service account token says of itself; decoded, not verified.
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
        let json = BASE64_URL_SAFE_NO_PAD.decode(claims).ok()?;
        serde_json::from_slice(&json).ok()
    }
}

/// A token request that Entra refused, and who asked.
#[derive(Debug, Clone, Copy)]
pub struct TokenRefusal<'a> {
    /// HTTP status.
    pub status: u16,
    /// The answer's body.
    pub body: &'a [u8],
    /// The application or identity that asked.
    pub client_id: &'a str,
    /// The tenant that was asked.
    pub tenant_id: &'a str,
    /// Of the assertion that was sent, with workload identity.
    pub assertion: Option<&'a AssertionClaims>,
}

#[derive(Deserialize, Default)]
struct Body {
    #[serde(default)]
    error: String,
    #[serde(default)]
    error_description: String,
    #[serde(default)]
    error_codes: Vec<u64>,
}

impl TokenRefusal<'_> {
    /// Names the failure.
    pub fn recognise(&self) -> Diagnosis {
        let body: Body = serde_json::from_slice(self.body).unwrap_or_default();
        let number = body
            .error_codes
            .first()
            .copied()
            .or_else(|| leading_code(&body.error_description));
        let who = format!("application '{}' in tenant '{}'", self.client_id, self.tenant_id);
        let what = |reason: &str| format!("Entra gave no token to {who}: {reason}.");
        let (client, tenant) = (self.client_id, self.tenant_id);
        match number {
            Some(7_000_215) => Diagnosis::new(
                Code::ClientSecretInvalid,
                what("the client secret is wrong"),
                "AZURE_CLIENT_SECRET is not this application's secret, or it is the secret's ID in place of its value.",
                format!("Use the secret's value, or make a new one: az ad app credential reset --id {client}"),
            ),
            Some(7_000_222) => Diagnosis::new(
                Code::ClientSecretExpired,
                what("the client secret has expired"),
                "Client secrets end on a date that was chosen when they were made.",
                format!(
                    "Make a new one (az ad app credential reset --id {client}), or use workload identity, which needs none."
                ),
            ),
            Some(700_016) => Diagnosis::new(
                Code::AppNotFoundInTenant,
                what("there is no such application"),
                "The client id or the tenant id is wrong, or a multi-tenant application was never added to this tenant.",
                format!("Check AZURE_CLIENT_ID and AZURE_TENANT_ID: az ad sp show --id {client}"),
            ),
            Some(700_027) => Diagnosis::new(
                Code::AssertionSignatureInvalid,
                what("the assertion's signature is not trusted"),
                "The certificate that signed it is not registered on the application.",
                format!("Upload the certificate: az ad app credential reset --id {client} --append --cert @cert.pem"),
            ),
            Some(50_126) => Diagnosis::new(
                Code::UserPasswordInvalid,
                what("wrong user name or password"),
                "AZURE_USERNAME or AZURE_PASSWORD is wrong.",
                "Check both.",
            ),
            Some(700_024) => Diagnosis::new(
                Code::AssertionOutsideValidity,
                what("the service account token is outside its validity"),
                self.validity(),
                "Check the clock of the node, and that the kubelet still renews the token file.",
            ),
            Some(70_021 | 700_211 | 700_212 | 700_213) => self.no_federated_credential(&what, number),
            Some(90_002 | 900_023) => Diagnosis::new(
                Code::TenantNotFound,
                what("there is no such tenant"),
                format!("AZURE_TENANT_ID is {tenant}."),
                "Set AZURE_TENANT_ID to the tenant's id: az account show --query tenantId",
            ),
            _ => self.other(&what, &body),
        }
    }

    fn no_federated_credential(&self, what: &dyn Fn(&str) -> String, number: Option<u64>) -> Diagnosis {
        let reason = match number {
            Some(700_211) => "no federated credential has this token's issuer",
            Some(700_212) => "no federated credential has this token's audience",
            Some(700_213) => "no federated credential has this token's subject",
            _ => "no federated credential matches this service account token",
        };
        let Some(claims) = self.assertion else {
            return Diagnosis::new(
                Code::NoFederatedCredential,
                what(reason),
                "The identity's federated credentials do not match the token's issuer, subject and audience.",
                format!(
                    "az identity federated-credential list, for the identity with client id {}",
                    self.client_id
                ),
            );
        };
        let AssertionClaims {
            issuer,
            subject,
            audience,
            ..
        } = claims;
        Diagnosis::new(
            Code::NoFederatedCredential,
            what(reason),
            format!(
                "The token says issuer '{issuer}', subject '{subject}', audience '{audience}'; all three must match."
            ),
            format!(
                "az identity federated-credential create --name akv2k8s --identity-name IDENTITY --resource-group GROUP \
                 --issuer '{issuer}' --subject '{subject}' --audiences '{audience}' (IDENTITY: the one with client id {}; \
                 a new credential takes up to 5 minutes to work)",
                self.client_id
            ),
        )
    }

    fn validity(&self) -> String {
        match self.assertion {
            Some(AssertionClaims {
                issued: Some(issued),
                expires: Some(expires),
                ..
            }) => format!(
                "The token in the file was issued at {} and ends at {}, and Entra's clock is outside of that.",
                timestamp(*issued),
                timestamp(*expires)
            ),
            _ => "The token in the file is expired, or a clock is wrong.".to_owned(),
        }
    }

    fn other(&self, what: &dyn Fn(&str) -> String, body: &Body) -> Diagnosis {
        // The trace and correlation ids that follow change with every request.
        let said = body
            .error_description
            .split("Trace ID")
            .next()
            .unwrap_or_default()
            .trim();
        let cause = match (body.error.as_str(), said) {
            ("", "") => "The answer says no more.".to_owned(),
            (error, "") => format!("Entra says: {}.", tidy(error)),
            (_, said) => format!("Entra says: {}", tidy(said)),
        };
        Diagnosis::new(
            Code::TokenRequestFailed,
            what(&format!("HTTP {}", self.status)),
            cause,
            "Look the AADSTS code up at https://login.microsoftonline.com/error",
        )
    }
}

/// `AADSTS70021: …` → 70021.
fn leading_code(description: &str) -> Option<u64> {
    let digits = description.split_once("AADSTS")?.1;
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    digits[..end].parse().ok()
}

fn timestamp(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds).map_or_else(|_| seconds.to_string(), |time| time.to_string())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn refusal(body: &str) -> Diagnosis {
        let claims = AssertionClaims::decode(TOKEN).unwrap();
        let refusal = TokenRefusal {
            status: 401,
            body: body.as_bytes(),
            client_id: "11111111-aaaa",
            tenant_id: "22222222-bbbb",
            assertion: Some(&claims),
        };
        refusal.recognise()
    }

    /// Claims `{"iss":"https://oidc.example/","sub":"system:serviceaccount:ns:akv2k8s","aud":["api://AzureADTokenExchange"],
    /// "iat":1700000000,"exp":1700003600}`, encoded with `openssl base64`.
    const TOKEN: &str = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJodHRwczovL29pZGMuZXhhbXBsZS8iLCJzdWIiOiJzeXN0ZW06c2VydmljZWFjY291bnQ6bnM6YWt2Mms4cyIsImF1ZCI6WyJhcGk6Ly9BenVyZUFEVG9rZW5FeGNoYW5nZSJdLCJpYXQiOjE3MDAwMDAwMDAsImV4cCI6MTcwMDAwMzYwMH0.c2ln";

    #[test]
    fn every_code_of_the_catalogue_is_recognised_by_list_and_by_text() {
        for (number, code) in [
            (7_000_215, Code::ClientSecretInvalid),
            (7_000_222, Code::ClientSecretExpired),
            (700_016, Code::AppNotFoundInTenant),
            (700_027, Code::AssertionSignatureInvalid),
            (50_126, Code::UserPasswordInvalid),
            (700_024, Code::AssertionOutsideValidity),
            (70_021, Code::NoFederatedCredential),
            (700_211, Code::NoFederatedCredential),
            (700_212, Code::NoFederatedCredential),
            (700_213, Code::NoFederatedCredential),
            (90_002, Code::TenantNotFound),
            (900_023, Code::TenantNotFound),
            (50_001, Code::TokenRequestFailed),
        ] {
            let listed = format!(r#"{{"error":"invalid_client","error_description":"x","error_codes":[{number}]}}"#);
            assert_eq!(refusal(&listed).code, code, "{number}");
            let spelled = format!(r#"{{"error":"invalid_client","error_description":"AADSTS{number}: Some text."}}"#);
            assert_eq!(refusal(&spelled).code, code, "{number}");
        }
    }

    #[test]
    fn a_missing_federated_credential_prints_the_tokens_own_claims() {
        let diagnosis = refusal(r#"{"error_codes":[700213]}"#);
        assert!(
            diagnosis.fix.contains("--subject 'system:serviceaccount:ns:akv2k8s'"),
            "{diagnosis}"
        );
        assert!(
            diagnosis.fix.contains("--issuer 'https://oidc.example/'"),
            "{diagnosis}"
        );
        assert!(
            diagnosis.fix.contains("--audiences 'api://AzureADTokenExchange'"),
            "{diagnosis}"
        );
    }

    #[test]
    fn unknown_refusals_are_the_same_text_each_time() {
        let body = |id: u32| {
            format!(r#"{{"error":"e","error_description":"AADSTS50001: No resource. Trace ID: {id} Timestamp: {id}"}}"#)
        };
        assert_eq!(refusal(&body(1)), refusal(&body(2)));
        assert!(refusal(&body(1)).cause.contains("AADSTS50001: No resource."));
    }

    #[test]
    fn what_is_not_a_token_has_no_claims() {
        for text in ["", "a.b", "a.b.c.d", "a.!!.c", "a.bm90anNvbg.c"] {
            assert_eq!(AssertionClaims::decode(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_body_gives_a_diagnosis(body in proptest::collection::vec(any::<u8>(), 0..300)) {
            refusal(&String::from_utf8_lossy(&body));
        }
    }
}
