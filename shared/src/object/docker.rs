//! `kubernetes.io/dockerconfigjson` and `kubernetes.io/dockercfg`: registry credentials as Docker stores them.
//!
//! Format: <https://kubernetes.io/docs/concepts/configuration/secret/#docker-config-secrets>. `auth` is the base64 of
//! `user:password`; kubelet does without it, but containerd's and most builders' readers do not.

use std::borrow::Cow;
use std::collections::BTreeMap;

use base64::Engine;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::diagnosis::{Explanation, case};
use crate::encoding::BASE64;
use crate::secret::SecretBytes;

#[derive(Deserialize)]
struct Config<'a> {
    #[serde(borrow, default)]
    auths: BTreeMap<Cow<'a, str>, &'a RawValue>,
}

#[derive(Deserialize)]
struct Credentials<'a> {
    #[serde(borrow)]
    auth: Option<&'a RawValue>,
    #[serde(borrow)]
    username: Option<Cow<'a, str>>,
    #[serde(borrow)]
    password: Option<Cow<'a, str>>,
}

/// The value of `.dockerconfigjson`: `value` itself, with `auth` inserted where an entry has user name and password
/// but no `auth`. All other bytes stay as they are.
pub(crate) fn config_json(value: &SecretBytes) -> Result<SecretBytes, Explanation> {
    let text = object_text(value)?;
    let Ok(config) = serde_json::from_str::<Config<'_>>(text) else {
        return Ok(value.clone()); // An object of another shape is the user's affair: upstream wrote it, too.
    };
    let mut insertions: Vec<(usize, String)> = config
        .auths
        .values()
        .filter_map(|entry| Some((offset_in(text, entry.get()) + 1, missing_auth(entry.get())?)))
        .collect();
    insertions.sort_unstable();
    let mut out = Vec::with_capacity(text.len() + insertions.iter().map(|(_, auth)| auth.len()).sum::<usize>());
    let mut done = 0;
    for (at, auth) in &insertions {
        out.extend_from_slice(&text.as_bytes()[done..*at]);
        out.extend_from_slice(auth.as_bytes());
        done = *at;
    }
    out.extend_from_slice(&text.as_bytes()[done..]);
    Ok(SecretBytes::new(out))
}

/// The value of `.dockercfg`: `value` itself, when it is a JSON object.
pub(crate) fn cfg(value: &SecretBytes) -> Result<SecretBytes, Explanation> {
    object_text(value).map(|_| value.clone())
}

/// The text of a JSON object; the API server refuses anything else under these types.
fn object_text(value: &SecretBytes) -> Result<&str, Explanation> {
    value
        .expose_str()
        .filter(|text| serde_json::from_str::<&RawValue>(text).is_ok_and(|json| json.get().starts_with('{')))
        .ok_or_else(|| case::NotDockerConfig.into())
}

/// `"auth":"…",` when the entry lacks it and holds what it is made of.
fn missing_auth(entry: &str) -> Option<String> {
    let credentials: Credentials<'_> = serde_json::from_str(entry).ok()?;
    match credentials {
        Credentials {
            auth: None,
            username: Some(user),
            password: Some(password),
        } => Some(format!("\"auth\":\"{}\",", BASE64.encode(format!("{user}:{password}")))),
        _ => None,
    }
}

/// Where `part`, a slice of `whole`, begins in it.
fn offset_in(whole: &str, part: &str) -> usize {
    part.as_ptr().addr() - whole.as_ptr().addr()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnosis::Code;

    fn written(value: &str) -> String {
        let out = config_json(&SecretBytes::from(value)).expect("a JSON object");
        out.expose_str().expect("text").to_owned()
    }

    #[test]
    fn a_config_with_auth_is_written_byte_for_byte() {
        for value in [
            r#"{"auths":{"r.io":{"auth":"bWU6cHc="}}}"#,
            "{\n \"auths\" : { \"r.io\": {\"username\":\"me\",\"password\":\"pw\",\"auth\":\"\"}}, \"x\": 1e400 }\n",
            r#"{"auths":{"r.io":{"username":"me"}}}"#,
            r#"{"credHelpers":{"r.io":"acr"}}"#,
            r#"{"auths":["odd"]}"#,
            r#"{"auths":{"r.io":"odd"}}"#,
            "{}",
        ] {
            assert_eq!(written(value), value);
        }
    }

    #[test]
    fn a_missing_auth_is_inserted_and_nothing_else_moves() {
        // `printf 'me:p"w' | base64` and `printf you:x | base64`
        let value = r#"{"auths": {"z.io": { "username":"me","password":"p\"w" }, "a.io":{"password":"x","username":"you"}}, "k": [1.50]}"#;
        let expected = r#"{"auths": {"z.io": {"auth":"bWU6cCJ3", "username":"me","password":"p\"w" }, "a.io":{"auth":"eW91Ong=","password":"x","username":"you"}}, "k": [1.50]}"#;
        assert_eq!(written(value), expected);
        assert_eq!(written(expected), expected);
    }

    #[test]
    fn what_is_not_a_json_object_is_refused_and_never_printed() {
        for value in ["canary", "", "[]", "\"canary\"", "{\"canary\":", "{} canary"] {
            for problem in [
                config_json(&SecretBytes::from(value)).err(),
                cfg(&SecretBytes::from(value)).err(),
            ] {
                let problem = problem.expect(value);
                assert_eq!(problem.code, Code::ValueMalformed);
                assert!(!format!("{problem:?}").contains("canary"));
            }
        }
    }

    #[test]
    fn dockercfg_is_written_byte_for_byte() {
        let value = r#" {"r.io":{"username":"me","password":"pw"}} "#;
        assert_eq!(
            cfg(&SecretBytes::from(value)).expect("object").expose(),
            value.as_bytes()
        );
    }
}
