//! Vault object and query → the value of a variable. [`value`] is pure; [`read`] fetches what it needs.
//!
//! | object                  | query                     | value                                                                |
//! |-------------------------|---------------------------|----------------------------------------------------------------------|
//! | secret                  | none                      | the value, transformed                                               |
//! |                         | `username`, `password`    | what stands before and after the first colon                         |
//! |                         | `tls.crt`, `tls.key`      | of a PFX or PEM kept as a secret: as of a certificate                |
//! | multi-key-value-secret  | a key, or `path.to.key`   | its value; numbers as they are written                               |
//! | certificate             | none                      | the certificate, PEM                                                 |
//! |                         | `tls.crt`                 | the certificate and its chain, PEM, its own first                    |
//! |                         | `tls.key`                 | the private key, PEM as in Secrets                                   |
//! |                         | `raw`                     | the certificate, DER in base64                                       |
//! | key                     | none                      | as `keyFormat` says; `raw` in base64url, PEM when it says nothing    |
//! |                         | `pem`, `jwk`, `raw`       | the public part in that form; `raw`, or `n`, is the RSA modulus      |
//!
//! A direct reference to a secret says nothing of its form: its content type does, else a `{` at its beginning means JSON.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tokio::time::Instant;

use super::reference::Query;
use super::source::{Form, Source};
use crate::certificate;
use crate::diagnosis::{Diagnosis, Explanation, Retry, case};
use crate::encoding::BASE64;
use crate::identity::Identity;
use crate::keyvault::model::{CertificateObject, KeyObject, SecretObject, VaultObject};
use crate::keyvault::{KeyVault, Priority, VaultError};
use crate::object::{KeyFormat, MultiKeyFormat, basic_auth, limits, multi_key, public_key, transform};
use crate::reference::ObjectVersion;
use crate::secret::SecretBytes;
use crate::text::shortened;

/// A value, and the version of the object that it is from.
pub struct Read {
    /// The value.
    pub value: SecretBytes,
    /// The object's version.
    pub version: ObjectVersion,
}

/// Reads the object as of `since` or later (see [`KeyVault::get_since`]), and takes from it what `query` means.
///
/// # Errors
/// The vault's, or that the object has no such part.
pub async fn read(
    vault: &KeyVault,
    identity: &Identity,
    source: &Source,
    query: Option<&Query>,
    since: Instant,
) -> Result<Read, VaultError> {
    let mut fetched = vault
        .get_since(identity, &source.object(query), Priority::New, since)
        .await;
    if let Err(error) = &fetched
        && let Some(object) = source.without_chain(query, error.diagnosis.code)
    {
        fetched = vault.get_since(identity, &object, Priority::New, since).await;
    }
    let object = &fetched?.object;
    let value = value(source, query, object).map_err(|diagnosis| VaultError {
        diagnosis: *diagnosis,
        retry: Retry::Slowly,
    })?;
    Ok(Read {
        value,
        version: object.version().clone(),
    })
}

/// The value of `object`, which was read as [`Source::object`] or [`Source::without_chain`] says. It may hold any bytes.
///
/// # Errors
/// [`Code::QueryInvalid`]: the object has no such part; else what is wrong with its value.
pub fn value(source: &Source, query: Option<&Query>, object: &VaultObject) -> Result<SecretBytes, Box<Diagnosis>> {
    let query = query.map(Query::as_str);
    let found = match (source.form, object) {
        (Form::Secret, VaultObject::Secret(secret)) => of_secret(source, query, secret),
        (Form::MultiKeyValue(format), VaultObject::Secret(secret)) => of_pairs(format, query, secret),
        (Form::AnySecret, VaultObject::Secret(secret)) => match (query, format_of(secret)) {
            (Some(query), Some(format)) => of_pairs(format, Some(query), secret),
            _ => of_secret(source, query, secret),
        },
        (Form::Certificate, VaultObject::Certificate(certificate)) => of_certificate(query, certificate),
        (Form::Key, VaultObject::Key(key)) => of_key(source.key_format, query, key),
        _ => Err(case::KindNotAsked.into()),
    };
    found.map_err(|problem| {
        let what = format!("{} cannot become the value of a variable.", source.object);
        Box::new(Diagnosis::case(problem, what))
    })
}

