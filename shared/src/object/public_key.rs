//! A Key Vault key: its public part as raw modulus, SPKI PEM or JSON Web Key.
//!
//! Formats: SPKI RFC 5280 §4.1.2.7 with RFC 3279 (RSA) and RFC 5480 (EC); JWK RFC 7517, RFC 7518 §6 and, for
//! secp256k1, RFC 8812.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use der::asn1::{Any, BitString, Null, ObjectIdentifier, UintRef};
use der::pem::LineEnding;
use der::{Encode, EncodePem};
use serde::Serialize;
use spki::{AlgorithmIdentifier, SubjectPublicKeyInfo};

use super::KeyFormat;
use crate::diagnosis::{Explanation, case};
use crate::keyvault::model::KeyObject;
use crate::secret::SecretBytes;

const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");

/// What `key_ops` of a public key may say (RFC 7517 §4.3); a vault also lists what only it can do.
const PUBLIC_OPERATIONS: [&str; 3] = ["encrypt", "verify", "wrapKey"];

/// A named curve as Key Vault, JWK and SPKI call it, with the length of a coordinate in bytes.
struct Curve {
    vault: &'static str,
    jwk: &'static str,
    oid: ObjectIdentifier,
    coordinate: usize,
}

const CURVES: [Curve; 4] = [
    Curve {
        vault: "P-256",
        jwk: "P-256",
        oid: ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7"),
        coordinate: 32,
    },
    Curve {
        vault: "P-384",
        jwk: "P-384",
        oid: ObjectIdentifier::new_unwrap("1.3.132.0.34"),
        coordinate: 48,
    },
    Curve {
        vault: "P-521",
        jwk: "P-521",
        oid: ObjectIdentifier::new_unwrap("1.3.132.0.35"),
        coordinate: 66,
    },
    Curve {
        vault: "P-256K",
        jwk: "secp256k1",
        oid: ObjectIdentifier::new_unwrap("1.3.132.0.10"),
        coordinate: 32,
    },
];

/// The parts of a public key, checked for presence.
enum PublicKey<'a> {
    /// Modulus and exponent, big-endian.
    Rsa { n: &'a [u8], e: &'a [u8] },
    /// Coordinates, big-endian and of the curve's full length.
    Ec {
        curve: &'static Curve,
        x: Vec<u8>,
        y: Vec<u8>,
    },
}

/// The bytes written for `key`; `format` `None` = raw for RSA, PEM for EC.
pub(crate) fn write(key: &KeyObject, format: Option<KeyFormat>) -> Result<SecretBytes, Explanation> {
    let public = public_key(key)?;
    match (format, &public) {
        (None | Some(KeyFormat::Raw), PublicKey::Rsa { n, .. }) => Ok(SecretBytes::new(n.to_vec())),
        (None | Some(KeyFormat::Pem), _) => pem(&public).map(SecretBytes::from),
        (Some(KeyFormat::Jwk), _) => Ok(SecretBytes::from(jwk(key, &public))),
        (Some(KeyFormat::Raw), PublicKey::Ec { .. }) => Err(case::ModulusOfEcKey.into()),
    }
}

fn public_key(key: &KeyObject) -> Result<PublicKey<'_>, Explanation> {
    match key.kty.as_str() {
        "RSA" | "RSA-HSM" => match (key.n.as_deref(), key.e.as_deref()) {
            (Some(n), Some(e)) if !without_zeros(n).is_empty() && !without_zeros(e).is_empty() => {
                Ok(PublicKey::Rsa { n, e })
            }
            _ => Err(incomplete("modulus or exponent")),
        },
        "EC" | "EC-HSM" => {
            let curve = key
                .crv
                .as_deref()
                .and_then(|name| CURVES.iter().find(|curve| curve.vault == name || curve.jwk == name));
            let curve = curve.ok_or_else(|| incomplete("curve this program knows (P-256, P-384, P-521, P-256K)"))?;
            let coordinate = |bytes: &Option<Vec<u8>>| {
                bytes
                    .as_deref()
                    .and_then(|bytes| padded(bytes, curve.coordinate))
                    .ok_or_else(|| incomplete("coordinate of the curve's length"))
            };
            Ok(PublicKey::Ec {
                curve,
                x: coordinate(&key.x)?,
                y: coordinate(&key.y)?,
            })
        }
        "oct" | "oct-HSM" => Err(case::KeyIsSymmetric.into()),
        _ => Err(incomplete(
            "type this program knows (RSA, EC, each with or without -HSM)",
        )),
    }
}

fn incomplete(missing: &str) -> Explanation {
    case::KeyIncomplete { missing: &missing }.into()
}

