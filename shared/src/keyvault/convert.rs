//! Microsoft's models → ours.

use azure_core::http::headers::Headers;
use azure_core::time::OffsetDateTime;
use azure_security_keyvault_certificates::models::{Certificate, CertificateAttributes, CertificateProperties};
use azure_security_keyvault_keys::models::{Key, KeyAttributes, KeyProperties};
use azure_security_keyvault_secrets::models::{Secret, SecretAttributes, SecretProperties};
use url::Url;

use super::Listed;
use super::fingerprint::settled;
use super::model::{Attributes, CertificateObject, Fingerprint, KeyObject, SecretObject};
use crate::reference::{ObjectName, ObjectVersion};
use crate::secret::SecretBytes;

/// An object with its change mark.
pub(super) struct Marked<T> {
    pub(super) object: T,
    pub(super) fingerprint: Fingerprint,
    pub(super) settled: bool,
}

/// Converts what a GET gave; `Err` names the part that is missing.
pub(super) fn secret(secret: Secret, headers: &Headers) -> Result<Marked<SecretObject>, &'static str> {
    let attributes = Attributes::from(secret.attributes.ok_or("attributes")?);
    Ok(Marked {
        fingerprint: Fingerprint::of(&attributes, secret.content_type.as_deref(), secret.tags.as_ref(), None),
        settled: settled(attributes.updated, headers),
        object: SecretObject {
            value: SecretBytes::from(secret.value.ok_or("value")?),
            content_type: secret.content_type,
            version: version(secret.id.as_deref())?,
            attributes,
        },
    })
}

pub(super) fn certificate(
    certificate: Certificate,
    headers: &Headers,
) -> Result<Marked<CertificateObject>, &'static str> {
    let attributes = Attributes::from(certificate.attributes.ok_or("attributes")?);
    let thumbprint = certificate.x509_thumbprint.as_deref();
    Ok(Marked {
        fingerprint: Fingerprint::of(&attributes, None, certificate.tags.as_ref(), thumbprint),
        settled: settled(attributes.updated, headers),
        object: CertificateObject {
            cer: certificate.cer.ok_or("cer")?,
            exportable: certificate.policy.and_then(|policy| policy.key_properties?.exportable),
            version: version(certificate.id.as_deref())?,
            attributes,
            secret: None,
        },
    })
}

pub(super) fn key(key: Key, headers: &Headers) -> Result<Marked<KeyObject>, &'static str> {
    let attributes = Attributes::from(key.attributes.ok_or("attributes")?);
    let jwk = key.key.ok_or("key")?;
    Ok(Marked {
        fingerprint: Fingerprint::of(&attributes, None, key.tags.as_ref(), None),
        settled: settled(attributes.updated, headers),
        object: KeyObject {
            kty: jwk.kty.ok_or("kty")?.to_string(),
            crv: jwk.crv.map(|curve| curve.to_string()),
            n: jwk.n,
            e: jwk.e,
            x: jwk.x,
            y: jwk.y,
            version: version(jwk.kid.as_deref())?,
            kid: jwk.kid,
            operations: jwk.key_ops.unwrap_or_default(),
            attributes,
        },
    })
}

/// One entry of a LIST page; `None` when it has no usable name.
pub(super) fn listed_secret(item: SecretProperties, headers: &Headers) -> Option<(ObjectName, Listed)> {
    let attributes = Attributes::from(item.attributes?);
    let fingerprint = Fingerprint::of(&attributes, item.content_type.as_deref(), item.tags.as_ref(), None);
    Some((name(item.id.as_deref())?, listed(&attributes, fingerprint, headers)))
}

pub(super) fn listed_certificate(item: CertificateProperties, headers: &Headers) -> Option<(ObjectName, Listed)> {
    let attributes = Attributes::from(item.attributes?);
    let fingerprint = Fingerprint::of(&attributes, None, item.tags.as_ref(), item.x509_thumbprint.as_deref());
    Some((name(item.id.as_deref())?, listed(&attributes, fingerprint, headers)))
}

pub(super) fn listed_key(item: KeyProperties, headers: &Headers) -> Option<(ObjectName, Listed)> {
    let attributes = Attributes::from(item.attributes?);
    let fingerprint = Fingerprint::of(&attributes, None, item.tags.as_ref(), None);
    Some((name(item.kid.as_deref())?, listed(&attributes, fingerprint, headers)))
}

fn listed(attributes: &Attributes, fingerprint: Fingerprint, headers: &Headers) -> Listed {
    Listed {
        fingerprint,
        settled: settled(attributes.updated, headers),
        enabled: attributes.enabled,
    }
}

/// `https://HOST/COLLECTION/NAME/VERSION`: its third or fourth part.
fn part(id: Option<&str>, position: usize) -> Option<String> {
    let url = Url::parse(id?).ok()?;
    url.path_segments()?.nth(position).map(str::to_owned)
}

fn name(id: Option<&str>) -> Option<ObjectName> {
    ObjectName::parse(&part(id, 1)?).ok()
}

fn version(id: Option<&str>) -> Result<ObjectVersion, &'static str> {
    part(id, 2)
        .and_then(|version| ObjectVersion::parse(&version).ok())
        .ok_or("id with a version")
}

