//! Files made by openssl, and what openssl itself makes of them.

use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;

use super::*;
use crate::diagnosis::Code;
use crate::object::testdata::{bytes, text};

fn pair(value: &[u8], server_first: bool) -> Result<(String, String), Explanation> {
    let text = |bytes: SecretBytes| bytes.expose_str().expect("PEM").to_owned();
    let pair = key_pair(&SecretBytes::new(value.to_vec()), server_first)?;
    Ok((text(pair.certificates), text(pair.key)))
}

/// The base64 a vault gives out for a PFX.
fn base64_of(path: &str) -> String {
    STANDARD.encode(bytes(path))
}

fn code(value: &[u8]) -> Code {
    pair(value, false).expect_err("unusable").code
}

#[test]
fn a_pfx_of_every_encryption_opens_without_a_password() {
    let names = [
        "modern",
        "modern-sha384",
        "modern-sha512",
        "modern-unknown-mac",
        "aes128",
        "aes192",
        "pbes2-3des",
        "names",
        "without-mac",
        "plain",
        "plain-without-mac",
        "legacy",
        "legacy-vault",
        "legacy-rc2-128",
        "legacy-2des",
        "legacy-without-mac",
        "no-password-modern",
        "no-password-legacy",
    ];
    for name in names {
        let expected = (text(&format!("pfx/{name}.crt.pem")), text("keys/rsa2048.key.pem"));
        assert_eq!(
            pair(base64_of(&format!("pfx/{name}.pfx")).as_bytes(), false),
            Ok(expected),
            "{name}"
        );
    }
}

#[test]
fn keys_of_every_kind_are_written_as_openssl_writes_their_traditional_form() {
    for name in ["rsa2048", "rsa3072", "p256", "p384", "p521", "p256k", "ed25519"] {
        let certificate = text(&format!("keys/{name}.crt.pem"));
        let expected = (certificate.clone(), text(&format!("keys/{name}.key.pem")));
        for form in ["pkcs8", "key"] {
            let stored = text(&format!("keys/{name}.{form}.pem")) + &certificate;
            assert_eq!(
                pair(stored.as_bytes(), false),
                Ok(expected.clone()),
                "{name} from {form}"
            );
        }
        if !name.starts_with("rsa") {
            assert_eq!(
                pair(base64_of(&format!("pfx/{name}.pfx")).as_bytes(), false),
                Ok(expected),
                "{name} from PFX"
            );
        }
    }
}

#[test]
fn an_ec_key_without_its_public_part_is_completed() {
    for name in ["p256", "p384", "p521", "p256k"] {
        let stored = text(&format!("keys/{name}.no-public.pem")) + &text(&format!("keys/{name}.crt.pem"));
        assert_eq!(
            pair(stored.as_bytes(), false).expect("usable").1,
            text(&format!("keys/{name}.key.pem")),
            "{name}"
        );
    }
}

#[test]
fn a_pfx_may_be_wrapped_base64_or_plain_der() {
    let expected = Ok((text("pfx/modern.crt.pem"), text("keys/rsa2048.key.pem")));
    let encoded = base64_of("pfx/modern.pfx");
    let lines: Vec<_> = encoded.as_bytes().chunks(76).map(String::from_utf8_lossy).collect();
    let wrapped = lines.join("\r\n");
    assert_eq!(pair(wrapped.as_bytes(), false), expected);
    assert_eq!(pair(format!(" {wrapped} \n").as_bytes(), false), expected);
    assert_eq!(pair(&bytes("pfx/modern.pfx"), false), expected);
}

#[test]
fn pem_is_read_with_any_line_ending_label_and_text_around() {
    for name in [
        "pkcs8",
        "pkcs1",
        "crlf",
        "bag-attributes",
        "text-around",
        "several-keys",
    ] {
        let expected = (text("keys/rsa2048.crt.pem"), text("keys/rsa2048.key.pem"));
        assert_eq!(pair(&bytes(&format!("pem/{name}.pem")), false), Ok(expected), "{name}");
    }
    let expected = (text("keys/p256.crt.pem"), text("keys/p256.key.pem"));
    assert_eq!(pair(&bytes("pem/sec1-with-parameters.pem"), false), Ok(expected));
}

