//! What each object type and Secret type writes.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::*;
use crate::keyvault::model::Attributes;
use crate::object::MultiKeyFormat::{Json, Yaml};
use crate::object::{needs_private_key, testdata};
use crate::reference::ObjectVersion;

mod certificates;
mod refusals;
mod values;

const NAME: &str = "secret \"s\" of vault \"v\"";

fn attributes() -> Attributes {
    Attributes {
        enabled: true,
        created: None,
        updated: None,
        expires: None,
        not_before: None,
    }
}

fn version() -> ObjectVersion {
    ObjectVersion::parse("0123456789abcdef0123456789abcdef").expect("32 digits")
}

fn secret_object(value: &[u8]) -> SecretObject {
    let value = SecretBytes::new(value.to_vec());
    SecretObject {
        value,
        content_type: None,
        version: version(),
        attributes: attributes(),
    }
}

fn secret(value: impl AsRef<[u8]>) -> VaultObject {
    VaultObject::Secret(secret_object(value.as_ref()))
}

/// The certificate of the test vectors, with `private` as the secret behind it.
fn certificate(exportable: Option<bool>, private: Option<&[u8]>) -> VaultObject {
    VaultObject::Certificate(CertificateObject {
        cer: testdata::der("keys/rsa2048.crt.pem"),
        exportable,
        version: version(),
        attributes: attributes(),
        secret: private.map(secret_object),
    })
}

fn rsa_key() -> VaultObject {
    VaultObject::Key(KeyObject {
        kty: "RSA".to_owned(),
        crv: None,
        n: Some(testdata::bytes("keys/rsa2048.n.bin")),
        e: Some(vec![1, 0, 1]),
        x: None,
        y: None,
        kid: None,
        operations: Vec::new(),
        version: version(),
        attributes: attributes(),
    })
}

fn vault_pfx() -> Vec<u8> {
    STANDARD.encode(testdata::bytes("pfx/legacy-vault.pfx")).into_bytes()
}

fn output(secret_type: Option<&str>, data_key: Option<&str>) -> SecretOutput {
    SecretOutput {
        secret_type: secret_type.map(str::to_owned),
        data_key: data_key.map(str::to_owned),
        server_first: false,
        key_format: None,
    }
}

fn config_map(data_key: Option<&str>) -> ConfigMapOutput {
    ConfigMapOutput {
        data_key: data_key.map(str::to_owned),
        key_format: None,
    }
}

fn plain(data: SecretData) -> BTreeMap<String, Vec<u8>> {
    data.into_iter()
        .map(|(key, value)| (key, value.expose().to_vec()))
        .collect()
}

fn expected(pairs: &[(&str, &[u8])]) -> BTreeMap<String, Vec<u8>> {
    pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), value.to_vec()))
        .collect()
}

#[track_caller]
fn writes(source: SourceType, output: &SecretOutput, object: &VaultObject, pairs: &[(&str, &[u8])]) {
    let data = secret_data(source, &[], output, object, NAME).map(plain);
    assert_eq!(data, Ok(expected(pairs)), "{source:?} as {:?}", output.secret_type);
}

#[track_caller]
fn refuses(source: SourceType, output: &SecretOutput, object: &VaultObject, code: Code) {
    let diagnosis = secret_data(source, &[], output, object, NAME)
        .map(plain)
        .expect_err("refused");
    assert_eq!(diagnosis.code, code);
    assert!(diagnosis.what.contains(NAME), "{}", diagnosis.what);
}
