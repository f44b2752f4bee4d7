//! Certificates and keys.

use super::*;

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