#[test]
fn without_chain_order_certificates_stay_as_stored() {
    for order in ["ril", "rli", "irl", "ilr", "lri", "lir", "ilrli"] {
        let written = pair(base64_of(&format!("pfx/chain-{order}.pfx")).as_bytes(), false)
            .expect("usable")
            .0;
        assert_eq!(written, text(&format!("pfx/chain-{order}.crt.pem")), "{order}");
    }
    let written = pair(&bytes("pem/chain-mixed.pem"), false).expect("usable").0;
    assert_eq!(written, text("pfx/chain-rli.crt.pem"));
}

#[test]
fn with_chain_order_the_leaf_comes_first_from_pfx_and_pem_in_every_stored_order() {
    let expected = text("pfx/chain-lir.crt.pem");
    for order in ["ril", "rli", "irl", "ilr", "lri", "lir", "ilrli"] {
        let file = format!("pfx/chain-{order}");
        let written = pair(base64_of(&format!("{file}.pfx")).as_bytes(), true)
            .expect("usable")
            .0;
        assert_eq!(written, expected, "{order} as PFX");
        let pem = text("chain/leaf.key") + &text(&format!("{file}.crt.pem"));
        assert_eq!(
            pair(pem.as_bytes(), true).expect("usable").0,
            expected,
            "{order} as PEM"
        );
    }
}

#[test]
fn a_single_certificate_needs_no_order() {
    let expected = pair(base64_of("pfx/modern.pfx").as_bytes(), false);
    assert_eq!(pair(base64_of("pfx/modern.pfx").as_bytes(), true), expected);
}

#[test]
fn a_password_is_named_as_the_reason() {
    for name in ["password", "password-legacy", "password-without-mac"] {
        assert_eq!(
            code(base64_of(&format!("pfx/{name}.pfx")).as_bytes()),
            Code::CertificatePasswordProtected,
            "{name}"
        );
    }
    for name in ["encrypted-pkcs8", "encrypted-pkcs1"] {
        let problem = pair(&bytes(&format!("pem/{name}.pem")), false).expect_err(name);
        assert_eq!(problem.code, Code::CertificatePasswordProtected);
        assert!(problem.fix.contains("openssl pkey"), "{}", problem.fix);
    }
}

#[test]
fn a_missing_half_is_named() {
    for (value, missing) in [
        (base64_of("pfx/key-only.pfx").into_bytes(), "no certificate"),
        (bytes("pem/key-only.pem"), "no certificate"),
        (base64_of("pfx/certificate-only.pfx").into_bytes(), "no private key"),
        (bytes("pem/certificate-only.pem"), "no private key"),
    ] {
        let problem = pair(&value, false).expect_err(missing);
        assert_eq!(problem.code, Code::CertificateUnreadable);
        assert!(problem.cause.contains(missing), "{}", problem.cause);
    }
}

#[test]
fn a_key_and_a_certificate_that_do_not_belong_together_are_refused() {
    let kinds = ["rsa2048", "rsa3072", "p256", "p384", "p256k", "ed25519"];
    for (key, certificate) in kinds.iter().zip(kinds.iter().cycle().skip(1)) {
        let stored = text(&format!("keys/{key}.key.pem")) + &text(&format!("keys/{certificate}.crt.pem"));
        for server_first in [false, true] {
            let problem = pair(stored.as_bytes(), server_first).expect_err("no server loads it");
            assert_eq!(problem.code, Code::CertificateUnreadable, "{key} with {certificate}");
            assert!(
                problem.cause.contains("belongs to its private key"),
                "{}",
                problem.cause
            );
        }
    }
    let chain = text("keys/rsa2048.key.pem") + &text("pfx/chain-ril.crt.pem");
    assert_eq!(code(chain.as_bytes()), Code::CertificateUnreadable);
}

#[test]
fn where_it_cannot_be_told_whether_they_belong_together_they_are_written() {
    // A certificate that is well-formed DER, and nothing of this reader's knowledge.
    let opaque = "-----BEGIN CERTIFICATE-----\nMAMCAQE=\n-----END CERTIFICATE-----\n";
    let stored = text("keys/p256.key.pem") + opaque;
    assert!(pair(stored.as_bytes(), false).is_ok());
}

