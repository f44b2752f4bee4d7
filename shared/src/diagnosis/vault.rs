//! Refusals of a vault → diagnosis.
//!
//! Error bodies: <https://learn.microsoft.com/azure/key-vault/general/rest-error-codes>.

use serde::Deserialize;

use super::{Code, Diagnosis, case, tidy};
use crate::keyvault::Collection;
use crate::reference::ObjectKind;

/// A request that a vault refused, and what was wanted.
#[derive(Debug, Clone, Copy)]
pub struct VaultRefusal<'a> {
    /// HTTP status.
    pub status: u16,
    /// The answer's body.
    pub body: &'a [u8],
    /// The vault's name.
    pub vault: &'a str,
    /// What was read, as messages call it: `secret 'db' in vault 'kv'`.
    pub object: &'a str,
    /// Where it lives.
    pub collection: Collection,
    /// Whether the whole collection was listed.
    pub list: bool,
    /// Whether this is the secret behind a certificate, read for its private key.
    pub behind_certificate: bool,
    /// The client id that asked, as far as known.
    pub client_id: Option<&'a str>,
    /// The tenant of the identity that asked, as far as known.
    pub tenant_id: Option<&'a str>,
    /// The tenant that the vault's challenge named.
    pub vault_tenant: Option<&'a str>,
}

#[derive(Deserialize, Default)]
struct Body {
    #[serde(default)]
    error: ErrorBody,
}

#[derive(Deserialize, Default)]
struct ErrorBody {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
    #[serde(rename = "innererror")]
    inner: Option<Box<ErrorBody>>,
}

impl ErrorBody {
    /// The innermost code: the most specific one.
    fn reason(&self) -> &str {
        match &self.inner {
            Some(inner) if !inner.reason().is_empty() => inner.reason(),
            _ => &self.code,
        }
    }

    /// Code and message on one line; nothing when there is neither.
    fn said(&self) -> String {
        tidy(&format!("{} {}", self.code, self.message))
    }
}

