//! Certificate policies: what a certificate shall be, in the wire's own names.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::error::VaultError;
use super::keys::key_type;
use crate::emulator::crypto::x509::Profile;
use crate::emulator::crypto::{Curve, KeyType, PublicKey};

/// Content type of the secret behind a certificate: PFX.
pub(crate) const PFX: &str = "application/x-pkcs12";
/// Content type of the secret behind a certificate: PEM.
pub(crate) const PEM: &str = "application/x-pem-file";

/// `CertificatePolicy` of the REST reference; absent parts have the service's defaults.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct CertificatePolicy {
    /// The key.
    pub key_props: KeyProperties,
    /// The secret behind the certificate.
    pub secret_props: SecretProperties,
    /// The certificate.
    pub x509_props: X509Properties,
    /// What happens before it expires; kept, never acted on.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lifetime_actions: Vec<Value>,
    /// Who signs it.
    pub issuer: IssuerReference,
}

/// The key of a certificate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct KeyProperties {
    /// Whether the private key leaves with the secret.
    pub exportable: bool,
    /// `RSA` or `EC`.
    pub kty: String,
    /// Bits of an RSA key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_size: Option<u32>,
    /// Curve of an EC key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub crv: Option<String>,
    /// Whether the next version has the same key.
    pub reuse_key: bool,
}

impl Default for KeyProperties {
    fn default() -> Self {
        Self {
            exportable: true,
            kty: "RSA".into(),
            key_size: None,
            crv: None,
            reuse_key: false,
        }
    }
}

/// The secret behind a certificate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SecretProperties {
    /// `application/x-pkcs12` (the default) or `application/x-pem-file`.
    #[serde(rename = "contentType")]
    pub content_type: String,
}

impl Default for SecretProperties {
    fn default() -> Self {
        Self {
            content_type: PFX.into(),
        }
    }
}

/// What the certificate says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct X509Properties {
    /// `CN=example.com`.
    pub subject: String,
    /// Alternative names.
    pub sans: AlternativeNames,
    /// Extended key usages, dotted.
    pub ekus: Vec<String>,
    /// Key usages.
    pub key_usage: Vec<String>,
    /// Months of validity.
    pub validity_months: i64,
}

impl Default for X509Properties {
    fn default() -> Self {
        Self {
            subject: String::new(),
            sans: AlternativeNames::default(),
            ekus: vec!["1.3.6.1.5.5.7.3.1".into(), "1.3.6.1.5.5.7.3.2".into()],
            key_usage: vec!["digitalSignature".into(), "keyEncipherment".into()],
            validity_months: 12,
        }
    }
}

/// Subject alternative names.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct AlternativeNames {
    /// DNS names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dns_names: Vec<String>,
    /// E-mail addresses.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub emails: Vec<String>,
    /// User principal names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub upns: Vec<String>,
}

/// Who signs a certificate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct IssuerReference {
    /// `Self`, or the name of an issuer of the vault.
    pub name: String,
}

impl Default for IssuerReference {
    fn default() -> Self {
        Self { name: "Self".into() }
    }
}

impl CertificatePolicy {
    /// A self-signed RSA-2048 certificate, exportable, as PFX, for one year.
    pub fn self_signed(subject: &str) -> Self {
        let x509_props = X509Properties {
            subject: subject.into(),
            ..X509Properties::default()
        };
        Self {
            x509_props,
            ..Self::default()
        }
    }

    /// The same, signed by an issuer of the vault.
    #[must_use]
    pub fn issued_by(mut self, issuer: &str) -> Self {
        self.issuer.name = issuer.into();
        self
    }

    /// The same with an EC key.
    #[must_use]
    pub fn curve(mut self, curve: Curve) -> Self {
        self.key_props.kty = "EC".into();
        self.key_props.crv = Some(curve.name().into());
        self
    }

    /// The same as PEM.
    #[must_use]
    pub fn pem(mut self) -> Self {
        self.secret_props.content_type = PEM.into();
        self
    }

    /// The same with a private key that cannot leave.
    #[must_use]
    pub fn not_exportable(mut self) -> Self {
        self.key_props.exportable = false;
        self
    }

    pub(super) fn key_type(&self) -> Result<KeyType, VaultError> {
        key_type(
            &self.key_props.kty,
            self.key_props.key_size,
            self.key_props.crv.as_deref(),
        )
    }

    /// This policy with the parts that `patch` names replaced.
    pub(super) fn patched(&self, patch: &Value) -> Result<Self, VaultError> {
        let mut merged = serde_json::to_value(self).unwrap_or_default();
        merge(&mut merged, patch);
        serde_json::from_value(merged)
            .map_err(|error| VaultError::bad_parameter(format!("The request body is invalid: {error}")))
    }

