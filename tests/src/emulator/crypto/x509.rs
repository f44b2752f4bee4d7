//! X.509 certificates (RFC 5280) and requests (RFC 2986) for any key of the vault.
//!
//! Written here since certificate builders are tied to the curves of one signature library, and the vault offers
//! P-521 and P-256K besides.

use super::der::{self, element, sequence};
use super::distinguished_name::encode as name;
use super::{CryptoError, PrivateKey, PublicKey, random_bytes};

const SEQUENCE_OF_EXTENSIONS: u8 = 0xa3;
const EXPLICIT_VERSION: u8 = 0xa0;

/// What a certificate says about its subject.
#[derive(Debug, Clone, Default)]
pub struct Profile {
    /// `CN=example.com, O=Contoso`: most specific part first.
    pub subject: String,
    /// Subject alternative names: DNS names.
    pub dns_names: Vec<String>,
    /// Subject alternative names: e-mail addresses.
    pub emails: Vec<String>,
    /// Subject alternative names: user principal names.
    pub upns: Vec<String>,
    /// Names of RFC 5280 §4.2.1.3 (`digitalSignature`, `keyEncipherment`, …).
    pub key_usage: Vec<String>,
    /// Extended key usages as dotted object identifiers.
    pub ekus: Vec<String>,
    /// Unix seconds.
    pub not_before: i64,
    /// Unix seconds.
    pub not_after: i64,
    /// Whether this is an authority.
    pub ca: bool,
}

/// Who signs: its name as in `subject`, and its key.
pub struct Signer<'a> {
    /// Distinguished name, most specific part first.
    pub name: &'a str,
    /// Key.
    pub key: &'a PrivateKey,
}

/// Issues a certificate for `public`; returns DER.
pub fn issue(profile: &Profile, public: &PublicKey, signer: &Signer<'_>) -> Result<Vec<u8>, CryptoError> {
    let algorithm = signature_algorithm(signer.key.public());
    let mut serial = random_bytes(16);
    serial[0] = serial[0] & 0x7f | 0x40;
    let body = sequence(&[
        &element(EXPLICIT_VERSION, &[0x02, 0x01, 0x02]),
        &element(0x02, &serial),
        algorithm,
        &name(signer.name)?,
        &sequence(&[&time(profile.not_before)?, &time(profile.not_after)?]),
        &name(&profile.subject)?,
        &public.spki(),
        &element(SEQUENCE_OF_EXTENSIONS, &extensions(profile, public, signer)?),
    ]);
    sign(&body, signer.key)
}

/// A certificate request for `key`; returns DER.
pub fn request(profile: &Profile, key: &PrivateKey) -> Result<Vec<u8>, CryptoError> {
    let no_attributes = element(0xa0, &[]);
    let body = sequence(&[
        &[0x02, 0x01, 0x00],
        &name(&profile.subject)?,
        &key.public().spki(),
        &no_attributes,
    ]);
    sign(&body, key)
}

fn sign(body: &[u8], key: &PrivateKey) -> Result<Vec<u8>, CryptoError> {
    Ok(sequence(&[
        body,
        signature_algorithm(key.public()),
        &bit_string(&key.sign(body)?),
    ]))
}

/// `AlgorithmIdentifier` of what [`PrivateKey::sign`] makes (RFC 4055 §5, RFC 5758 §3.2).
fn signature_algorithm(public: &PublicKey) -> &'static [u8] {
    const RSA_SHA256: &[u8] = &[
        0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b, 0x05, 0x00,
    ];
    const ECDSA_SHA256: &[u8] = &[0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];
    const ECDSA_SHA384: &[u8] = &[0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x03];
    const ECDSA_SHA512: &[u8] = &[0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x04];
    match public {
        PublicKey::Rsa { .. } => RSA_SHA256,
        PublicKey::Ec { curve, .. } => match curve {
            super::Curve::P256 | super::Curve::P256K => ECDSA_SHA256,
            super::Curve::P384 => ECDSA_SHA384,
            super::Curve::P521 => ECDSA_SHA512,
        },
    }
}

