//! What each object type and Secret type writes.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::*;
use crate::keyvault::model::Attributes;
use crate::object::MultiKeyFormat::{Json, Yaml};
use crate::object::{needs_private_key, testdata};
use crate::reference::ObjectVersion;

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

#[test]
fn a_secret_becomes_the_keys_its_type_demands() {
    use SourceType::Secret;
    for secret_type in [
        None,
        Some("Opaque"),
        Some("example.com/mine"),
        Some("kubernetes.io/TLS"),
    ] {
        writes(
            Secret,
            &output(secret_type, Some("k")),
            &secret(" a:b\n"),
            &[("k", b" a:b\n")],
        );
    }
    let user: &[(&str, &[u8])] = &[("username", b"me"), ("password", b"p:w")];
    writes(
        Secret,
        &output(Some("kubernetes.io/basic-auth"), None),
        &secret("me:p:w"),
        user,
    );
    let config = br#"{"auths":{}}"#;
    writes(
        Secret,
        &output(Some("kubernetes.io/dockerconfigjson"), None),
        &secret(config),
        &[(".dockerconfigjson", config)],
    );
    writes(
        Secret,
        &output(Some("kubernetes.io/dockercfg"), None),
        &secret(config),
        &[(".dockercfg", config)],
    );
    writes(
        Secret,
        &output(Some("kubernetes.io/ssh-auth"), None),
        &secret("key\n"),
        &[("ssh-privatekey", b"key\n")],
    );
}

#[test]
fn an_empty_secret_is_written_as_an_empty_value() {
    writes(SourceType::Secret, &output(None, Some("k")), &secret(""), &[("k", b"")]);
}

#[test]
fn pfx_and_pem_in_a_secret_or_behind_a_certificate_become_tls() {
    let tls = output(Some("kubernetes.io/tls"), None);
    let (crt, key) = (
        testdata::bytes("keys/rsa2048.crt.pem"),
        testdata::bytes("keys/rsa2048.key.pem"),
    );
    let pairs: &[(&str, &[u8])] = &[("tls.crt", &crt), ("tls.key", &key)];
    for stored in [vault_pfx(), testdata::bytes("pem/pkcs8.pem")] {
        writes(SourceType::Secret, &tls, &secret(&stored), pairs);
        // What the content type says does not matter; see `Stored`.
        for content_type in [
            None,
            Some("application/x-pkcs12"),
            Some("Application/X-PEM-File"),
            Some("other"),
        ] {
            let mut object = certificate(Some(true), Some(&stored));
            if let VaultObject::Certificate(CertificateObject {
                secret: Some(secret), ..
            }) = &mut object
            {
                secret.content_type = content_type.map(str::to_owned);
            }
            writes(SourceType::Certificate, &tls, &object, pairs);
        }
    }
}

#[test]
fn chain_order_reaches_tls_of_both_sources() {
    let tls = SecretOutput {
        server_first: true,
        ..output(Some("kubernetes.io/tls"), None)
    };
    let stored = testdata::bytes("pem/chain-mixed.pem");
    let (crt, key) = (
        testdata::bytes("pfx/chain-lir.crt.pem"),
        testdata::text("chain/leaf.key"),
    );
    for (source, object) in [
        (SourceType::Secret, secret(&stored)),
        (SourceType::Certificate, certificate(None, Some(&stored))),
    ] {
        let data = secret_data(source, &[], &tls, &object, NAME)
            .map(plain)
            .expect("usable");
        assert_eq!(data["tls.crt"], crt);
        assert!(
            data["tls.key"].starts_with(b"-----BEGIN EC PRIVATE KEY-----\n"),
            "re-encoded from {key}"
        );
    }
}

#[test]
fn a_certificate_is_public_unless_its_type_is_tls_or_opaque_by_name() {
    let crt = testdata::bytes("keys/rsa2048.crt.pem");
    for secret_type in [None, Some("example.com/mine"), Some("")] {
        let public = output(secret_type, Some("k"));
        assert!(!needs_private_key(SourceType::Certificate, &public));
        writes(
            SourceType::Certificate,
            &public,
            &certificate(Some(false), None),
            &[("k", &crt)],
        );
    }
    let raw = output(Some("Opaque"), Some("k"));
    assert!(needs_private_key(SourceType::Certificate, &raw));
    let (pfx, pem) = (
        testdata::bytes("pfx/legacy-vault.pfx"),
        testdata::bytes("pem/pkcs8.pem"),
    );
    writes(
        SourceType::Certificate,
        &raw,
        &certificate(Some(true), Some(&vault_pfx())),
        &[("k", &pfx)],
    );
    writes(
        SourceType::Certificate,
        &raw,
        &certificate(None, Some(&pem)),
        &[("k", &pem)],
    );
}