/// The three attribute types of the three crates have the fields that count in common.
macro_rules! from_attributes {
    ($($source:ty),*) => {$(
        impl From<$source> for Attributes {
            fn from(source: $source) -> Self {
                let seconds = OffsetDateTime::unix_timestamp;
                Self {
                    enabled: source.enabled.unwrap_or(true),
                    created: source.created.map(seconds),
                    updated: source.updated.map(seconds),
                    expires: source.expires.map(seconds),
                    not_before: source.not_before.map(seconds),
                }
            }
        }
    )*};
}
from_attributes!(SecretAttributes, CertificateAttributes, KeyAttributes);

#[cfg(all(test, feature = "kube"))]
mod sdk_vectors;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const VERSION: &str = "0123456789abcdef0123456789abcdef";

    fn headers() -> Headers {
        let mut headers = Headers::new();
        headers.insert("date", "Tue, 14 Nov 2023 22:13:20 GMT");
        headers
    }

    /// What GET and LIST have in common on the wire.
    fn common() -> serde_json::Value {
        json!({
            "attributes": {"enabled": true, "created": 1_600_000_000, "updated": 1_600_000_001, "exp": 1_900_000_000,
                           "recoveryLevel": "Recoverable", "recoverableDays": 90},
            "tags": {"b": "2", "a": "1"},
        })
    }

    fn with(mut value: serde_json::Value, more: &serde_json::Value) -> serde_json::Value {
        let object = value.as_object_mut().unwrap();
        object.extend(more.as_object().unwrap().clone());
        value
    }

    #[test]
    fn get_and_list_of_one_secret_have_one_mark() {
        let got = with(
            common(),
            &json!({"id": format!("https://kv/secrets/Db/{VERSION}"), "value": "v", "contentType": "text"}),
        );
        let got = secret(serde_json::from_value(got).unwrap(), &headers()).unwrap();
        let item = with(
            common(),
            &json!({"id": "https://kv/secrets/db", "contentType": "text", "managed": true}),
        );
        let (name, item) = listed_secret(serde_json::from_value(item).unwrap(), &headers()).unwrap();
        assert_eq!(name, ObjectName::parse("DB").unwrap());
        assert_eq!(got.fingerprint, item.fingerprint);
        assert!(got.settled && item.settled && item.enabled);
        assert_eq!(got.object.version.as_str(), VERSION);
        assert_eq!(got.object.attributes.expires, Some(1_900_000_000));
    }

    #[test]
    fn get_and_list_of_one_certificate_have_one_mark() {
        let got = with(
            common(),
            &json!({"id": format!("https://kv/certificates/c/{VERSION}"), "cer": "MTIz", "x5t": "AQID",
                   "policy": {"key_props": {"exportable": false}}}),
        );
        let got = certificate(serde_json::from_value(got).unwrap(), &headers()).unwrap();
        let item = with(
            common(),
            &json!({"id": "https://kv/certificates/c", "x5t": "AQID", "subject": ""}),
        );
        let (_, item) = listed_certificate(serde_json::from_value(item).unwrap(), &headers()).unwrap();
        assert_eq!(got.fingerprint, item.fingerprint);
        assert_eq!(got.object.cer, b"123");
        assert_eq!(got.object.exportable, Some(false));
    }

    #[test]
    fn a_certificate_without_policy_is_read_and_nobody_knows_whether_its_key_may_leave() {
        let policies = [
            json!({}),
            json!({"policy": null}),
            json!({"policy": {}}),
            json!({"policy": {"key_props": null}}),
            json!({"policy": {"key_props": {}}}),
        ];
        for policy in policies {
            let got = with(
                common(),
                &json!({"id": format!("https://kv/certificates/c/{VERSION}"), "cer": "MTIz", "x5t": "AQID"}),
            );
            let got = certificate(serde_json::from_value(with(got, &policy)).unwrap(), &headers()).unwrap();
            assert_eq!(
                (got.object.cer.as_slice(), got.object.exportable),
                (&b"123"[..], None),
                "{policy}"
            );
        }
    }

    #[test]
    fn get_and_list_of_one_key_have_one_mark() {
        let got = with(
            common(),
            &json!({"key": {"kid": format!("https://kv/keys/k/{VERSION}"), "kty": "EC-HSM", "crv": "P-256K", "x": "AQ",
                           "y": "Ag", "key_ops": ["verify"]}}),
        );
        let got = key(serde_json::from_value(got).unwrap(), &headers()).unwrap();
        let item = with(common(), &json!({"kid": "https://kv/keys/k"}));
        let (_, item) = listed_key(serde_json::from_value(item).unwrap(), &headers()).unwrap();
        assert_eq!(got.fingerprint, item.fingerprint);
        assert_eq!(
            (got.object.kty.as_str(), got.object.crv.as_deref()),
            ("EC-HSM", Some("P-256K"))
        );
    }

    #[test]
    fn what_is_missing_is_named() {
        let lacking = |more| secret(serde_json::from_value(more).unwrap(), &headers()).err();
        assert_eq!(lacking(json!({})), Some("attributes"));
        assert_eq!(lacking(common()), Some("value"));
        assert_eq!(
            lacking(with(common(), &json!({"value": "v"}))),
            Some("id with a version")
        );
    }
}
