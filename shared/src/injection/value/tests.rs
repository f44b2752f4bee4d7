//! Every object and query, with values that openssl made.

use base64::engine::general_purpose::STANDARD;

use super::*;
use crate::diagnosis::Code;
use crate::keyvault::model::Attributes;
use crate::object::Transform;
use crate::object::testdata::{bytes, der, text};
use crate::reference::{ObjectKind, ObjectName, ObjectRef, VaultName};

const ATTRIBUTES: Attributes = Attributes {
    enabled: true,
    created: None,
    updated: None,
    expires: None,
    not_before: None,
};

fn version() -> ObjectVersion {
    ObjectVersion::parse("0123456789abcdef0123456789abcdef").expect("32 digits")
}

fn source(form: Form, kind: ObjectKind) -> Source {
    let object = ObjectRef {
        vault: VaultName::parse("my-vault").expect("a name"),
        kind,
        name: ObjectName::parse("thing").expect("a name"),
        version: None,
    };
    Source {
        form,
        ..Source::direct(object)
    }
}

fn secret(value: &str, content_type: Option<&str>) -> SecretObject {
    SecretObject {
        value: SecretBytes::from(value),
        content_type: content_type.map(str::to_owned),
        version: version(),
        attributes: ATTRIBUTES,
    }
}

fn of(source: &Source, query: &str, object: &VaultObject) -> Result<String, Code> {
    assert_eq!(query.is_empty(), Query::parse(query).is_none(), "{query}");
    let text = |value: SecretBytes| String::from_utf8(value.expose().to_vec()).expect("text");
    value(source, Query::parse(query).as_ref(), object)
        .map(text)
        .map_err(|diagnosis| diagnosis.code)
}

fn of_secret(form: Form, value: &str, query: &str) -> Result<String, Code> {
    let object = VaultObject::Secret(secret(value, None));
    of(&source(form, ObjectKind::Secret), query, &object)
}

