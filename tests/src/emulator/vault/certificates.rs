//! `/certificates`: creation, import, and the secret and key behind each certificate.

use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use serde::Deserialize;
use serde_json::{Value, json};

use super::authority::LazyAuthority;
use super::error::VaultError;
use super::keys::KeyContent;
use super::objects::{AttributeChange, Attributes, Object, Tags, Version};
use super::policy::{CertificatePolicy, PEM};
use super::secrets::SecretContent;
use super::{Ids, Vault};
use crate::emulator::crypto::bundle::KeyBundle;
use crate::emulator::crypto::x509::{self, Signer};
use crate::emulator::crypto::{PrivateKey, random_hex};
use crate::emulator::operation::Kind;

const PEM_BEGIN: &str = "-----BEGIN ";

/// What one version of a certificate holds.
#[derive(Debug, Clone)]
pub(crate) struct CertificateContent {
    /// DER.
    pub(crate) cer: Vec<u8>,
    pub(crate) policy: CertificatePolicy,
}

/// Body of creation, import and update.
#[derive(Debug, Default, Deserialize)]
pub(super) struct CertificateBody {
    pub(super) policy: Option<CertificatePolicy>,
    attributes: Option<AttributeChange>,
    tags: Option<Tags>,
    /// Import: base64 of a PFX, or PEM.
    value: Option<String>,
    /// Import: the PFX's password.
    pwd: Option<String>,
}

impl CertificateBody {
    /// An import of PEM or base64 of a PFX.
    pub(super) fn import(value: &str, password: &str, policy: CertificatePolicy) -> Self {
        Self {
            policy: Some(policy),
            value: Some(value.into()),
            pwd: Some(password.into()),
            ..Self::default()
        }
    }

    /// A change of attributes only.
    pub(super) fn attributes(change: AttributeChange) -> Self {
        Self {
            attributes: Some(change),
            ..Self::default()
        }
    }
}

/// A certificate made or read, not yet stored: what takes time is done without holding the vault.
pub(super) struct Made {
    bundle: KeyBundle,
    policy: CertificatePolicy,
    secret_value: String,
    csr: Option<Vec<u8>>,
    not_before: i64,
    not_after: i64,
}

/// Makes a certificate by its policy, with a new key unless one is given to be reused.
pub(super) fn make(
    policy: CertificatePolicy,
    reused: Option<PrivateKey>,
    authority: &LazyAuthority,
    now: i64,
) -> Result<Made, VaultError> {
    policy.check()?;
    let key = match reused {
        Some(key) => key,
        None => PrivateKey::generate(policy.key_type()?)?,
    };
    let profile = policy.profile(now);
    let certificates = if policy.issuer.name == "Self" {
        vec![x509::issue(
            &profile,
            key.public(),
            &Signer {
                name: &profile.subject,
                key: &key,
            },
        )?]
    } else {
        let authority = authority.get(now)?;
        let own = x509::issue(&profile, key.public(), &authority.signer())?;
        let mut chain = authority.chain().to_vec();
        chain.push(own);
        // As the service stores them: PFX from the root down, PEM from the leaf up.
        if policy.secret_props.content_type == PEM {
            chain.reverse();
        }
        chain
    };
    let csr = x509::request(&profile, &key)?;
    let bundle = KeyBundle::new(key, certificates)?;
    Ok(Made {
        csr: Some(csr),
        ..finish(bundle, policy)?
    })
}

/// Reads a certificate to import: PEM as text or in base64 (Microsoft's SDKs for JavaScript and Python), or base64 of a
/// PFX.
pub(super) fn read(body: &CertificateBody) -> Result<Made, VaultError> {
    let value = body
        .value
        .as_deref()
        .ok_or_else(|| VaultError::bad_parameter("Property value must be specified."))?;
    let mut policy = body.policy.clone().unwrap_or_default();
    let content = if value.contains(PEM_BEGIN) {
        value.as_bytes().to_vec()
    } else {
        BASE64_STANDARD
            .decode(value)
            .map_err(|error| unreadable("PKCS#12", &error))?
    };
    let bundle = match str::from_utf8(&content) {
        Ok(text) if text.contains(PEM_BEGIN) => {
            PEM.clone_into(&mut policy.secret_props.content_type);
            KeyBundle::from_pem(text).map_err(|error| unreadable("PEM", &error))?
        }
        _ => {
            let password = body.pwd.as_deref().unwrap_or("");
            KeyBundle::from_pfx(&content, password).map_err(|error| unreadable("PKCS#12", &error))?
        }
    };
    policy.describe(bundle.key.public(), bundle.own());
    finish(bundle, policy)
}

fn unreadable(format: &str, error: &dyn std::fmt::Display) -> VaultError {
    VaultError::bad_parameter(format!(
        "The specified {format} X.509 certificate content can not be read. Please check if certificate is in valid \
         {format} format. ({error})"
    ))
}

fn finish(bundle: KeyBundle, policy: CertificatePolicy) -> Result<Made, VaultError> {
    let exportable = policy.key_props.exportable;
    let secret_value = if policy.secret_props.content_type == PEM {
        bundle.to_pem(exportable)
    } else {
        BASE64_STANDARD.encode(bundle.to_pfx(exportable)?)
    };
    let (not_before, not_after) = x509_parser::parse_x509_certificate(bundle.own())
        .map(|(_, parsed)| {
            (
                parsed.validity().not_before.timestamp(),
                parsed.validity().not_after.timestamp(),
            )
        })
        .map_err(|error| unreadable("DER", &error))?;
    Ok(Made {
        bundle,
        policy,
        secret_value,
        csr: None,
        not_before,
        not_after,
    })
}