fn without_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    &number[zeros..]
}

/// `number` in exactly `length` bytes; `None` when it needs more.
fn padded(number: &[u8], length: usize) -> Option<Vec<u8>> {
    let number = without_zeros(number);
    let zeros = length.checked_sub(number.len())?;
    Some([vec![0; zeros], number.to_vec()].concat())
}

fn pem(key: &PublicKey<'_>) -> Result<String, Explanation> {
    // DER lengths are limited to 256 MiB; what a vault sends is far below.
    spki(key)
        .and_then(|spki| spki.to_pem(LineEnding::LF))
        .map_err(|_| incomplete("number of encodable size"))
}

fn spki(key: &PublicKey<'_>) -> der::Result<SubjectPublicKeyInfo<Any, BitString>> {
    let (oid, parameters, bits) = match key {
        PublicKey::Rsa { n, e } => {
            let numbers = pkcs1::RsaPublicKey {
                modulus: UintRef::new(n)?,
                public_exponent: UintRef::new(e)?,
            };
            (RSA_ENCRYPTION, Any::encode_from(&Null)?, numbers.to_der()?)
        }
        PublicKey::Ec { curve, x, y } => {
            let point = [&[4], x.as_slice(), y.as_slice()].concat(); // 4 = uncompressed, SEC 1 §2.3.3
            (EC_PUBLIC_KEY, Any::encode_from(&curve.oid)?, point)
        }
    };
    Ok(SubjectPublicKeyInfo {
        algorithm: AlgorithmIdentifier {
            oid,
            parameters: Some(parameters),
        },
        subject_public_key: BitString::from_bytes(&bits)?,
    })
}

/// Members in alphabetical order, so that equal keys give equal text.
#[derive(Serialize)]
struct Jwk<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    crv: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    e: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    key_ops: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kid: Option<&'a str>,
    kty: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    n: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    x: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    y: Option<String>,
}

