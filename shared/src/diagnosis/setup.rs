//! What the set-up of an identity says about its failure: the service sees a wrong secret, we see that it is base64 of one.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use zeroize::Zeroizing;

use super::{Code, Diagnosis, first_cause};
use crate::environment::Environment;

/// Variables that identities are made of.
const VARIABLES: [&str; 8] = [
    "AZURE_CLIENT_ID",
    "AZURE_TENANT_ID",
    "AZURE_CLIENT_SECRET",
    "AZURE_FEDERATED_TOKEN_FILE",
    "AZURE_AUTHORITY_HOST",
    "AZURE_CERTIFICATE_PATH",
    "AZURE_USERNAME",
    "AZURE_PASSWORD",
];

/// Peculiarities of a set-up. None is a fault by itself; each explains a failure if there is one. Holds no secret.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Setup {
    /// Variables with quotes or blanks in them.
    malformed: Vec<&'static str>,
    /// `AZURE_CLIENT_SECRET` and `AZURE_FEDERATED_TOKEN_FILE` are both set, and nobody chose between them.
    shadowed: bool,
    /// What the client secret looks like, if not like a client secret.
    secret: Option<Code>,
}

impl Setup {
    /// Of a program's variables. `explicit`: somebody chose the method by name, so no other is hidden by it.
    pub fn of_environment(environment: &Environment, explicit: bool) -> Self {
        let secret = environment.get("AZURE_CLIENT_SECRET");
        let malformed = |name: &&str| environment.get(name).is_some_and(|value| is_malformed(name, value));
        Self {
            malformed: VARIABLES.into_iter().filter(malformed).collect(),
            shadowed: !explicit && secret.is_some() && environment.get("AZURE_FEDERATED_TOKEN_FILE").is_some(),
            secret: secret.and_then(mistaken),
        }
    }

    /// Of a client secret that comes from elsewhere.
    pub fn of_client_secret(secret: &str) -> Self {
        Self {
            secret: mistaken(secret),
            ..Self::default()
        }
    }

    /// What has to be repaired first, now that `failure` was observed.
    pub fn explain(&self, failure: Diagnosis, client_id: Option<&str>) -> Diagnosis {
        let codes = self.causes(failure.code);
        let malformed = self.malformed.join(", ");
        let mut names = vec![("names", malformed.as_str())];
        names.extend(client_id.map(|id| ("client_id", id)));
        let causes = codes
            .into_iter()
            .map(|code| Diagnosis::of(code, failure.what.clone(), &names));
        match first_cause(causes) {
            // Both are told: what to repair, and what the service said of it.
            Some(first) if first.code < failure.code => Diagnosis {
                trace: failure.trace,
                ..first
            },
            _ => failure,
        }
    }

    fn causes(&self, failure: Code) -> Vec<Code> {
        let of_secret = matches!(
            failure,
            Code::ClientSecretInvalid | Code::ClientSecretExpired | Code::AppNotFoundInTenant | Code::TenantNotFound
        );
        let of_identity = (Code::TrustStoreUnreadable..=Code::TokenRequestFailed).contains(&failure);
        let mut causes = Vec::new();
        if of_identity && !self.malformed.is_empty() {
            causes.push(Code::VariableMalformed);
        }
        if of_secret && self.shadowed {
            causes.push(Code::SecretShadowsWorkloadIdentity);
        }
        if failure == Code::ClientSecretInvalid {
            causes.extend(self.secret);
        }
        causes
    }
}

/// Quotes around any value, or blanks and quotes inside one that can have none.
fn is_malformed(name: &str, value: &str) -> bool {
    let quoted = |quote: char| value.len() > 1 && value.starts_with(quote) && value.ends_with(quote);
    let free_text = matches!(
        name,
        "AZURE_CLIENT_SECRET" | "AZURE_PASSWORD" | "AZURE_FEDERATED_TOKEN_FILE" | "AZURE_CERTIFICATE_PATH"
    );
    let stray = |c: char| c.is_whitespace() || c == '"' || c == '\'';
    quoted('"') || quoted('\'') || !free_text && value.contains(stray)
}

