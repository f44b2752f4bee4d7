//! What exec wrapper and broker say to each other: `POST /v1/values` over TLS, JSON both ways.
//!
//! The request carries references and nothing about who asks: that comes from the bearer token alone. The answer is all or
//! nothing: [`Values`] with status 200, or [`Refusal`] with any other.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::secret::SecretBytes;

/// The path of the one operation.
pub const PATH: &str = "/v1/values";
/// Longest request body, in bytes.
pub const MAX_REQUEST: usize = 256 * 1024;
/// Most references in one request.
pub const MAX_REFERENCES: usize = 2048;
/// Longest reference, in bytes.
pub const MAX_REFERENCE: usize = 1024;
/// Most bytes of values in one answer: the kernel starts no program with more.
pub const MAX_ANSWER: usize = 4 * 1024 * 1024;

/// Body of the request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ask {
    /// References as they stand in the environment (`name@azurekeyvault?query`), each once.
    pub references: Vec<String>,
}

/// Body of an answer with status 200: reference as asked → value.
///
/// `{"values": {"db@azurekeyvault": "base64, standard alphabet, padded"}}`. It has no `Serialize`, since values have none:
/// [`Values::to_json`] is the one place where they become text.
#[derive(Default)]
pub struct Values(pub BTreeMap<String, SecretBytes>);

impl Values {
    /// The body. Grown once, so that no half of it stays behind in memory that was given back.
    pub fn to_json(&self) -> SecretBytes {
        const PUNCTUATION: usize = 8;
        let encoded = |value: &SecretBytes| value.len().div_ceil(3) * 4;
        let pairs = self.0.iter();
        // A reference has no character that JSON would write in more than six bytes.
        let size: usize = pairs
            .map(|(reference, value)| 6 * reference.len() + encoded(value) + PUNCTUATION)
            .sum();
        let mut json = Zeroizing::new(String::with_capacity(size + 2 * PUNCTUATION));
        json.push_str(r#"{"values":{"#);
        for (number, (reference, value)) in self.0.iter().enumerate() {
            if number > 0 {
                json.push(',');
            }
            json.push_str(&serde_json::Value::from(reference.as_str()).to_string());
            json.push_str(":\"");
            STANDARD.encode_string(value.expose(), &mut json);
            json.push('"');
        }
        json.push_str("}}");
        SecretBytes::new(std::mem::take(&mut *json).into_bytes())
    }

    /// Reads the body.
    ///
    /// # Errors
    /// What is wrong with it, without any of its text.
    pub fn from_json(body: &[u8]) -> Result<Self, &'static str> {
        const NOT_VALUES: &str = "the answer is not the JSON that a broker writes";
        #[derive(Deserialize)]
        struct Body<'b> {
            #[serde(borrow)]
            values: BTreeMap<String, &'b str>,
        }
        let body: Body<'_> = serde_json::from_slice(body).map_err(|_| NOT_VALUES)?;
        let decode = |(reference, text): (String, &str)| {
            let value = STANDARD.decode(text).map_err(|_| NOT_VALUES)?;
            Ok((reference, SecretBytes::new(value)))
        };
        body.values.into_iter().map(decode).collect::<Result<_, _>>().map(Self)
    }
}

/// Body of an answer with any other status. Nothing secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// Code of the failure catalogue.
    pub code: String,
    /// The reference it is about, as asked; absent when it is about the request as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// What happened, and why.
    pub message: String,
    /// What to do.
    pub fix: String,
    /// Whether asking again may help without anybody doing anything; how long to wait is in `Retry-After`.
    pub retry: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_arrive_as_they_were_sent() {
        let values = [
            ("a@azurekeyvault", &b"v"[..]),
            ("b@azurekeyvault?tls.key", &[0, 255, b'"']),
            ("c", b""),
        ];
        let values = values.map(|(reference, value)| (reference.to_owned(), SecretBytes::new(value.to_vec())));
        let json = Values(BTreeMap::from(values.clone())).to_json();
        assert_eq!(
            json.expose_str(),
            Some(r#"{"values":{"a@azurekeyvault":"dg==","b@azurekeyvault?tls.key":"AP8i","c":""}}"#)
        );
        let read = Values::from_json(json.expose()).ok().unwrap();
        assert!(read.0.into_iter().eq(values));
        assert!(Values::from_json(Values::default().to_json().expose()).is_ok_and(|read| read.0.is_empty()));
    }

    #[test]
    fn what_no_broker_wrote_is_refused() {
        for body in [
            "",
            "{}",
            r#"{"values":{"a":1}}"#,
            r#"{"values":{"a":"%"}}"#,
            r#"{"values":{"a":"dg"}}"#,
        ] {
            assert!(Values::from_json(body.as_bytes()).is_err(), "{body}");
        }
    }

    #[test]
    fn who_asks_is_not_for_the_body_to_say() {
        assert!(serde_json::from_str::<Ask>(r#"{"references":[]}"#).is_ok());
        assert!(serde_json::from_str::<Ask>(r#"{"references":[],"namespace":"other"}"#).is_err());
    }
}
