//! `kubernetes.io/basic-auth`: a secret `user:password`.

use crate::diagnosis::{Explanation, case};
use crate::encoding::decode_base64;
use crate::secret::SecretBytes;

/// User name and password: what stands before and after the first colon, so a password may contain colons (RFC 7617
/// §2 forbids them in user names only). Both may be empty. A value without a colon may be the base64 of one with.
pub(crate) fn split(value: &SecretBytes) -> Result<(SecretBytes, SecretBytes), Explanation> {
    split_at_colon(value.expose())
        .or_else(|| decode_base64(value.expose().trim_ascii()).and_then(|decoded| split_at_colon(decoded.expose())))
        .ok_or_else(|| case::NotBasicAuth.into())
}

fn split_at_colon(value: &[u8]) -> Option<(SecretBytes, SecretBytes)> {
    let colon = value.iter().position(|byte| *byte == b':')?;
    Some((
        SecretBytes::new(value[..colon].to_vec()),
        SecretBytes::new(value[colon + 1..].to_vec()),
    ))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::diagnosis::Code;

    #[test]
    fn user_and_password_are_split_at_the_first_colon() {
        for (value, user, password) in [
            ("me:secret", "me", "secret"),
            ("me:a:b:c", "me", "a:b:c"),
            (":only", "", "only"),
            ("only:", "only", ""),
            (":", "", ""),
            ("me:line\nbreak", "me", "line\nbreak"),
            // `printf me:a:b | base64`
            ("bWU6YTpi", "me", "a:b"),
            ("bWU6YTpi\n", "me", "a:b"),
        ] {
            let (got_user, got_password) = split(&SecretBytes::from(value)).expect(value);
            assert_eq!(
                (got_user.expose_str(), got_password.expose_str()),
                (Some(user), Some(password)),
                "{value}"
            );
        }
    }

    #[test]
    fn a_value_without_a_colon_is_refused_and_never_printed() {
        for value in ["", "canary", "Y2FuYXJ5", "%%%"] {
            let problem = split(&SecretBytes::from(value)).err().expect(value);
            assert_eq!(problem.code, Code::ValueMalformed);
            assert!(!format!("{problem:?}").contains("canary"));
        }
    }

    proptest! {
        #[test]
        fn joining_undoes_splitting(user in "[^:]*", password: String) {
            let (got_user, got_password) = split(&SecretBytes::from(format!("{user}:{password}"))).expect("a colon");
            prop_assert_eq!(got_user.expose(), user.as_bytes());
            prop_assert_eq!(got_password.expose(), password.as_bytes());
        }
    }
}