#[test]
fn an_unknown_algorithm_is_named() {
    let problem = pair(base64_of("pfx/rc4.pfx").as_bytes(), false).expect_err("RC4");
    assert!(problem.cause.contains("1.2.840.113549.1.12.1.1"), "{}", problem.cause);
}

#[test]
fn key_derivation_is_bounded_over_the_whole_file() {
    for name in ["many-rounds", "many-rounds-in-sum", "billions-of-rounds"] {
        let start = Instant::now();
        assert_eq!(
            code(base64_of(&format!("pfx/{name}.pfx")).as_bytes()),
            Code::ValueTooLarge,
            "{name}"
        );
        // What is not bounded here takes hours.
        assert!(
            start.elapsed() < Duration::from_mins(3),
            "{name}: {:?}",
            start.elapsed()
        );
    }
}

#[test]
fn damaged_files_are_refused_and_never_printed() {
    let pem = text("pem/pkcs8.pem");
    let cut = &pem[..pem.len() / 2];
    let relabelled = pem.replacen("-----END PRIVATE KEY", "-----END canary", 1);
    let not_base64 = pem.replacen('\n', "\n*canary*", 1);
    let behind_sound_ones = format!("{pem}-----BEGIN CERTIFICATE-----\nY2FuYXJ5\n-----END CERTIFICATE-----\n");
    let no_key = "-----BEGIN PRIVATE KEY-----\nY2FuYXJ5\n-----END PRIVATE KEY-----\n";
    for value in [
        "",
        "canary",
        "Y2FuYXJ5",
        "-----BEGIN canary",
        cut,
        &relabelled,
        &not_base64,
        &behind_sound_ones,
        no_key,
        "MAA=",
        "MIIBAA==",
    ] {
        let problem = pair(value.as_bytes(), false).expect_err(value);
        assert_eq!(problem.code, Code::CertificateUnreadable, "{value}");
        assert!(!format!("{problem:?}").contains("canary"));
    }
}

#[test]
fn raw_gives_the_der_of_a_pfx_and_the_text_of_a_pem() {
    let raw = |value: &[u8]| {
        raw(&SecretBytes::new(value.to_vec()))
            .ok()
            .map(|raw| raw.expose().to_vec())
    };
    assert_eq!(
        raw(base64_of("pfx/legacy-vault.pfx").as_bytes()),
        Some(bytes("pfx/legacy-vault.pfx"))
    );
    assert_eq!(
        raw(base64_of("pfx/password.pfx").as_bytes()),
        Some(bytes("pfx/password.pfx"))
    );
    assert_eq!(raw(&bytes("pem/crlf.pem")), Some(bytes("pem/crlf.pem")));
    assert_eq!(raw(b"neither"), None);
}

#[test]
fn the_public_part_is_the_certificate_as_pem() {
    let der = crate::object::testdata::der("keys/p384.crt.pem");
    assert_eq!(
        public(&der).expect("DER").expose_str(),
        Some(text("keys/p384.crt.pem").as_str())
    );
    assert_eq!(public(b"").err().expect("empty").code, Code::CertificateUnreadable);
}

proptest! {
    #[test]
    fn no_bytes_make_the_readers_panic(mut value: Vec<u8>, text in "(-----(BEGIN|END) (RSA |EC |ENCRYPTED |)(PRIVATE KEY|CERTIFICATE)(-----|)|[A-Za-z0-9+/=\n -]{0,20}){0,8}") {
        for value in [value.as_slice(), text.as_bytes()] {
            let _ = pair(value, true);
        }
        // The same as content of a SEQUENCE, so that the PFX reader sees it.
        value.truncate(127);
        value.splice(0..0, [0x30, u8::try_from(value.len()).expect("truncated")]);
        let _ = pair(&value, true);
    }

    #[test]
    fn no_damage_to_a_file_makes_the_readers_panic(
        file in prop::sample::select(vec!["pfx/legacy-vault.pfx", "pfx/plain-without-mac.pfx", "pfx/chain-ril.pfx", "pem/chain-mixed.pem"]),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut value = bytes(file);
        for (at, byte) in damage {
            let at = at.index(value.len());
            value[at] = byte;
        }
        let _ = pair(&value, true);
    }
}
