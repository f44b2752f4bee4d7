//! JSON Web Tokens: RFC 7515 compact form, RS256/PS256/ES256/ES384 verification, RS256 signing.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256,
    RsaPublicKeyComponents, UnparsedPublicKey,
};
use serde_json::{Map, Value, json};

use super::crypto::{CryptoError, PrivateKey};

/// A token taken apart; nothing in it is trusted before [`Jwt::verify`].
pub(crate) struct Jwt {
    pub(crate) header: Map<String, Value>,
    pub(crate) claims: Map<String, Value>,
    signed: String,
    signature: Vec<u8>,
}

impl Jwt {
    /// Takes the compact form apart; `None` when it is not three base64url parts with JSON objects in the first two.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (signed, signature) = text.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        let object = |part: &str| serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(part).ok()?).ok();
        Some(Self {
            header: object(header)?,
            claims: object(claims)?,
            signed: signed.to_owned(),
            signature: BASE64_URL_SAFE_NO_PAD.decode(signature).ok()?,
        })
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.header.get(name)?.as_str()
    }

    pub(crate) fn claim(&self, name: &str) -> Option<&str> {
        self.claims.get(name)?.as_str()
    }

    /// A time claim, Unix seconds.
    pub(crate) fn time(&self, name: &str) -> Option<i64> {
        let value = self.claims.get(name)?;
        #[expect(clippy::cast_possible_truncation, reason = "a fraction of a second does not matter")]
        value.as_i64().or_else(|| value.as_f64().map(|seconds| seconds as i64))
    }

    /// `aud`: one string or several (RFC 7519 §4.1.3).
    pub(crate) fn audiences(&self) -> Vec<&str> {
        match self.claims.get("aud") {
            Some(Value::String(one)) => vec![one],
            Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        }
    }

    /// Whether `jwk` made the signature with the algorithm the header names.
    pub(crate) fn verify(&self, jwk: &Map<String, Value>) -> bool {
        let number = |name: &str| BASE64_URL_SAFE_NO_PAD.decode(jwk.get(name)?.as_str()?).ok();
        let text = |name: &str| jwk.get(name).and_then(Value::as_str);
        let (message, signature) = (self.signed.as_bytes(), self.signature.as_slice());
        let point = || Some([vec![4], number("x")?, number("y")?].concat());
        match (self.header("alg"), text("kty"), text("crv")) {
            (Some(alg @ ("RS256" | "PS256")), Some("RSA"), _) => {
                let (Some(n), Some(e)) = (number("n"), number("e")) else {
                    return false;
                };
                let scheme = if alg == "RS256" {
                    &RSA_PKCS1_2048_8192_SHA256
                } else {
                    &RSA_PSS_2048_8192_SHA256
                };
                RsaPublicKeyComponents { n, e }
                    .verify(scheme, message, signature)
                    .is_ok()
            }
            (Some("ES256"), Some("EC"), Some("P-256")) => point().is_some_and(|point| {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
                    .verify(message, signature)
                    .is_ok()
            }),
            (Some("ES384"), Some("EC"), Some("P-384")) => point().is_some_and(|point| {
                UnparsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, point)
                    .verify(message, signature)
                    .is_ok()
            }),
            _ => false,
        }
    }
}

/// Signs `claims` as RS256 with the RSA key `key`.
pub(crate) fn sign(key: &PrivateKey, key_id: &str, claims: &Value) -> Result<String, CryptoError> {
    let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    let header = json!({ "typ": "JWT", "alg": "RS256", "kid": key_id, "x5t": key_id });
    let signed = format!("{}.{}", part(&header), part(claims));
    let signature = key.sign(signed.as_bytes())?;
    Ok(format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature)))
}

#[cfg(test)]
mod tests {
    use super::super::crypto::KeyType;
    use super::*;

    // RFC 7515 A.3: made by others.
    const ES256: &str = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";

    fn rfc_key() -> Map<String, Value> {
        let key = json!({ "kty": "EC", "crv": "P-256",
            "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0" });
        key.as_object().unwrap().clone()
    }

    #[test]
    fn a_foreign_token_verifies_and_a_changed_one_does_not() {
        let jwt = Jwt::parse(ES256).unwrap();
        assert!(jwt.verify(&rfc_key()));
        assert_eq!((jwt.claim("iss"), jwt.time("exp")), (Some("joe"), Some(1_300_819_380)));
        let mut changed = Jwt::parse(ES256).unwrap();
        changed.signature[0] ^= 1;
        assert!(!changed.verify(&rfc_key()));
    }

    #[test]
    fn what_we_sign_verifies_with_the_public_key_only() {
        let (ours, other) = (
            PrivateKey::generate(KeyType::Rsa(2048)),
            PrivateKey::generate(KeyType::Rsa(2048)),
        );
        let (ours, other) = (ours.unwrap(), other.unwrap());
        let jwt = Jwt::parse(&sign(&ours, "k", &json!({ "aud": ["a", "b"] })).unwrap()).unwrap();
        assert!(jwt.verify(&ours.public().jwk()));
        assert!(!jwt.verify(&other.public().jwk()));
        assert_eq!(jwt.audiences(), ["a", "b"]);
    }

    #[test]
    fn unsigned_and_malformed_tokens_are_refused() {
        for bad in [
            "",
            "a.b",
            "a.b.c",
            "eyJhbGciOiJub25lIn0.W10.",
            "....",
            "eyJhbGciOiJFUzI1NiJ9.e30.!",
        ] {
            assert!(Jwt::parse(bad).is_none(), "{bad}");
        }
        let unsigned = Jwt::parse("eyJhbGciOiJub25lIn0.e30.").unwrap();
        assert!(!unsigned.verify(&rfc_key()));
    }
}
