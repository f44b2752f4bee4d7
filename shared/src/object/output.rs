//! Which keys a Secret or ConfigMap gets, by object type and Secret type.

use super::{
    ConfigMapData, ConfigMapOutput, KeyFormat, SecretData, SecretOutput, SourceType, Transform, basic_auth, docker,
    limits, multi_key, public_key, transform,
};
use crate::certificate;
use crate::diagnosis::{Code, Diagnosis, Explanation, case};
use crate::keyvault::model::{CertificateObject, KeyObject, SecretObject, VaultObject};
use crate::secret::SecretBytes;

/// The data of a Secret output. `name` is how messages call the object (its `Display`).
pub fn secret_data(
    source: SourceType,
    transforms: &[Transform],
    output: &SecretOutput,
    object: &VaultObject,
    name: &str,
) -> Result<SecretData, Box<Diagnosis>> {
    let data = match (source, object) {
        (SourceType::Secret, VaultObject::Secret(secret)) => from_secret(transforms, output, secret),
        (SourceType::MultiKeyValue(format), VaultObject::Secret(secret)) => {
            limits::check_value(&secret.value).and_then(|()| multi_key::parse(format, &secret.value))
        }
        (SourceType::Certificate, VaultObject::Certificate(certificate)) => from_certificate(output, certificate),
        (SourceType::Key, VaultObject::Key(key)) => from_key(output.data_key.as_deref(), output.key_format, key),
        _ => Err(wrong_kind()),
    };
    data.and_then(|data| limits::check_data(data.iter()).map(|()| data))
        .map_err(|problem| {
            Box::new(Diagnosis::case(
                problem,
                format!("{name} cannot become data of a Secret."),
            ))
        })
}

/// The data of a ConfigMap output. `name` is how messages call the object (its `Display`).
pub fn config_map_data(
    source: SourceType,
    transforms: &[Transform],
    output: &ConfigMapOutput,
    object: &VaultObject,
    name: &str,
) -> Result<ConfigMapData, Box<Diagnosis>> {
    let data_key = output.data_key.as_deref();
    let pairs = match (source, object) {
        (SourceType::Secret, VaultObject::Secret(secret)) => {
            transformed(transforms, secret).and_then(|value| single(data_key, value))
        }
        (SourceType::MultiKeyValue(format), VaultObject::Secret(secret)) => {
            limits::check_value(&secret.value).and_then(|()| multi_key::parse(format, &secret.value))
        }
        (SourceType::Certificate, VaultObject::Certificate(certificate)) => {
            certificate::public(&certificate.cer).and_then(|pem| single(data_key, pem))
        }
        (SourceType::Key, VaultObject::Key(key)) => from_key(data_key, output.key_format, key),
        _ => Err(wrong_kind()),
    };
    pairs
        .and_then(|pairs| limits::check_data(pairs.iter()).map(|()| by_encoding(pairs)))
        .map_err(|problem| {
            Box::new(Diagnosis::case(
                problem,
                format!("{name} cannot become data of a ConfigMap."),
            ))
        })
}

fn from_secret(
    transforms: &[Transform],
    output: &SecretOutput,
    secret: &SecretObject,
) -> Result<SecretData, Explanation> {
    let value = transformed(transforms, secret)?;
    match output.secret_type.as_deref() {
        Some("kubernetes.io/basic-auth") => {
            let (username, password) = basic_auth::split(&value)?;
            Ok(pairs([("username", username), ("password", password)]))
        }
        Some("kubernetes.io/dockerconfigjson") => Ok(pairs([(".dockerconfigjson", docker::config_json(&value)?)])),
        Some("kubernetes.io/dockercfg") => Ok(pairs([(".dockercfg", docker::cfg(&value)?)])),
        Some("kubernetes.io/ssh-auth") => Ok(pairs([("ssh-privatekey", value)])),
        Some("kubernetes.io/tls") => tls(&value, output.server_first),
        _ => single(output.data_key.as_deref(), value),
    }
}

fn from_certificate(output: &SecretOutput, certificate: &CertificateObject) -> Result<SecretData, Explanation> {
    let data_key = output.data_key.as_deref();
    match output.secret_type.as_deref() {
        Some("kubernetes.io/tls") => tls(&with_private_key(certificate)?.value, output.server_first),
        Some("Opaque") => single(data_key, certificate::raw(&with_private_key(certificate)?.value)?),
        _ => single(data_key, certificate::public(&certificate.cer)?),
    }
}

fn from_key(data_key: Option<&str>, format: Option<KeyFormat>, key: &KeyObject) -> Result<SecretData, Explanation> {
    single(data_key, public_key::write(key, format)?)
}

fn transformed(transforms: &[Transform], secret: &SecretObject) -> Result<SecretBytes, Explanation> {
    limits::check_value(&secret.value)?;
    transform::apply(transforms, &secret.value)
}

/// The secret behind a certificate, which holds its private key.
fn with_private_key(certificate: &CertificateObject) -> Result<&SecretObject, Explanation> {
    match &certificate.secret {
        Some(secret) if certificate.exportable != Some(false) => limits::check_value(&secret.value).map(|()| secret),
        _ => Err(case::SecretNeedsKey.into()),
    }
}

fn tls(value: &SecretBytes, server_first: bool) -> Result<SecretData, Explanation> {
    let pair = certificate::key_pair(value, server_first)?;
    Ok(pairs([("tls.crt", pair.certificates), ("tls.key", pair.key)]))
}

fn single(data_key: Option<&str>, value: SecretBytes) -> Result<SecretData, Explanation> {
    let key = data_key.ok_or(Code::DataKeyMissing)?;
    Ok(pairs([(key, value)]))
}

fn pairs<const N: usize>(pairs: [(&str, SecretBytes); N]) -> SecretData {
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

/// ConfigMap text must be UTF-8; NUL is kept out of it as well, since most readers of text end there.
fn by_encoding(pairs: SecretData) -> ConfigMapData {
    let is_text = |value: &SecretBytes| value.expose_str().is_some_and(|text| !text.contains('\0'));
    let (data, binary_data) = pairs.into_iter().partition(|(_, value)| is_text(value));
    ConfigMapData { data, binary_data }
}

/// A reader that asked for one kind and was given another: only a bug leads here.
fn wrong_kind() -> Explanation {
    case::KindNotOfSpec.into()
}

#[cfg(test)]
mod tests;