    /// Checks what the service checks before it makes anything.
    pub(super) fn check(&self) -> Result<(), VaultError> {
        self.key_type()?;
        if !matches!(self.secret_props.content_type.as_str(), PFX | PEM) {
            return Err(VaultError::bad_parameter(
                "Property policy.secret_props.contentType has invalid value.",
            ));
        }
        let names = &self.x509_props.sans;
        let has_name = !names.dns_names.is_empty() || !names.emails.is_empty() || !names.upns.is_empty();
        if self.x509_props.subject.is_empty() && !has_name {
            return Err(VaultError::bad_parameter(
                "Property policy must have a subject or subject alternative names.",
            ));
        }
        Ok(())
    }

    /// The certificate this policy asks for, beginning at `now`.
    pub(super) fn profile(&self, now: i64) -> Profile {
        let (x509, names) = (&self.x509_props, &self.x509_props.sans);
        Profile {
            subject: x509.subject.clone(),
            dns_names: names.dns_names.clone(),
            emails: names.emails.clone(),
            upns: names.upns.clone(),
            key_usage: x509.key_usage.clone(),
            ekus: x509.ekus.clone(),
            // The service begins ten minutes early, for clocks that are late.
            not_before: now - 600,
            not_after: add_months(now, x509.validity_months),
            ca: false,
        }
    }

    /// Fills in what an imported certificate says itself.
    pub(super) fn describe(&mut self, public: &PublicKey, der: &[u8]) {
        match public {
            PublicKey::Rsa { n, .. } => {
                self.key_props.kty = "RSA".into();
                self.key_props.key_size = u32::try_from(n.len() * 8).ok();
            }
            PublicKey::Ec { curve, .. } => {
                self.key_props.kty = "EC".into();
                self.key_props.crv = Some(curve.name().into());
            }
        }
        if let Ok((_, certificate)) = x509_parser::parse_x509_certificate(der) {
            self.x509_props.subject = certificate.subject().to_string();
            let names = certificate.subject_alternative_name().ok().flatten();
            let names = names
                .map(|extension| extension.value.general_names.as_slice())
                .unwrap_or_default();
            self.x509_props.sans.dns_names = names
                .iter()
                .filter_map(|name| match name {
                    x509_parser::extensions::GeneralName::DNSName(name) => Some((*name).to_owned()),
                    _ => None,
                })
                .collect();
        }
        self.issuer.name = "Unknown".into();
    }

    /// As the service shows it, with the defaults filled in.
    pub(super) fn json(&self, id: &str, created: i64, updated: i64) -> Value {
        let mut json = serde_json::to_value(self).unwrap_or_default();
        json["id"] = id.into();
        json["attributes"] = json!({ "enabled": true, "created": created, "updated": updated });
        if self.key_props.kty.starts_with("RSA") && self.key_props.key_size.is_none() {
            json["key_props"]["key_size"] = 2048.into();
        }
        json
    }
}

/// Overlays JSON objects member by member; anything else is replaced.
fn merge(into: &mut Value, patch: &Value) {
    match (into, patch) {
        (Value::Object(into), Value::Object(patch)) => {
            for (name, value) in patch {
                merge(into.entry(name).or_insert(Value::Null), value);
            }
        }
        (_, Value::Null) => {}
        (into, patch) => *into = patch.clone(),
    }
}

fn add_months(unix: i64, months: i64) -> i64 {
    use jiff::{Timestamp, ToSpan, tz::TimeZone};
    let added = Timestamp::from_second(unix)
        .ok()
        .and_then(|time| time.to_zoned(TimeZone::UTC).checked_add(months.months()).ok());
    added.map_or(unix, |time| time.timestamp().as_second())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absent_parts_of_a_policy_have_the_services_defaults() {
        let policy: CertificatePolicy = serde_json::from_value(json!({ "x509_props": { "subject": "CN=a" } })).unwrap();
        assert_eq!(policy, CertificatePolicy::self_signed("CN=a"));
        assert_eq!(policy.key_type().unwrap(), KeyType::Rsa(2048));
        let profile = policy.profile(1_709_251_200);
        assert_eq!(
            profile.not_after, 1_740_787_200,
            "1 March 2024 and twelve months are 1 March 2025"
        );
    }

    #[test]
    fn a_patch_replaces_only_what_it_names() {
        let policy = CertificatePolicy::self_signed("CN=a").not_exportable();
        let patched = policy
            .patched(&json!({ "x509_props": { "validity_months": 3 }, "issuer": null }))
            .unwrap();
        assert_eq!(patched.x509_props.validity_months, 3);
        assert_eq!(
            (patched.x509_props.subject.as_str(), patched.key_props.exportable),
            ("CN=a", false)
        );
        assert!(policy.patched(&json!({ "key_props": 7 })).is_err());
    }

    #[test]
    fn policies_nothing_can_be_made_of_are_refused() {
        for policy in [
            json!({}),
            json!({ "x509_props": { "subject": "CN=a" }, "key_props": { "kty": "oct" } }),
            json!({ "x509_props": { "subject": "CN=a" }, "key_props": { "kty": "RSA", "key_size": 1024 } }),
            json!({ "x509_props": { "subject": "CN=a" }, "secret_props": { "contentType": "text/plain" } }),
        ] {
            let parsed: CertificatePolicy = serde_json::from_value(policy.clone()).unwrap();
            assert!(parsed.check().is_err(), "{policy}");
        }
    }
}