#[test]
fn a_secret_is_its_value_or_a_part_of_basic_auth() {
    for (value, query, expected) in [
        ("v", "", Ok("v")),
        ("", "", Ok("")),
        ("me:se:cret", "username", Ok("me")),
        ("me:se:cret", "password", Ok("se:cret")),
        ("nothing", "password", Err(Code::ValueMalformed)),
        (r#"{"a":"b"}"#, "a", Err(Code::QueryInvalid)),
    ] {
        assert_eq!(
            of_secret(Form::Secret, value, query),
            expected.map(str::to_owned),
            "{value} {query}"
        );
    }
}

#[test]
fn transforms_come_before_the_query() {
    let source = Source {
        transforms: vec![Transform::Trim, Transform::Base64Decode],
        ..source(Form::Secret, ObjectKind::Secret)
    };
    let object = VaultObject::Secret(secret(" bWU6YTpi \n", None));
    assert_eq!(of(&source, "", &object).as_deref(), Ok("me:a:b"));
    assert_eq!(of(&source, "password", &object).as_deref(), Ok("a:b"));
}

#[test]
fn a_multi_key_value_gives_one_of_its_values_and_nothing_without_a_key() {
    for (format, value) in [
        (MultiKeyFormat::Json, r#"{"a-b":"1","x":{"y":"deep"},"x.z":"top"}"#),
        (MultiKeyFormat::Yaml, "a-b: 1\nx: {y: deep}\nx.z: top"),
    ] {
        let form = Form::MultiKeyValue(format);
        for (query, expected) in [
            ("a-b", Ok("1")),
            ("x.y", Ok("deep")),
            ("x.z", Ok("top")),
            ("x", Err(Code::ValueMalformed)),
            ("none", Err(Code::QueryInvalid)),
            ("", Err(Code::QueryInvalid)),
        ] {
            assert_eq!(
                of_secret(form, value, query),
                expected.map(str::to_owned),
                "{format:?} {query}"
            );
        }
    }
}

#[test]
fn a_direct_reference_to_a_secret_goes_by_content_type_or_looks() {
    let source = source(Form::AnySecret, ObjectKind::Secret);
    for (value, content_type, query, expected) in [
        (r#"{"a":"1"}"#, None, "", Ok(r#"{"a":"1"}"#)),
        (r#"{"a":"1"}"#, None, "a", Ok("1")),
        (r#"{"username":"me"}"#, None, "username", Ok("me")),
        ("me:secret", None, "username", Ok("me")),
        ("a: 1", Some("application/x-yaml"), "a", Ok("1")),
        (r#"{"a":"1"}"#, Some("application/JSON; charset=utf-8"), "a", Ok("1")),
        ("a: 1", None, "a", Err(Code::QueryInvalid)),
        (
            "me:secret",
            Some("application/json"),
            "username",
            Err(Code::ValueMalformed),
        ),
    ] {
        let object = VaultObject::Secret(secret(value, content_type));
        assert_eq!(
            of(&source, query, &object),
            expected.map(str::to_owned),
            "{value} {query}"
        );
    }
}

fn certificate(pfx: Option<&str>) -> VaultObject {
    VaultObject::Certificate(CertificateObject {
        cer: der("chain/leaf.pem"),
        exportable: Some(pfx.is_some()),
        version: version(),
        attributes: ATTRIBUTES,
        secret: pfx.map(|path| secret(&STANDARD.encode(bytes(path)), None)),
    })
}

#[test]
fn a_certificate_gives_itself_its_chain_or_its_key() {
    let source = source(Form::Certificate, ObjectKind::Certificate);
    let leaf = text("chain/leaf.pem");
    let chain = leaf.clone() + &text("chain/intermediate.pem") + &text("chain/root.pem");
    // However the file is ordered, the certificate itself comes first.
    for pfx in ["pfx/chain-lir.pfx", "pfx/chain-ril.pfx"] {
        let object = certificate(Some(pfx));
        assert_eq!(of(&source, "", &object).as_ref(), Ok(&leaf), "{pfx}");
        assert_eq!(of(&source, "tls.crt", &object).as_ref(), Ok(&chain), "{pfx}");
        let key = of(&source, "tls.key", &object).unwrap();
        assert!(key.starts_with("-----BEGIN ") && key.contains("PRIVATE KEY"), "{pfx}");
        let secret_with_pfx = STANDARD.encode(bytes(pfx));
        assert_eq!(
            of_secret(Form::Secret, &secret_with_pfx, "tls.crt"),
            Ok(chain.clone()),
            "{pfx}"
        );
        assert_eq!(of_secret(Form::Secret, &secret_with_pfx, "tls.key"), Ok(key), "{pfx}");
    }
    let public = certificate(None);
    assert_eq!(of(&source, "tls.crt", &public), Ok(leaf), "its chain is not to be had");
    assert_eq!(of(&source, "raw", &public), Ok(STANDARD.encode(der("chain/leaf.pem"))));
    assert_eq!(of(&source, "tls.key", &public), Err(Code::NotExportable));
    assert_eq!(of(&source, "tls.pem", &public), Err(Code::QueryInvalid));
}

#[test]
fn a_key_is_text_in_every_form() {
    let n = bytes("keys/rsa2048.n.bin");
    let object = VaultObject::Key(KeyObject {
        kty: "RSA".to_owned(),
        crv: None,
        n: Some(n.clone()),
        e: Some(vec![1, 0, 1]),
        x: None,
        y: None,
        kid: None,
        operations: Vec::new(),
        version: version(),
        attributes: ATTRIBUTES,
    });
    let plain = source(Form::Key, ObjectKind::Key);
    let (pem, jwk) = (text("keys/rsa2048.spki.pem"), text("keys/rsa2048.jwk.json"));
    let modulus = URL_SAFE_NO_PAD.encode(n);
    for (query, expected) in [
        ("", &pem),
        ("pem", &pem),
        ("jwk", &jwk),
        ("raw", &modulus),
        ("n", &modulus),
    ] {
        assert_eq!(of(&plain, query, &object).as_ref(), Ok(expected), "{query}");
    }
    assert_eq!(of(&plain, "e", &object), Err(Code::QueryInvalid));
    for (format, expected) in [(KeyFormat::Jwk, jwk), (KeyFormat::Raw, modulus)] {
        let source = Source {
            key_format: Some(format),
            ..plain.clone()
        };
        assert_eq!(of(&source, "", &object), Ok(expected), "{format:?}");
    }
}

#[test]
fn no_message_holds_a_byte_of_the_value() {
    for (form, query) in [
        (Form::Secret, "password"),
        (Form::Secret, "tls.key"),
        (Form::Secret, "other"),
        (Form::MultiKeyValue(MultiKeyFormat::Json), "a"),
        (Form::MultiKeyValue(MultiKeyFormat::Yaml), "a"),
    ] {
        let object = VaultObject::Secret(secret("canary", None));
        let source = source(form, ObjectKind::Secret);
        let diagnosis = value(&source, Query::parse(query).as_ref(), &object)
            .err()
            .expect(query);
        assert!(!format!("{diagnosis:?} {diagnosis}").contains("canary"), "{diagnosis}");
        assert!(
            diagnosis.what.contains("secret 'thing' in vault 'my-vault'"),
            "{diagnosis}"
        );
    }
}