#[test]
fn a_key_that_may_not_leave_the_vault_is_refused_before_its_secret_is_read() {
    for output in [
        output(Some("kubernetes.io/tls"), None),
        output(Some("Opaque"), Some("k")),
    ] {
        refuses(
            SourceType::Certificate,
            &output,
            &certificate(Some(false), None),
            Code::NotExportable,
        );
        refuses(
            SourceType::Certificate,
            &output,
            &certificate(Some(false), Some(&vault_pfx())),
            Code::NotExportable,
        );
        refuses(
            SourceType::Certificate,
            &output,
            &certificate(None, None),
            Code::NotExportable,
        );
    }
}

#[test]
fn a_key_is_written_in_the_format_asked_for() {
    let modulus = testdata::bytes("keys/rsa2048.n.bin");
    writes(
        SourceType::Key,
        &output(None, Some("k")),
        &rsa_key(),
        &[("k", &modulus)],
    );
    let pem = SecretOutput {
        key_format: Some(KeyFormat::Pem),
        ..output(Some("Opaque"), Some("k"))
    };
    writes(
        SourceType::Key,
        &pem,
        &rsa_key(),
        &[("k", &testdata::bytes("keys/rsa2048.spki.pem"))],
    );
}

#[test]
fn every_pair_of_a_multi_key_secret_is_written_whatever_the_type_and_data_key() {
    let pairs: &[(&str, &[u8])] = &[("a", b"1"), ("b", b"x y")];
    for output in [output(None, None), output(Some("kubernetes.io/tls"), Some("ignored"))] {
        writes(
            SourceType::MultiKeyValue(Json),
            &output,
            &secret(r#"{"a":"1","b":"x y"}"#),
            pairs,
        );
        writes(SourceType::MultiKeyValue(Yaml), &output, &secret("a: 1\nb: x y"), pairs);
    }
    let transforms = [Transform::Base64Encode];
    let data = secret_data(
        SourceType::MultiKeyValue(Json),
        &transforms,
        &output(None, None),
        &secret(r#"{"a":" "}"#),
        NAME,
    );
    assert_eq!(
        data.map(plain),
        Ok(expected(&[("a", b" ")])),
        "transforms are for type secret only"
    );
}

#[test]
fn transforms_come_before_the_secret_type() {
    let transforms = [Transform::Trim, Transform::Base64Decode];
    let basic = output(Some("kubernetes.io/basic-auth"), None);
    let data = secret_data(SourceType::Secret, &transforms, &basic, &secret(" bWU6cHc= "), NAME);
    assert_eq!(
        data.map(plain),
        Ok(expected(&[("username", b"me"), ("password", b"pw")]))
    );
    let tls = output(Some("kubernetes.io/tls"), None);
    let data = secret_data(
        SourceType::Secret,
        &[Transform::Base64Decode],
        &tls,
        &secret(vault_pfx()),
        NAME,
    );
    assert_eq!(
        data.map(plain).expect("DER")["tls.crt"],
        testdata::bytes("keys/rsa2048.crt.pem")
    );
}

#[test]
fn a_missing_data_key_is_named_wherever_one_is_needed() {
    for (source, object) in [
        (SourceType::Secret, secret("x")),
        (SourceType::Certificate, certificate(Some(true), None)),
        (SourceType::Key, rsa_key()),
    ] {
        refuses(source, &output(None, None), &object, Code::DataKeyMissing);
        let diagnosis = config_map_data(source, &[], &config_map(None), &object, NAME)
            .err()
            .expect("refused");
        assert_eq!(diagnosis.code, Code::DataKeyMissing);
    }
    refuses(
        SourceType::Certificate,
        &output(Some("Opaque"), None),
        &certificate(None, Some(&vault_pfx())),
        Code::DataKeyMissing,
    );
}

#[test]
fn what_the_api_server_would_refuse_is_refused_here() {
    refuses(
        SourceType::MultiKeyValue(Json),
        &output(None, None),
        &secret(r#"{"a b":"x"}"#),
        Code::DataKeyInvalid,
    );
    refuses(
        SourceType::Secret,
        &output(None, Some("a/b")),
        &secret("x"),
        Code::DataKeyInvalid,
    );
    let full = vec![b'x'; limits::MAX_DATA];
    writes(
        SourceType::Secret,
        &output(None, Some("k")),
        &secret(&full),
        &[("k", &full)],
    );
    let over = vec![b'x'; limits::MAX_DATA + 1];
    refuses(
        SourceType::Secret,
        &output(None, Some("k")),
        &secret(&over),
        Code::ValueTooLarge,
    );
    let huge = vec![b'x'; limits::MAX_VALUE + 1];
    for source in [
        SourceType::Secret,
        SourceType::MultiKeyValue(Json),
        SourceType::MultiKeyValue(Yaml),
    ] {
        refuses(source, &output(None, Some("k")), &secret(&huge), Code::ValueTooLarge);
    }
    let tls = output(Some("kubernetes.io/tls"), None);
    refuses(
        SourceType::Certificate,
        &tls,
        &certificate(None, Some(&huge)),
        Code::ValueTooLarge,
    );
}

#[test]
fn an_object_of_another_kind_is_refused() {
    refuses(
        SourceType::Key,
        &output(None, Some("k")),
        &secret("x"),
        Code::VaultResponseInvalid,
    );
    refuses(
        SourceType::Secret,
        &output(None, Some("k")),
        &rsa_key(),
        Code::VaultResponseInvalid,
    );
}

/// A ConfigMap's text and binary pairs.
type Pairs = BTreeMap<String, Vec<u8>>;

fn config_map_pairs(source: SourceType, transforms: &[Transform], object: &VaultObject) -> (Pairs, Pairs) {
    let written = config_map_data(source, transforms, &config_map(Some("k")), object, NAME).expect("usable");
    (plain(written.data), plain(written.binary_data))
}

#[test]
fn a_config_map_holds_text_as_data_and_all_else_as_binary_data() {
    let nothing = Pairs::new;
    let decode = [Transform::Base64Decode];
    let text = |pairs: &[(&str, &[u8])]| (expected(pairs), nothing());
    let binary = |pairs: &[(&str, &[u8])]| (nothing(), expected(pairs));
    assert_eq!(
        config_map_pairs(SourceType::Secret, &[], &secret("ä")),
        text(&[("k", "ä".as_bytes())])
    );
    assert_eq!(
        config_map_pairs(SourceType::Secret, &decode, &secret("/+8=")),
        binary(&[("k", b"\xff\xef")])
    );
    assert_eq!(
        config_map_pairs(SourceType::Secret, &[], &secret("a\0b")),
        binary(&[("k", b"a\0b")])
    );
    let crt = testdata::bytes("keys/rsa2048.crt.pem");
    assert_eq!(
        config_map_pairs(SourceType::Certificate, &[], &certificate(Some(false), None)),
        text(&[("k", &crt)])
    );
    let modulus = testdata::bytes("keys/rsa2048.n.bin");
    assert_eq!(
        config_map_pairs(SourceType::Key, &[], &rsa_key()),
        binary(&[("k", &modulus)])
    );
    let multi = secret(r#"{"a":"1","b":"\u0000"}"#);
    let mixed = (expected(&[("a", b"1")]), expected(&[("b", b"\0")]));
    assert_eq!(config_map_pairs(SourceType::MultiKeyValue(Json), &[], &multi), mixed);
}

#[test]
fn messages_never_hold_a_value() {
    let canary = "canary-5up3r";
    let sources = [
        SourceType::Secret,
        SourceType::MultiKeyValue(Json),
        SourceType::MultiKeyValue(Yaml),
    ];
    let types = [
        None,
        Some("kubernetes.io/basic-auth"),
        Some("kubernetes.io/dockerconfigjson"),
        Some("kubernetes.io/dockercfg"),
        Some("kubernetes.io/tls"),
    ];
    for (source, secret_type) in sources
        .into_iter()
        .flat_map(|source| types.map(|secret_type| (source, secret_type)))
    {
        let transforms: &[Transform] = if secret_type.is_none() {
            &[Transform::Base64Decode]
        } else {
            &[]
        };
        let diagnosis = secret_data(
            source,
            transforms,
            &output(secret_type, Some("k")),
            &secret(canary),
            NAME,
        )
        .map(plain);
        assert!(!diagnosis.expect_err("nothing accepts it").to_string().contains(canary));
    }
}