impl VaultRefusal<'_> {
    /// Names the failure.
    pub fn recognise(&self) -> Diagnosis {
        let body: Body = serde_json::from_slice(self.body).unwrap_or_default();
        let error = body.error;
        match self.status {
            401 => self.unauthorized(&error),
            403 => self.forbidden(&error),
            404 => self.not_found(&error),
            429 => throttled(self.object),
            408 | 500..=599 => Diagnosis::case(case::VaultFails, self.what(&format!("HTTP {}", self.status)))
                .quoting("It", &error.said()),
            status => {
                let what = self.what(&format!("HTTP {status}, which a vault does not answer to this"));
                Diagnosis::case(case::AnswerUnexpected, what).quoting("It", &error.said())
            }
        }
    }

    fn what(&self, reason: &str) -> String {
        format!("Reading {} failed: {reason}.", self.object)
    }

    /// A row whose texts need no names.
    fn row(&self, code: Code, reason: &str) -> Diagnosis {
        Diagnosis::of(code, self.what(reason), &[("vault", self.vault)])
    }

    fn unauthorized(&self, error: &ErrorBody) -> Diagnosis {
        if error.message.contains("AKV10032") || error.message.contains("Invalid issuer") {
            return self.wrong_tenant();
        }
        if error.message.contains("AKV10022") || error.message.contains("Invalid audience") {
            return self.row(Code::WrongAudience, "the token is not meant for this vault");
        }
        let what = self.what("the vault does not accept the token, nor a new one");
        Diagnosis::case(case::TokenNotAccepted, what).quoting("It", &error.said())
    }

    fn wrong_tenant(&self) -> Diagnosis {
        let what = self.what("the vault does not know the identity's tenant");
        match (self.tenant_id, self.vault_tenant) {
            (Some(tenant), Some(vault_tenant)) => {
                let differ = case::TenantsDiffer {
                    tenant: &tenant,
                    vault_tenant: &vault_tenant,
                };
                Diagnosis::case(differ, what)
            }
            (None, Some(vault_tenant)) => Diagnosis::case(
                case::VaultOfAnotherTenant {
                    vault_tenant: &vault_tenant,
                },
                what,
            ),
            (_, None) => Diagnosis::case(Code::WrongTenant, what),
        }
    }

    fn forbidden(&self, error: &ErrorBody) -> Diagnosis {
        let reason = error.reason();
        let message = error.message.as_str();
        if reason.ends_with("Disabled") {
            return self.row(Code::ObjectDisabled, "its version is disabled");
        }
        if reason.ends_with("NotYetValid") || message.contains("not yet valid") {
            return self.row(Code::ObjectNotYetValid, "it is not valid yet");
        }
        if reason.ends_with("Expired") || message.contains("expired") {
            return self.row(Code::ObjectExpired, "it has expired");
        }
        match reason {
            "ForbiddenByFirewall" | "ForbiddenByConnection" => self.firewall(message),
            _ if self.behind_certificate => self.no_secret_right(message),
            "ForbiddenByRbac" => self.rbac(Code::ForbiddenByRbac, message),
            "AccessDenied" | "ForbiddenByPolicy" => self.policy(message),
            _ if message.contains("Caller is not authorized") => self.rbac(Code::ForbiddenByRbac, message),
            _ if message.contains("permission on key vault") => self.policy(message),
            _ => self
                .row(Code::Forbidden, "it is forbidden")
                .quoting("It", &error.said()),
        }
    }

    fn firewall(&self, message: &str) -> Diagnosis {
        let vault = &self.vault;
        let what = self.what("the vault's firewall does not admit this client");
        match &field(message, "Client address: ", "\r\n") {
            Some(address) => Diagnosis::case(case::AddressNotAdmitted { address, vault }, what),
            None => Diagnosis::case(case::NetworkNotAdmitted { vault }, what),
        }
    }

    fn no_secret_right(&self, message: &str) -> Diagnosis {
        Diagnosis {
            what: self.what("the private key is in the secret behind the certificate, and that may not be read"),
            ..self.rbac(Code::WrongPermissionKind, message)
        }
    }

    fn rbac(&self, code: Code, message: &str) -> Diagnosis {
        Diagnosis::of(
            code,
            self.what("no role allows it"),
            &[
                ("caller", &self.caller(message)),
                ("action", field(message, "Action: '", "'").unwrap_or("the data action")),
                ("role", self.role()),
                ("assignee", &self.assignee(message)),
                ("scope", &self.scope(message)),
            ],
        )
    }

    fn policy(&self, message: &str) -> Diagnosis {
        let collection = self.collection.as_str();
        let rights = if self.list { "list" } else { "get" };
        Diagnosis::of(
            Code::ForbiddenByPolicy,
            self.what("no access policy allows it"),
            &[
                ("caller", &self.caller(message)),
                ("permission", &format!("{collection}/{rights}")),
                ("vault", self.vault),
                ("object_id", field(message, "oid=", ";").unwrap_or("OBJECT_ID")),
                ("kind", collection.trim_end_matches('s')),
            ],
        )
    }

    fn caller(&self, message: &str) -> String {
        let app = field(message, "appid=", ";").or(self.client_id);
        let object = field(message, "oid=", ";");
        match (app, object) {
            (Some(app), Some(object)) => format!("The identity with client id {app} (object id {object})"),
            (Some(app), None) => format!("The identity with client id {app}"),
            (None, Some(object)) => format!("The identity with object id {object}"),
            (None, None) => "This identity".to_owned(),
        }
    }

    fn assignee(&self, message: &str) -> String {
        let object = field(message, "oid=", ";");
        let app = field(message, "appid=", ";").or(self.client_id);
        object.or(app).unwrap_or("CLIENT_ID").to_owned()
    }

    /// The vault's resource id, from the resource that the message names.
    fn scope(&self, message: &str) -> String {
        let resource = field(message, "Resource: '", "'");
        let lower = resource.map(str::to_ascii_lowercase);
        let end = lower.as_deref().and_then(|lower| {
            let start = lower.find("/vaults/")? + "/vaults/".len();
            Some(lower[start..].find('/').map_or(lower.len(), |slash| start + slash))
        });
        match (resource, end) {
            (Some(resource), Some(end)) if resource.is_char_boundary(end) => resource[..end].to_owned(),
            _ => format!("$(az keyvault show --name {} --query id --output tsv)", self.vault),
        }
    }

    /// The smallest built-in role that allows it.
    fn role(&self) -> &'static str {
        let kind = match self.collection {
            _ if self.behind_certificate => ObjectKind::CertificateWithKey,
            Collection::Secrets => ObjectKind::Secret,
            Collection::Certificates => ObjectKind::Certificate,
            Collection::Keys => ObjectKind::Key,
        };
        kind.role()
    }

    fn not_found(&self, error: &ErrorBody) -> Diagnosis {
        if error.code.is_empty() {
            return Diagnosis::case(
                case::AnswerNotOfVault,
                self.what("HTTP 404 without a vault's error in it"),
            );
        }
        Diagnosis::of(
            Code::ObjectNotFound,
            self.what("there is none"),
            &[
                ("vault", self.vault),
                ("kind", self.collection.as_str().trim_end_matches('s')),
            ],
        )
    }
}