impl PublicKey {
    /// `SubjectPublicKeyInfo` (RFC 5280 §4.1.2.7), DER.
    pub fn spki(&self) -> Vec<u8> {
        match self {
            Self::Rsa { n, e } => {
                let key = sequence(&[&unsigned(n), &unsigned(e)]);
                sequence(&[der::RSA_ENCRYPTION, &bit_string(&key)])
            }
            Self::Ec { curve, point } => {
                const EC_PUBLIC_KEY: &[u8] = &[0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
                sequence(&[&sequence(&[EC_PUBLIC_KEY, curve.oid()]), &bit_string(point)])
            }
        }
    }

    /// SHA-1 of the key's bits: subject and authority key identifiers (RFC 5280 §4.2.1.2, method 1).
    fn key_identifier(&self) -> Vec<u8> {
        let bits = match self {
            Self::Rsa { n, e } => sequence(&[&unsigned(n), &unsigned(e)]),
            Self::Ec { point, .. } => point.clone(),
        };
        ring::digest::digest(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY, &bits)
            .as_ref()
            .to_vec()
    }
}

fn extensions(profile: &Profile, public: &PublicKey, signer: &Signer<'_>) -> Result<Vec<u8>, CryptoError> {
    let mut all = Vec::new();
    let basic = if profile.ca {
        sequence(&[&[0x01, 0x01, 0xff]])
    } else {
        sequence(&[])
    };
    all.push(extension(19, true, &basic));
    if !profile.key_usage.is_empty() {
        all.push(extension(15, true, &key_usage(&profile.key_usage)?));
    }
    if !profile.ekus.is_empty() {
        let oids = profile
            .ekus
            .iter()
            .map(|oid| object_identifier(oid))
            .collect::<Result<Vec<_>, _>>()?;
        all.push(extension(37, false, &element(0x30, &oids.concat())));
    }
    let names = alternative_names(profile)?;
    if !names.is_empty() {
        all.push(extension(17, false, &element(0x30, &names)));
    }
    all.push(extension(14, false, &element(0x04, &public.key_identifier())));
    let authority = element(0x80, &signer.key.public().key_identifier());
    all.push(extension(35, false, &sequence(&[&authority])));
    Ok(element(0x30, &all.concat()))
}

/// An extension below `id-ce` (2.5.29).
fn extension(number: u8, critical: bool, value: &[u8]) -> Vec<u8> {
    let critical: &[u8] = if critical { &[0x01, 0x01, 0xff] } else { &[] };
    sequence(&[&[0x06, 0x03, 0x55, 0x1d, number], critical, &element(0x04, value)])
}

fn key_usage(names: &[String]) -> Result<Vec<u8>, CryptoError> {
    const BITS: [&str; 9] = [
        "digitalSignature",
        "nonRepudiation",
        "keyEncipherment",
        "dataEncipherment",
        "keyAgreement",
        "keyCertSign",
        "cRLSign",
        "encipherOnly",
        "decipherOnly",
    ];
    let mut bits = 0u16;
    for name in names {
        let position = BITS.iter().position(|bit| bit.eq_ignore_ascii_case(name));
        bits |= 0x8000 >> position.ok_or_else(|| CryptoError::Encoding(format!("{name} is not a key usage")))?;
    }
    let bytes = bits.to_be_bytes();
    let used = if bytes[1] == 0 { &bytes[..1] } else { &bytes[..] };
    // DER: trailing zero bits of a named bit list are dropped (X.690 §11.2.2).
    let unused = used
        .last()
        .map_or(0, |last| u8::try_from(last.trailing_zeros()).unwrap_or(0));
    Ok(element(0x03, &[&[unused], used].concat()))
}

fn alternative_names(profile: &Profile) -> Result<Vec<u8>, CryptoError> {
    let mut names = Vec::new();
    for email in &profile.emails {
        names.push(element(0x81, email.as_bytes()));
    }
    for name in &profile.dns_names {
        names.push(element(0x82, name.as_bytes()));
    }
    for upn in &profile.upns {
        // otherName of type szOID_NT_PRINCIPAL_NAME.
        let value = element(0xa0, &element(0x0c, upn.as_bytes()));
        names.push(element(
            0xa0,
            &[object_identifier("1.3.6.1.4.1.311.20.2.3")?, value].concat(),
        ));
    }
    Ok(names.concat())
}

/// An object identifier in base 128 (X.690 §8.19).
pub(super) fn object_identifier(dotted: &str) -> Result<Vec<u8>, CryptoError> {
    let invalid = || CryptoError::Encoding(format!("{dotted:?} is not an object identifier"));
    let numbers = dotted
        .split('.')
        .map(str::parse)
        .collect::<Result<Vec<u32>, _>>()
        .map_err(|_| invalid())?;
    let [first @ 0..=2, second @ 0..=39, rest @ ..] = numbers.as_slice() else {
        return Err(invalid());
    };
    let mut content = vec![u8::try_from(first * 40 + second).map_err(|_| invalid())?];
    for number in rest {
        let groups = (0..5)
            .rev()
            .map(|i| (number >> (7 * i)) & 0x7f)
            .skip_while(|group| *group == 0);
        let mut bytes: Vec<u8> = groups
            .map(|group| u8::try_from(group).expect("seven bits") | 0x80)
            .collect();
        match bytes.last_mut() {
            Some(last) => *last &= 0x7f,
            None => bytes.push(0),
        }
        content.extend(bytes);
    }
    Ok(element(0x06, &content))
}

fn unsigned(number: &[u8]) -> Vec<u8> {
    let padded = if number.first().is_some_and(|byte| *byte >= 0x80) {
        [&[0], number].concat()
    } else {
        number.to_vec()
    };
    element(0x02, &padded)
}

fn bit_string(bytes: &[u8]) -> Vec<u8> {
    element(0x03, &[&[0], bytes].concat())
}

/// `UTCTime` until 2049, `GeneralizedTime` from then on (RFC 5280 §4.1.2.5).
fn time(unix: i64) -> Result<Vec<u8>, CryptoError> {
    let time = jiff::Timestamp::from_second(unix)
        .map_err(super::encoding)?
        .to_zoned(jiff::tz::TimeZone::UTC);
    Ok(if time.year() < 2050 {
        element(0x17, time.strftime("%y%m%d%H%M%SZ").to_string().as_bytes())
    } else {
        element(0x18, time.strftime("%Y%m%d%H%M%SZ").to_string().as_bytes())
    })
}

#[cfg(test)]
mod tests {
    use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