/// What is mistaken for a client secret. Values are about 40 characters of letters, digits and `~_-.`; an ID is a GUID.
fn mistaken(secret: &str) -> Option<Code> {
    if is_guid(secret) {
        return Some(Code::ClientSecretIsId);
    }
    let decoded = Zeroizing::new(BASE64_STANDARD.decode(secret).ok()?);
    let text = decoded.strip_suffix(b"\n").unwrap_or(&decoded);
    // Text is what a hand encoded; 8 and more random bytes are text once in a thousand times.
    (text.len() >= 8 && text.iter().all(u8::is_ascii_graphic)).then_some(Code::ClientSecretEncodedTwice)
}

fn is_guid(text: &str) -> bool {
    let lengths = text.split('-').map(str::len);
    lengths.eq([8, 4, 4, 4, 12]) && text.bytes().all(|b| b == b'-' || b.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn explained(variables: &[(&str, &str)], explicit: bool, failure: Code) -> Diagnosis {
        let environment = variables.iter().copied().collect();
        let failure = Diagnosis::of(failure, "Entra gave no token.", &[]);
        Setup::of_environment(&environment, explicit).explain(failure, Some("c-1"))
    }

    const SECRET: &str = "AZURE_CLIENT_SECRET";
    const FILE: (&str, &str) = ("AZURE_FEDERATED_TOKEN_FILE", "/t");
    /// Of the form that Entra gives out.
    const PROPER: &str = "dGh8Q~abcdefghijklmnopqrstuvwxyz0123456789";

    #[test]
    fn what_is_wrong_with_a_secret_is_told_once_entra_refuses_it() {
        // `printf %s "$PROPER" | openssl base64 -A`, and the same with a line end.
        let encoded = "ZEdoOFF+YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXowMTIzNDU2Nzg5";
        let with_line_end = "ZEdoOFF+YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXowMTIzNDU2Nzg5Cg==";
        // 32 random bytes: how secrets looked in 2018.
        let random = "q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA=";
        for (secret, code) in [
            (PROPER, Code::ClientSecretInvalid),
            (random, Code::ClientSecretInvalid),
            (encoded, Code::ClientSecretEncodedTwice),
            (with_line_end, Code::ClientSecretEncodedTwice),
            ("86be4c01-505b-45e9-bfc0-9b825fd84a1b", Code::ClientSecretIsId),
            ("\"quoted\"", Code::VariableMalformed),
        ] {
            let diagnosis = explained(&[(SECRET, secret)], false, Code::ClientSecretInvalid);
            assert_eq!(diagnosis.code, code, "{secret}");
            assert!(!diagnosis.to_string().contains(secret), "{diagnosis}");
            let works_otherwise = explained(&[(SECRET, secret)], false, Code::ForbiddenByRbac);
            assert_eq!(works_otherwise.code, Code::ForbiddenByRbac);
        }
    }

    #[test]
    fn a_secret_that_hides_workload_identity_is_the_cause_unless_it_was_chosen() {
        let both = [(SECRET, PROPER), FILE];
        for (explicit, failure, code) in [
            (false, Code::ClientSecretExpired, Code::SecretShadowsWorkloadIdentity),
            (true, Code::ClientSecretExpired, Code::ClientSecretExpired),
            (false, Code::TokenRequestFailed, Code::TokenRequestFailed),
            (false, Code::Throttled, Code::Throttled),
        ] {
            assert_eq!(explained(&both, explicit, failure).code, code, "{failure}");
        }
    }

    #[test]
    fn quotes_that_came_along_are_named_by_variable() {
        let id = ("AZURE_CLIENT_ID", "'c-1'");
        let tenant = ("AZURE_TENANT_ID", "t 1");
        let diagnosis = explained(&[id, tenant], true, Code::TenantNotFound);
        assert_eq!(diagnosis.code, Code::VariableMalformed);
        assert!(
            diagnosis.fix.contains("AZURE_CLIENT_ID, AZURE_TENANT_ID"),
            "{diagnosis}"
        );
        let path = ("AZURE_CERTIFICATE_PATH", "/a b/c.pem");
        assert_eq!(
            explained(&[path], true, Code::TenantNotFound).code,
            Code::TenantNotFound
        );
    }
}
