//! What a token says of itself, unchecked: only good for refusing early what the API server would refuse, too.

use akv2k8s_shared::diagnosis::{Explanation, case};
use akv2k8s_shared::injection::names::TOKEN_AUDIENCE;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

/// Longest token that is looked at, in bytes; the kubelet's have about one thousand.
const LONGEST: usize = 8 * 1024;

/// `aud` of RFC 7519 §4.1.3 may be one or several; Kubernetes writes several.
#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

#[derive(Deserialize)]
struct Claims {
    aud: Audience,
    exp: i64,
    #[serde(rename = "kubernetes.io")]
    kubernetes: Kubernetes,
}

#[derive(Deserialize)]
struct Kubernetes {
    pod: Pod,
}

#[derive(Deserialize)]
struct Pod {
    uid: String,
}

/// The UID of the pod that `token` claims to be bound to.
///
/// # Errors
/// Why the API server would refuse it at `now` (Unix seconds).
pub(super) fn claimed_pod(token: &str, now: i64) -> Result<String, Explanation> {
    if token.len() > LONGEST {
        return Err(case::TokenIsNone.into());
    }
    let mut parts = token.split('.');
    let (Some(_), Some(payload), Some(_), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
        return Err(case::TokenIsNone.into());
    };
    let payload = URL_SAFE_NO_PAD.decode(payload).map_err(|_| case::TokenIsNone)?;
    let claims: Claims = serde_json::from_slice(&payload).map_err(|_| case::TokenIsNone)?;
    let is_ours = match &claims.aud {
        Audience::One(audience) => audience == TOKEN_AUDIENCE,
        Audience::Several(all) => all.iter().any(|it| it == TOKEN_AUDIENCE),
    };
    if !is_ours {
        return Err(case::TokenOfOtherAudience.into());
    }
    if claims.exp <= now {
        return Err(case::TokenExpired.into());
    }
    Ok(claims.kubernetes.pod.uid)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn token(claims: &Value) -> String {
        format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims.to_string()))
    }

    #[test]
    fn only_what_may_be_a_pods_token_for_us_goes_to_the_api_server() {
        let pod = json!({"pod": {"name": "p", "uid": "u-1"}});
        let with = |aud: Value, exp: i64, pod: &Value| token(&json!({"aud": aud, "exp": exp, "kubernetes.io": pod}));
        let ours = json!([TOKEN_AUDIENCE]);
        assert_eq!(claimed_pod(&with(ours.clone(), 11, &pod), 10), Ok("u-1".to_owned()));
        assert_eq!(
            claimed_pod(&with(json!(TOKEN_AUDIENCE), 11, &pod), 10),
            Ok("u-1".to_owned())
        );
        for (token, why) in [
            (with(ours.clone(), 10, &pod), "expired"),
            (with(json!(["api://AzureADTokenExchange"]), 11, &pod), "audience"),
            (with(ours.clone(), 11, &json!({})), "bound to a pod"),
            (with(ours, 11, &pod).replace('.', "_"), "no token"),
            (String::new(), "no token"),
            ("a.%.c".to_owned(), "no token"),
            ("x".repeat(LONGEST + 1), "no token"),
        ] {
            let refused = claimed_pod(&token, 10).unwrap_err();
            assert!(refused.cause.contains(why), "{}: {token}", refused.cause);
        }
    }
}