    use super::super::{Curve, KeyType};
    use super::*;

    fn profile(subject: &str) -> Profile {
        Profile {
            subject: subject.into(),
            dns_names: vec!["a.example".into(), "b.example".into()],
            emails: vec!["x@example.com".into()],
            upns: vec!["u@example.com".into()],
            key_usage: vec![
                "digitalSignature".into(),
                "keyEncipherment".into(),
                "decipherOnly".into(),
            ],
            ekus: vec!["1.3.6.1.5.5.7.3.1".into(), "1.3.6.1.4.1.311.20.2.2".into()],
            not_before: 1_700_000_000,
            not_after: 2_600_000_000,
            ca: false,
        }
    }

    #[test]
    fn a_foreign_parser_reads_what_was_asked_for() {
        let key = PrivateKey::generate(KeyType::Ec(Curve::P256)).unwrap();
        let subject = r#"CN=x, O="Contoso, Ltd", C=US"#;
        let der = issue(
            &profile(subject),
            key.public(),
            &Signer {
                name: subject,
                key: &key,
            },
        )
        .unwrap();
        let (rest, certificate) = X509Certificate::from_der(&der).unwrap();
        assert!(rest.is_empty());
        assert_eq!(certificate.subject().to_string(), "C=US, O=Contoso, Ltd, CN=x");
        assert_eq!(certificate.validity().not_before.timestamp(), 1_700_000_000);
        assert_eq!(
            certificate.validity().not_after.timestamp(),
            2_600_000_000,
            "after 2049"
        );
        let usage = certificate.key_usage().unwrap().unwrap().value;
        assert!(usage.digital_signature() && usage.key_encipherment() && usage.decipher_only());
        assert!(!usage.key_cert_sign());
        let extended = certificate.extended_key_usage().unwrap().unwrap().value;
        assert!(extended.server_auth && extended.other.len() == 1);
        let names = &certificate
            .subject_alternative_name()
            .unwrap()
            .unwrap()
            .value
            .general_names;
        assert_eq!(names.len(), 4);
        assert!(names.contains(&GeneralName::DNSName("b.example")));
        assert!(!certificate.is_ca());
        certificate.verify_signature(None).unwrap();
    }

    #[test]
    fn every_key_type_signs_and_is_certified() {
        let kinds = Curve::ALL.map(KeyType::Ec).into_iter().chain([KeyType::Rsa(2048)]);
        for kind in kinds {
            let key = PrivateKey::generate(kind).unwrap();
            let der = issue(
                &profile("CN=x"),
                key.public(),
                &Signer {
                    name: "CN=x",
                    key: &key,
                },
            )
            .unwrap();
            let (_, certificate) = X509Certificate::from_der(&der).unwrap();
            assert_eq!(certificate.public_key().raw, key.public().spki(), "{kind:?}");
            // ring verifies neither P-521 nor secp256k1.
            if !matches!(kind, KeyType::Ec(Curve::P521 | Curve::P256K)) {
                certificate.verify_signature(None).unwrap();
            }
        }
    }

    #[test]
    fn object_identifiers_are_encoded_in_base_128() {
        assert_eq!(object_identifier("2.5.4.3").unwrap(), [0x06, 0x03, 0x55, 0x04, 0x03]);
        let rsa = [0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
        assert_eq!(object_identifier("1.2.840.113549.1.1.1").unwrap(), rsa);
        for bad in ["", "1", "3.1", "1.40", "1.2.x", "1.2.99999999999"] {
            assert!(object_identifier(bad).is_err(), "{bad}");
        }
    }
}
