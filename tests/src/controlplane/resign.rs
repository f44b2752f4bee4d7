//! Tokens of ServiceAccounts with other claims, signed with the server's own key.

use std::io;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use serde_json::Value;

/// The token with changed claims, signed anew (ES256) with `key`, which is PEM.
pub(super) fn resign(key: &str, token: &str, change: impl FnOnce(&mut Value)) -> io::Result<String> {
    let mut parts = token.split('.');
    let (Some(header), Some(claims)) = (parts.next(), parts.next()) else {
        return Err(io::Error::other("a token has three parts"));
    };
    let claims = URL_SAFE_NO_PAD.decode(claims).map_err(io::Error::other)?;
    let mut claims: Value = serde_json::from_slice(&claims)?;
    change(&mut claims);
    let signed = format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims.to_string()));
    let key = pem::parse(key).map_err(io::Error::other)?;
    let random = SystemRandom::new();
    let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, key.contents(), &random);
    let signature = key
        .map_err(|error| io::Error::other(error.to_string()))?
        .sign(&random, signed.as_bytes());
    let signature = signature.map_err(|_| io::Error::other("the key does not sign"))?;
    Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
}
