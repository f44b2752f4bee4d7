//! What the API server accepts as data of a Secret or ConfigMap, checked before anything is sent.

use crate::diagnosis::{Explanation, case};
use crate::secret::SecretBytes;
use crate::text::shortened;

/// The API server's limit on all values of one Secret or ConfigMap together, in bytes (keys do not count).
pub(crate) const MAX_DATA: usize = 1_048_576;

/// The longest vault value that is looked at, in bytes. Key Vault itself stops at 25 kB; twice [`MAX_DATA`] leaves room
/// for the base64 of anything that fits.
pub(crate) const MAX_VALUE: usize = 2 * MAX_DATA;

/// Refuses a vault value that cannot lead to data within [`MAX_DATA`].
pub(crate) fn check_value(value: &SecretBytes) -> Result<(), Explanation> {
    if value.len() <= MAX_VALUE {
        Ok(())
    } else {
        Err(too_large(value.len()))
    }
}

/// Refuses data the API server would refuse: an illegal key, or more than [`MAX_DATA`] bytes of values.
pub(crate) fn check_data<'a>(data: impl Iterator<Item = (&'a String, &'a SecretBytes)>) -> Result<(), Explanation> {
    let mut total = 0;
    for (key, value) in data {
        check_key(key)?;
        total += value.len();
    }
    if total <= MAX_DATA {
        Ok(())
    } else {
        Err(too_large(total))
    }
}

fn too_large(bytes: usize) -> Explanation {
    case::DataTooLarge {
        bytes: &bytes,
        limit: &MAX_DATA,
    }
    .into()
}

/// Whether the API server takes `key` in a Secret or ConfigMap:
/// <https://kubernetes.io/docs/concepts/configuration/configmap/#configmap-object>.
pub(crate) fn is_data_key(key: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    (1..=253).contains(&key.len()) && key.bytes().all(allowed) && key != "." && !key.starts_with("..")
}

fn check_key(key: &str) -> Result<(), Explanation> {
    if is_data_key(key) {
        return Ok(());
    }
    let key = &format_args!("{:?}", shortened(key, 64));
    Err(case::PairNotAllowed { key }.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnosis::Code;

    #[test]
    fn keys_are_checked_as_the_api_server_does() {
        for good in ["a", "tls.crt", ".dockerconfigjson", "A-b_c.9", &"k".repeat(253)] {
            assert!(check_key(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            ".",
            "..",
            "..data",
            "a b",
            "a/b",
            "ä",
            "a\0",
            "<<",
            &"k".repeat(254),
        ] {
            let problem = check_key(bad).expect_err(bad);
            assert_eq!(problem.code, Code::DataKeyInvalid);
        }
    }

    #[test]
    fn a_refused_key_is_named_and_a_long_one_shortened() {
        assert!(check_key("a b").expect_err("blank").cause.contains("\"a b\""));
        assert!(check_key(&"ä".repeat(10_000)).expect_err("long").cause.len() < 300);
    }

    #[test]
    fn values_may_fill_the_limit_but_not_a_byte_more() {
        let half = SecretBytes::new(vec![b'x'; MAX_DATA / 2]);
        let more = SecretBytes::new(vec![b'x'; MAX_DATA / 2 + 1]);
        let (a, b) = ("a".to_owned(), "b".to_owned());
        assert!(check_data([(&a, &half), (&b, &half)].into_iter()).is_ok());
        let problem = check_data([(&a, &half), (&b, &more)].into_iter()).expect_err("one byte too many");
        assert_eq!(problem.code, Code::ValueTooLarge);
        assert!(problem.cause.contains("1048577"));
    }
}