/// The vault is asked too often: it just said so, or it said for how long not to ask. One text for both, since they alternate.
pub(crate) fn throttled(object: &str) -> Diagnosis {
    Diagnosis::of(
        Code::Throttled,
        format!("Reading {object} failed: the vault is asked too often."),
        &[],
    )
}

/// What stands in `text` between `before` and `after`; only plain characters, since it goes into a command line.
pub(super) fn field<'t>(text: &'t str, before: &str, after: &str) -> Option<&'t str> {
    let start = text.find(before)? + before.len();
    let rest = &text[start..];
    let end = rest.find(after).unwrap_or(rest.len());
    let value = rest[..end].trim();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:()".contains(c);
    (!value.is_empty() && value.len() <= 400 && value.chars().all(plain)).then_some(value)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SCOPE: &str = "/subscriptions/s-1/resourcegroups/rg/providers/microsoft.keyvault/vaults/kv1";

    fn refuse(status: u16, body: &str, behind_certificate: bool) -> Diagnosis {
        let refusal = VaultRefusal {
            status,
            body: body.as_bytes(),
            vault: "kv1",
            object: "secret 'db' in vault 'kv1'",
            collection: Collection::Secrets,
            list: false,
            behind_certificate,
            client_id: Some("c-1"),
            tenant_id: Some("t-1"),
            vault_tenant: Some("t-2"),
        };
        refusal.recognise()
    }

    fn body(code: &str, inner: &str, message: &str) -> String {
        serde_json::json!({"error": {"code": code, "message": message, "innererror": {"code": inner}}}).to_string()
    }

    #[test]
    fn every_answer_of_the_catalogue_is_recognised() {
        for (status, code, inner, message, expected) in [
            (
                401,
                "Unauthorized",
                "",
                "AKV10032: Invalid issuer. Expected one of …",
                Code::WrongTenant,
            ),
            (
                401,
                "Unauthorized",
                "",
                "AKV10022: Invalid audience. Expected …",
                Code::WrongAudience,
            ),
            (
                401,
                "Unauthorized",
                "",
                "AKV10000: Request is missing a token",
                Code::TokenRequestFailed,
            ),
            (403, "Forbidden", "ForbiddenByRbac", "", Code::ForbiddenByRbac),
            (403, "Forbidden", "AccessDenied", "", Code::ForbiddenByPolicy),
            (403, "Forbidden", "ForbiddenByPolicy", "", Code::ForbiddenByPolicy),
            (403, "Forbidden", "ForbiddenByFirewall", "", Code::ForbiddenByFirewall),
            (403, "Forbidden", "ForbiddenByConnection", "", Code::ForbiddenByFirewall),
            (403, "Forbidden", "SomethingNew", "", Code::Forbidden),
            (403, "Forbidden", "SecretDisabled", "", Code::ObjectDisabled),
            (403, "Forbidden", "CertificateDisabled", "", Code::ObjectDisabled),
            (403, "Forbidden", "KeyNotYetValid", "", Code::ObjectNotYetValid),
            (403, "Forbidden", "SecretExpired", "", Code::ObjectExpired),
            (404, "SecretNotFound", "", "", Code::ObjectNotFound),
            (404, "KeyNotFound", "", "", Code::ObjectNotFound),
            (404, "", "", "", Code::VaultResponseInvalid),
            (429, "Throttled", "", "", Code::Throttled),
            (500, "InternalError", "", "", Code::VaultUnavailable),
            (503, "", "", "", Code::VaultUnavailable),
            (400, "BadParameter", "", "", Code::VaultResponseInvalid),
            (302, "", "", "", Code::VaultResponseInvalid),
        ] {
            let diagnosis = refuse(status, &body(code, inner, message), false);
            assert_eq!(diagnosis.code, expected, "{status} {code} {inner}");
            assert!(diagnosis.what.contains("secret 'db' in vault 'kv1'"), "{diagnosis}");
        }
    }

    #[test]
    fn a_missing_role_prints_the_line_that_assigns_it() {
        let message = format!(
            "Caller is not authorized to perform action on resource.\r\nCaller: appid=app-1;oid=oid-1;iss=https://sts/\r\n\
             Action: 'Microsoft.KeyVault/vaults/secrets/getSecret/action'\r\nResource: '{SCOPE}/secrets/db'\r\n\
             Assignment: (not found)\r\n"
        );
        let diagnosis = refuse(403, &body("Forbidden", "ForbiddenByRbac", &message), false);
        assert_eq!(
            diagnosis.fix,
            format!("az role assignment create --role \"Key Vault Secrets User\" --assignee oid-1 --scope {SCOPE}")
        );
        assert!(
            diagnosis.cause.contains("client id app-1 (object id oid-1)"),
            "{diagnosis}"
        );
        assert!(
            diagnosis
                .cause
                .contains("Microsoft.KeyVault/vaults/secrets/getSecret/action")
        );
    }

    #[test]
    fn a_missing_policy_prints_the_line_that_sets_it() {
        let message = "The user, group or application 'appid=a;oid=o-9;numgroups=0;iss=x' does not have secrets get \
                       permission on key vault 'kv1;location=westeurope'.";
        let diagnosis = refuse(403, &body("Forbidden", "AccessDenied", message), false);
        assert_eq!(
            diagnosis.fix,
            "az keyvault set-policy --name kv1 --object-id o-9 --secret-permissions get list"
        );
    }

    #[test]
    fn a_firewall_prints_the_address_that_it_saw() {
        let message = "Client address is not authorized and caller is not a trusted service.\r\nClient address: \
                       20.1.2.3\r\nCaller: appid=a;oid=o\r\n";
        let diagnosis = refuse(403, &body("Forbidden", "ForbiddenByFirewall", message), false);
        assert_eq!(
            diagnosis.fix,
            "az keyvault network-rule add --name kv1 --ip-address 20.1.2.3"
        );
    }

    #[test]
    fn the_secret_behind_a_certificate_has_a_code_of_its_own() {
        for inner in ["ForbiddenByRbac", "AccessDenied"] {
            assert_eq!(
                refuse(403, &body("Forbidden", inner, ""), true).code,
                Code::WrongPermissionKind
            );
        }
        assert_eq!(
            refuse(403, &body("Forbidden", "SecretDisabled", ""), true).code,
            Code::ObjectDisabled
        );
    }

    #[test]
    fn what_a_server_says_never_reaches_a_command_line_unfiltered() {
        let message = "Caller: appid=a;oid=$(rm -rf /);\r\nResource: '/vaults/x;reboot'\r\n";
        let diagnosis = refuse(403, &body("Forbidden", "ForbiddenByRbac", message), false);
        assert!(
            !diagnosis.fix.contains("rm -rf") && !diagnosis.fix.contains("reboot"),
            "{diagnosis}"
        );
    }

    proptest! {
        #[test]
        fn any_answer_gives_a_diagnosis(
            status in 100u16..600, bytes in proptest::collection::vec(any::<u8>(), 0..200), message in ".*",
        ) {
            refuse(status, &String::from_utf8_lossy(&bytes), true);
            refuse(status, &body("Forbidden", "ForbiddenByRbac", &message), false);
        }

        #[test]
        fn a_resource_with_any_tail_keeps_its_scope(tail in "[a-zA-Z0-9/-]{0,30}") {
            let message = format!("Resource: '{SCOPE}/{tail}'");
            let diagnosis = refuse(403, &body("Forbidden", "ForbiddenByRbac", &message), false);
            let scope = format!("--scope {SCOPE}");
            prop_assert!(diagnosis.fix.ends_with(&scope));
        }
    }
}
