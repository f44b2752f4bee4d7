//! Refusals of Entra's token endpoint → diagnosis.
//!
//! Codes: <https://learn.microsoft.com/entra/identity-platform/reference-error-codes>.

use serde::Deserialize;

use super::vault::field;
use super::{AssertionClaims, Code, Diagnosis, Trace, case, first_cause, tidy};

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
    trace_id: Option<String>,
    correlation_id: Option<String>,
    timestamp: Option<String>,
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
        let trace = Trace {
            request_id: body.trace_id.as_deref().map(tidy),
            correlation_id: body.correlation_id.as_deref().map(tidy),
            timestamp: body.timestamp.as_deref().map(tidy),
        };
        self.named(number, &body).traced(trace)
    }

    fn named(&self, number: Option<u64>, body: &Body) -> Diagnosis {
        let names = [("client_id", self.client_id), ("tenant_id", self.tenant_id)];
        let row = |code, reason: &str| Diagnosis::of(code, self.what(reason), &names);
        match number {
            Some(7_000_215) => row(Code::ClientSecretInvalid, "the client secret is wrong"),
            Some(7_000_222) => row(Code::ClientSecretExpired, "the client secret has expired"),
            Some(700_016) if self.assertion.is_some() => {
                row(Code::ManagedIdentityNotFound, "nothing has this client id")
            }
            Some(700_016) => row(Code::AppNotFoundInTenant, "there is no such application"),
            Some(700_027) => {
                let thumbprint = field(&body.error_description, "Thumbprint of key used by client: '", "'");
                Diagnosis::of(
                    Code::AssertionSignatureInvalid,
                    self.what("the assertion's signature is not trusted"),
                    &[names[0], ("thumbprint", thumbprint.unwrap_or("unknown"))],
                )
            }
            Some(50_126) => row(Code::UserPasswordInvalid, "wrong user name or password"),
            Some(700_024) => self.outside_validity(),
            Some(700_211) => self.mismatch(
                Code::FederatedIssuerMismatch,
                "no federated credential has this token's issuer",
            ),
            Some(700_212) => self.mismatch(
                Code::FederatedAudienceMismatch,
                "no federated credential has this token's audience",
            ),
            Some(700_213) => self.mismatch(
                Code::FederatedSubjectMismatch,
                "no federated credential has this token's subject",
            ),
            Some(70_021) => self.mismatch(
                Code::NoFederatedCredential,
                "no federated credential matches this ServiceAccount token",
            ),
            Some(90_002 | 900_023) => row(Code::TenantNotFound, "there is no such tenant"),
            _ => self.other(body),
        }
    }

    fn what(&self, reason: &str) -> String {
        let (client, tenant) = (self.client_id, self.tenant_id);
        format!("Entra gave no token to application '{client}' in tenant '{tenant}': {reason}.")
    }

    /// The token's own faults come before those of the federated credential.
    fn mismatch(&self, code: Code, reason: &str) -> Diagnosis {
        let what = self.what(reason);
        let Some(claims) = self.assertion else {
            return Diagnosis::of(code, what, &[("client_id", self.client_id)]);
        };
        let of_token = claims.findings(&what);
        let mut names = claims.names();
        names.push(("client_id", self.client_id));
        let refused = Diagnosis::of(code, what, &names);
        first_cause(of_token).unwrap_or(refused)
    }

    fn outside_validity(&self) -> Diagnosis {
        let what = self.what("the ServiceAccount token is outside its validity");
        if let Some(AssertionClaims {
            issued: Some(issued),
            expires: Some(expires),
            ..
        }) = self.assertion
        {
            let times = case::TokenTimes {
                issued: &timestamp(*issued),
                expires: &timestamp(*expires),
            };
            return Diagnosis::case(times, what);
        }
        Diagnosis::case(Code::AssertionOutsideValidity, what)
    }

    fn other(&self, body: &Body) -> Diagnosis {
        // The trace and correlation ids that follow change with every request.
        let said = body
            .error_description
            .split("Trace ID")
            .next()
            .unwrap_or_default()
            .trim();
        let what = self.what(&format!("HTTP {}", self.status));
        let message = match (body.error.as_str(), said) {
            ("", "") => return Diagnosis::case(case::EntraSaysNothing, what),
            (error, "") => format!("{}.", tidy(error)),
            (_, said) => tidy(said),
        };
        Diagnosis::case(case::EntraSays { message: &message }, what)
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
            (700_016, Code::ManagedIdentityNotFound),
            (700_027, Code::AssertionSignatureInvalid),
            (50_126, Code::UserPasswordInvalid),
            (700_024, Code::AssertionOutsideValidity),
            (70_021, Code::NoFederatedCredential),
            (700_211, Code::FederatedIssuerMismatch),
            (700_212, Code::FederatedAudienceMismatch),
            (700_213, Code::FederatedSubjectMismatch),
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
        assert_eq!(refusal(&body(1)).to_string(), refusal(&body(2)).to_string());
        assert!(refusal(&body(1)).cause.contains("AADSTS50001: No resource."));
    }

    #[test]
    fn the_ids_that_support_asks_for_are_kept_beside_the_message() {
        let body =
            r#"{"error_codes":[7000215],"trace_id":"t-1","correlation_id":"c-1","timestamp":"2022-03-02 18:25:26Z"}"#;
        let diagnosis = refusal(body);
        let trace = diagnosis.trace.as_deref().unwrap().to_string();
        assert_eq!(trace, "request t-1, correlation c-1, at 2022-03-02 18:25:26Z");
        assert!(!diagnosis.to_string().contains("c-1"), "{diagnosis}");
    }

    #[test]
    fn an_unknown_client_id_is_an_application_or_a_managed_identity_by_what_was_sent() {
        let refusal = TokenRefusal {
            status: 400,
            body: br#"{"error_codes":[700016]}"#,
            client_id: "c",
            tenant_id: "t",
            assertion: None,
        };
        assert_eq!(refusal.recognise().code, Code::AppNotFoundInTenant);
    }

    #[test]
    fn a_certificate_that_is_not_registered_is_named_by_its_thumbprint() {
        let body = r#"{"error_description":"AADSTS700027: The certificate … [Reason - The key was not found., Thumbprint of key used by client: '1A2B', Please visit"}"#;
        assert!(refusal(body).cause.contains("thumbprint 1A2B,"), "{}", refusal(body));
    }

    proptest! {
        #[test]
        fn any_body_gives_a_diagnosis(body in proptest::collection::vec(any::<u8>(), 0..300)) {
            refusal(&String::from_utf8_lossy(&body));
        }
    }
}
