//! Certificates and keys, and the change marks of their lists.

use akv2k8s_shared::diagnosis::Code;
use akv2k8s_shared::keyvault::changes::{Change, Listings, compare};
use akv2k8s_shared::keyvault::model::VaultObject;
use akv2k8s_shared::keyvault::{Collection, Fetched};
use akv2k8s_shared::reference::{ObjectKind, ObjectName};
use akv2k8s_testbed::emulator::crypto::{Curve, KeyType};
use akv2k8s_testbed::emulator::{AttributeChange, CertificatePolicy, Kind, Operation, Policy, SecretOptions};

use crate::bed::{Bed, assert_code, object, pinned};

fn policy(exportable: bool) -> CertificatePolicy {
    let mut policy = CertificatePolicy::default();
    policy.key_props.kty = "EC".into();
    policy.key_props.crv = Some("P-256".into());
    policy.key_props.exportable = exportable;
    policy.x509_props.subject = "CN=app.example".into();
    policy
}

fn certificate(fetched: &Fetched) -> &akv2k8s_shared::keyvault::model::CertificateObject {
    match &fetched.object {
        VaultObject::Certificate(certificate) => certificate,
        _ => panic!("not a certificate"),
    }
}

#[tokio::test]
async fn a_certificate_comes_with_its_key_only_when_asked_for() {
    let bed = Bed::start().await;
    let version = bed.vault.create_certificate("c", &policy(true)).unwrap();
    let public = bed.get(&object("kv1", ObjectKind::Certificate, "c")).await.unwrap();
    assert!(certificate(&public).secret.is_none());
    assert_eq!(certificate(&public).exportable, Some(true));
    assert_eq!(certificate(&public).version.as_str(), version);
    assert_eq!(bed.emulator.journal().counts().of(Operation::SECRET_GET), 0);

    let whole = object("kv1", ObjectKind::CertificateWithKey, "c");
    for object in [whole.clone(), pinned(&whole, &version)] {
        let whole = bed.get(&object).await.unwrap();
        let secret = certificate(&whole).secret.as_ref().unwrap();
        assert_eq!(secret.version, certificate(&whole).version);
        assert!(!secret.value.is_empty());
        assert_eq!(certificate(&whole).cer, certificate(&public).cer);
    }
}

#[tokio::test]
async fn a_key_that_must_not_leave_the_vault_is_not_asked_for() {
    let bed = Bed::start().await;
    bed.vault.create_certificate("c", &policy(false)).unwrap();
    let error = bed
        .get(&object("kv1", ObjectKind::CertificateWithKey, "c"))
        .await
        .err()
        .unwrap();
    assert_code(&error, Code::NotExportable);
    assert_eq!(bed.emulator.journal().counts().of(Operation::SECRET_GET), 0);
    assert!(bed.get(&object("kv1", ObjectKind::Certificate, "c")).await.is_ok());
}

#[tokio::test]
async fn the_right_that_a_private_key_takes_besides_is_named() {
    let bed = Bed::start().await;
    bed.vault.create_certificate("c", &policy(true)).unwrap();
    let only_certificates = Policy {
        certificates: vec!["get".to_owned()],
        ..Policy::default()
    };
    bed.vault.set_policy(bed.app.principal(), only_certificates);
    let error = bed
        .get(&object("kv1", ObjectKind::CertificateWithKey, "c"))
        .await
        .err()
        .unwrap();
    assert_code(&error, Code::WrongPermissionKind);
    assert!(error.diagnosis.cause.contains("secrets/get"), "{error}");
    assert!(bed.get(&object("kv1", ObjectKind::Certificate, "c")).await.is_ok());
}

#[tokio::test]
async fn a_missing_certificate_or_key_is_named_by_its_kind() {
    let bed = Bed::start().await;
    for (kind, word) in [(ObjectKind::Certificate, "certificate"), (ObjectKind::Key, "key")] {
        let error = bed.get(&object("kv1", kind, "none")).await.err().unwrap();
        assert_code(&error, Code::ObjectNotFound);
        assert!(
            error.diagnosis.fix.starts_with(&format!("az keyvault {word} list")),
            "{error}"
        );
    }
}

#[tokio::test]
async fn public_keys_of_every_kind_are_read() {
    let bed = Bed::start().await;
    for (name, kind, kty, crv) in [
        ("rsa", KeyType::Rsa(2048), "RSA", None),
        ("ec", KeyType::Ec(Curve::P256), "EC", Some("P-256")),
        ("ec3", KeyType::Ec(Curve::P384), "EC", Some("P-384")),
        ("ec5", KeyType::Ec(Curve::P521), "EC", Some("P-521")),
    ] {
        let version = bed.vault.create_key(name, kind).unwrap();
        let fetched = bed.get(&object("kv1", ObjectKind::Key, name)).await.unwrap();
        let VaultObject::Key(key) = &fetched.object else {
            panic!("not a key");
        };
        assert_eq!((key.kty.as_str(), key.crv.as_deref()), (kty, crv));
        assert_eq!(key.version.as_str(), version);
        assert_eq!(key.n.is_some(), kty == "RSA");
        assert_eq!(key.x.is_some(), kty == "EC");
    }
}

#[tokio::test]
async fn each_kind_has_one_mark_in_get_and_list() {
    let bed = Bed::start().await;
    // Long ago, by the clock that the marks are judged by.
    bed.emulator.clock().set_offset(-3600);
    bed.vault.create_certificate("c", &policy(true)).unwrap();
    bed.vault.create_key("k", KeyType::Ec(Curve::P256)).unwrap();
    bed.vault
        .set_secret("s", "v", SecretOptions::content_type("text/plain"))
        .unwrap();
    bed.emulator.clock().set_offset(0);

    let [secrets, certificates, keys] =
        [Collection::Secrets, Collection::Certificates, Collection::Keys].map(|collection| bed.list(collection));
    let (secrets, certificates, keys) = tokio::join!(secrets, certificates, keys);
    let (secrets, certificates, keys) = (secrets.unwrap(), certificates.unwrap(), keys.unwrap());
    let listings = Listings {
        secrets: Some(&secrets),
        certificates: Some(&certificates),
        keys: Some(&keys),
    };
    let objects = [
        (ObjectKind::Secret, "s"),
        (ObjectKind::Certificate, "c"),
        (ObjectKind::CertificateWithKey, "c"),
        (ObjectKind::Key, "k"),
    ];
    for (kind, name) in objects {
        let fetched = bed.get(&object("kv1", kind, name)).await.unwrap();
        assert!(fetched.settled, "{kind:?}");
        let name = ObjectName::parse(name).unwrap();
        let change = compare(kind, &name, Some(&fetched.fingerprint), listings);
        assert_eq!(change, Change::Unchanged, "{kind:?}");
    }

    let certificate = object("kv1", ObjectKind::CertificateWithKey, "c");
    let before = bed.get(&certificate).await.unwrap().fingerprint.clone();
    let expires = AttributeChange {
        enabled: Some(false),
        ..AttributeChange::default()
    };
    bed.vault.change(Kind::Certificate, "c", None, &expires).unwrap();
    let certificates = bed.list(Collection::Certificates).await.unwrap();
    let listings = Listings {
        certificates: Some(&certificates),
        ..listings
    };
    let change = compare(certificate.kind, &certificate.name, Some(&before), listings);
    assert_eq!(change, Change::Changed, "one list of the two is enough");
}