fn jwk(object: &KeyObject, key: &PublicKey<'_>) -> String {
    let number = |bytes: &[u8]| Some(URL_SAFE_NO_PAD.encode(bytes));
    let (kty, crv, [n, e, x, y]) = match key {
        PublicKey::Rsa { n, e } => (
            "RSA",
            None,
            [number(without_zeros(n)), number(without_zeros(e)), None, None],
        ),
        PublicKey::Ec { curve, x, y } => ("EC", Some(curve.jwk), [None, None, number(x), number(y)]),
    };
    let key_ops = PUBLIC_OPERATIONS
        .into_iter()
        .filter(|operation| object.operations.iter().any(|known| known == operation))
        .collect();
    let jwk = Jwk {
        crv,
        e,
        key_ops,
        kid: object.kid.as_deref(),
        kty,
        n,
        x,
        y,
    };
    serde_json::to_string(&jwk).expect("a struct of strings has a JSON form")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnosis::Code;
    use crate::keyvault::model::Attributes;
    use crate::object::testdata::{bytes, text};
    use crate::reference::ObjectVersion;

    fn rsa(name: &str) -> KeyObject {
        key(
            "RSA",
            None,
            [
                Some(bytes(&format!("keys/{name}.n.bin"))),
                Some(vec![1, 0, 1]),
                None,
                None,
            ],
        )
    }

    fn ec(name: &str, crv: &str) -> KeyObject {
        let coordinate = |axis| Some(bytes(&format!("keys/{name}.{axis}.bin")));
        key("EC", Some(crv), [None, None, coordinate("x"), coordinate("y")])
    }

    fn key(kty: &str, crv: Option<&str>, [n, e, x, y]: [Option<Vec<u8>>; 4]) -> KeyObject {
        KeyObject {
            kty: kty.to_owned(),
            crv: crv.map(str::to_owned),
            n,
            e,
            x,
            y,
            kid: None,
            operations: Vec::new(),
            version: ObjectVersion::parse("0123456789abcdef0123456789abcdef").expect("32 digits"),
            attributes: Attributes {
                enabled: true,
                created: None,
                updated: None,
                expires: None,
                not_before: None,
            },
        }
    }

    fn written(key: &KeyObject, format: Option<KeyFormat>) -> Result<Vec<u8>, Code> {
        write(key, format)
            .map(|value| value.expose().to_vec())
            .map_err(|problem| problem.code)
    }

    const EC_KEYS: [(&str, &str); 4] = [
        ("p256", "P-256"),
        ("p384", "P-384"),
        ("p521", "P-521"),
        ("p256k", "P-256K"),
    ];

    #[test]
    fn an_rsa_key_is_its_modulus_unless_another_format_is_asked_for() {
        for name in ["rsa2048", "rsa3072"] {
            let modulus = bytes(&format!("keys/{name}.n.bin"));
            for kty in ["RSA", "RSA-HSM"] {
                let key = KeyObject {
                    kty: kty.to_owned(),
                    ..rsa(name)
                };
                assert_eq!(written(&key, None), Ok(modulus.clone()));
                assert_eq!(written(&key, Some(KeyFormat::Raw)), Ok(modulus.clone()));
                assert_eq!(
                    written(&key, Some(KeyFormat::Pem)),
                    Ok(bytes(&format!("keys/{name}.spki.pem")))
                );
                assert_eq!(
                    written(&key, Some(KeyFormat::Jwk)),
                    Ok(bytes(&format!("keys/{name}.jwk.json")))
                );
            }
        }
    }

    #[test]
    fn an_ec_key_is_pem_unless_jwk_is_asked_for() {
        for (name, crv) in EC_KEYS {
            for kty in ["EC", "EC-HSM"] {
                let key = KeyObject {
                    kty: kty.to_owned(),
                    ..ec(name, crv)
                };
                assert_eq!(
                    written(&key, None),
                    Ok(bytes(&format!("keys/{name}.spki.pem"))),
                    "{name}"
                );
                assert_eq!(
                    written(&key, Some(KeyFormat::Pem)),
                    Ok(bytes(&format!("keys/{name}.spki.pem"))),
                    "{name}"
                );
                assert_eq!(
                    written(&key, Some(KeyFormat::Jwk)),
                    Ok(bytes(&format!("keys/{name}.jwk.json"))),
                    "{name}"
                );
                assert_eq!(written(&key, Some(KeyFormat::Raw)), Err(Code::InvalidSpec), "{name}");
            }
        }
    }

    #[test]
    fn a_jwk_names_the_key_and_only_public_operations() {
        let operations = ["verify", "sign", "verify", "unwrapKey", "wrapKey", "import"]
            .map(str::to_owned)
            .to_vec();
        let kid = "https://myvault.vault.azure.net/keys/k/0123456789abcdef0123456789abcdef";
        let key = KeyObject {
            operations,
            kid: Some(kid.to_owned()),
            ..ec("p256", "P-256")
        };
        let expected = text("keys/p256.jwk.json").replace(
            r#""kty""#,
            &format!(r#""key_ops":["verify","wrapKey"],"kid":"{kid}","kty""#),
        );
        assert_eq!(written(&key, Some(KeyFormat::Jwk)), Ok(expected.into_bytes()));
    }

    #[test]
    fn leading_zeros_change_nothing_but_the_raw_modulus() {
        let with_zero = |number: &Option<Vec<u8>>| number.as_ref().map(|number| [vec![0], number.clone()].concat());
        let plain = rsa("rsa2048");
        let key = KeyObject {
            n: with_zero(&plain.n),
            e: with_zero(&plain.e),
            ..rsa("rsa2048")
        };
        for format in [KeyFormat::Pem, KeyFormat::Jwk] {
            assert_eq!(written(&key, Some(format)), written(&plain, Some(format)));
        }
        assert_eq!(written(&key, None).ok(), with_zero(&plain.n));
        let plain = ec("p521", "P-521");
        let short = plain.y.as_ref().map(|y| without_zeros(y).to_vec());
        let key = KeyObject {
            x: with_zero(&plain.x),
            y: short,
            ..ec("p521", "P-521")
        };
        assert_eq!(written(&key, None), written(&plain, None));
    }

    #[test]
    fn keys_without_a_public_part_are_refused() {
        for (key, code) in [
            (key("oct-HSM", None, [None, None, None, None]), Code::ValueMalformed),
            (key("oct", None, [None, None, None, None]), Code::ValueMalformed),
            (
                key("RSA", None, [None, Some(vec![1]), None, None]),
                Code::VaultResponseInvalid,
            ),
            (
                key("RSA", None, [Some(vec![0]), Some(vec![1]), None, None]),
                Code::VaultResponseInvalid,
            ),
            (
                key("EC", Some("P-999"), [None, None, Some(vec![1]), Some(vec![1])]),
                Code::VaultResponseInvalid,
            ),
            (
                key("EC", Some("P-256"), [None, None, Some(vec![1; 33]), Some(vec![1])]),
                Code::VaultResponseInvalid,
            ),
            (key("EC", None, [None, None, None, None]), Code::VaultResponseInvalid),
            (key("OKP", None, [None, None, None, None]), Code::VaultResponseInvalid),
        ] {
            assert_eq!(written(&key, None), Err(code), "{} {:?}", key.kty, key.crv);
        }
    }
}