/// Stores a certificate with its secret and its key, all under one version id.
pub(super) fn store(
    vault: &mut Vault,
    ids: &Ids<'_>,
    name: &str,
    made: Made,
    body: CertificateBody,
    now: i64,
) -> Result<String, VaultError> {
    vault.certificates.writable(name)?;
    vault.secrets.writable(name)?;
    vault.keys.writable(name)?;
    let mut attributes = Attributes::new(now);
    attributes.not_before = Some(made.not_before);
    attributes.expires = Some(made.not_after);
    let change = AttributeChange {
        enabled: body.attributes.and_then(|a| a.enabled),
        ..AttributeChange::default()
    };
    change.apply(&mut attributes);
    let tags = body.tags.unwrap_or_default();
    let id = random_hex(16);
    let secret = SecretContent {
        value: made.secret_value,
        content_type: Some(made.policy.secret_props.content_type.clone()),
        key_id: Some(ids.version(Kind::Key, name, &id)),
    };
    let certificate = CertificateContent {
        cer: made.bundle.own().to_vec(),
        policy: made.policy,
    };
    if let Some(csr) = made.csr {
        let operation = Operation {
            request_id: random_hex(16),
            issuer: certificate.policy.issuer.name.clone(),
            csr,
        };
        vault.operations.insert(name.to_ascii_lowercase(), operation);
    }
    let twin = |managed| (id.clone(), attributes.clone(), tags.clone(), managed);
    vault
        .keys
        .add(name, version(KeyContent::new(made.bundle.key), twin(true)))?;
    vault.secrets.add(name, version(secret, twin(true)))?;
    vault.certificates.add(name, version(certificate, twin(false)))
}

fn version<V>(content: V, (id, attributes, tags, managed): (String, Attributes, Tags, bool)) -> Version<V> {
    Version {
        id,
        attributes,
        tags,
        managed,
        content,
    }
}

/// Changes attributes and tags of a certificate, and with it of its secret and key.
pub(super) fn update(
    vault: &mut Vault,
    name: &str,
    version: Option<&str>,
    body: CertificateBody,
    now: i64,
) -> Result<String, VaultError> {
    let certificate = vault.certificates.version_mut(name, version)?;
    let change = body.attributes.unwrap_or_default();
    certificate.change(&change, body.tags.clone(), now);
    let id = certificate.id.clone();
    vault
        .secrets
        .version_mut(name, Some(&id))?
        .change(&change, body.tags.clone(), now);
    vault.keys.version_mut(name, Some(&id))?.change(&change, body.tags, now);
    Ok(id)
}

/// Changes the parts of the current version's policy that `patch` names.
pub(super) fn update_policy(vault: &mut Vault, name: &str, patch: &Value, now: i64) -> Result<(), VaultError> {
    let certificate = vault.certificates.version_mut(name, None)?;
    let policy = certificate.content.policy.patched(patch)?;
    policy.check()?;
    certificate.content.policy = policy;
    certificate.attributes.updated = now;
    Ok(())
}

/// How a certificate came about; the emulator is done at once, but says so only when it is asked.
#[derive(Debug, Clone)]
pub(crate) struct Operation {
    request_id: String,
    issuer: String,
    csr: Vec<u8>,
}

impl Operation {
    /// `CertificateOperation` of the REST reference.
    pub(super) fn json(&self, ids: &Ids<'_>, name: &str, status: &str) -> Value {
        let target = ids.object(Kind::Certificate, name);
        json!({
            "id": format!("{target}/pending"), "issuer": { "name": self.issuer },
            "csr": BASE64_STANDARD.encode(&self.csr), "cancellation_requested": false, "status": status,
            "target": target, "request_id": self.request_id,
        })
    }
}

/// `CertificateBundle` of the REST reference.
pub(super) fn bundle(
    ids: &Ids<'_>,
    object: &Object<CertificateContent>,
    version: &Version<CertificateContent>,
) -> Value {
    let mut json = item(&ids.version(Kind::Certificate, &object.name, &version.id), version);
    let content = &version.content;
    json["kid"] = ids.version(Kind::Key, &object.name, &version.id).into();
    json["sid"] = ids.version(Kind::Secret, &object.name, &version.id).into();
    json["cer"] = BASE64_STANDARD.encode(&content.cer).into();
    json["contentType"] = content.policy.secret_props.content_type.as_str().into();
    json["policy"] = policy(ids, object, version);
    json["pending"] = json!({ "id": format!("{}/pending", ids.object(Kind::Certificate, &object.name)) });
    json
}

/// The policy a version was made by.
pub(super) fn policy(
    ids: &Ids<'_>,
    object: &Object<CertificateContent>,
    version: &Version<CertificateContent>,
) -> Value {
    let id = format!("{}/policy", ids.object(Kind::Certificate, &object.name));
    version
        .content
        .policy
        .json(&id, version.attributes.created, version.attributes.updated)
}

/// `CertificateItem`.
pub(super) fn item(id: &str, version: &Version<CertificateContent>) -> Value {
    let thumbprint = ring::digest::digest(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY, &version.content.cer);
    json!({
        "id": id, "attributes": version.attributes.json(), "tags": version.tags,
        "x5t": BASE64_URL_SAFE_NO_PAD.encode(thumbprint),
    })
}