fn of_secret(source: &Source, query: Option<&str>, secret: &SecretObject) -> Result<SecretBytes, Explanation> {
    limits::check_value(&secret.value)?;
    let value = transform::apply(&source.transforms, &secret.value)?;
    match query {
        None => Ok(value),
        Some("username") => Ok(basic_auth::split(&value)?.0),
        Some("password") => Ok(basic_auth::split(&value)?.1),
        Some("tls.crt") => Ok(certificate::key_pair(&value, true)?.certificates),
        Some("tls.key") => Ok(certificate::key_pair(&value, true)?.key),
        Some(other) => Err(case::NoPartOfSecret { query: &shown(other) }.into()),
    }
}

fn of_pairs(format: MultiKeyFormat, query: Option<&str>, secret: &SecretObject) -> Result<SecretBytes, Explanation> {
    limits::check_value(&secret.value)?;
    let query = query.ok_or(case::PairNotChosen)?;
    let found = multi_key::select(format, &secret.value, query)?;
    found.ok_or_else(|| case::NoPartOfPairs { query: &shown(query) }.into())
}

fn format_of(secret: &SecretObject) -> Option<MultiKeyFormat> {
    let content_type = secret.content_type.as_deref().unwrap_or_default().to_ascii_lowercase();
    if content_type.contains("json") {
        Some(MultiKeyFormat::Json)
    } else if content_type.contains("yaml") {
        Some(MultiKeyFormat::Yaml)
    } else {
        let first = secret.value.expose().trim_ascii_start().first();
        (first == Some(&b'{')).then_some(MultiKeyFormat::Json)
    }
}

fn of_certificate(query: Option<&str>, certificate: &CertificateObject) -> Result<SecretBytes, Explanation> {
    match (query, &certificate.secret) {
        (None, _) | (Some("tls.crt"), None) => certificate::public(&certificate.cer),
        (Some("tls.crt"), Some(secret)) => Ok(pair(secret)?.certificates),
        (Some("tls.key"), Some(secret)) => Ok(pair(secret)?.key),
        (Some("tls.key"), None) => Err(case::VariableNeedsKey.into()),
        (Some("raw"), _) => Ok(SecretBytes::from(BASE64.encode(&certificate.cer))),
        (Some(other), _) => Err(case::NoPartOfCertificate { query: &shown(other) }.into()),
    }
}

fn pair(secret: &SecretObject) -> Result<certificate::KeyPair, Explanation> {
    limits::check_value(&secret.value)?;
    certificate::key_pair(&secret.value, true)
}

fn of_key(format: Option<KeyFormat>, query: Option<&str>, key: &KeyObject) -> Result<SecretBytes, Explanation> {
    let format = match query {
        None => format.unwrap_or(KeyFormat::Pem),
        Some("pem") => KeyFormat::Pem,
        Some("jwk") => KeyFormat::Jwk,
        Some("raw" | "n") => KeyFormat::Raw,
        Some(other) => return Err(case::NoPartOfKey { query: &shown(other) }.into()),
    };
    let written = public_key::write(key, Some(format))?;
    Ok(match format {
        // As bytes, a modulus is no text, and most have a NUL in them.
        KeyFormat::Raw => SecretBytes::from(URL_SAFE_NO_PAD.encode(written.expose())),
        KeyFormat::Pem | KeyFormat::Jwk => written,
    })
}

/// A query, of bounded length.
fn shown(query: &str) -> String {
    shortened(query, 64)
}

#[cfg(test)]
mod tests;
