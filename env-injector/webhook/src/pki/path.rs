//! The secret path under which the API server calls the webhook: `/pods/TOKEN`. Pure.
//!
//! A token is a MAC over the hour for which it is published, by a key that all replicas share. So they agree without writing anything, and
//! nothing that was ever shown to somebody is good for longer than two hours.

use std::fmt::Write;

use akv2k8s_shared::secret::SecretBytes;
use jiff::Timestamp;
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};

/// The path that manifests write, and the secret one's beginning.
pub(super) const PLAIN: &str = "/pods";
/// How long a token is the published one, in seconds.
const PERIOD: i64 = 3600;
/// Bytes of the key.
const KEY: usize = 32;

/// A new key.
pub(super) fn make_key() -> Result<SecretBytes, String> {
    let mut key = vec![0; KEY];
    let filled = SystemRandom::new().fill(&mut key);
    filled.map_err(|_| "the system gives no random numbers".to_owned())?;
    Ok(SecretBytes::new(key))
}

/// Whether `bytes` can be a key.
pub(super) fn is_key(bytes: &SecretBytes) -> bool {
    bytes.len() == KEY
}

/// The path to publish at `now`.
pub(super) fn current(key: &SecretBytes, now: Timestamp) -> String {
    let tag = hmac::sign(&mac(key), &message(period(now)));
    tag.as_ref().iter().fold(format!("{PLAIN}/"), |mut path, byte| {
        let _ = write!(path, "{byte:02x}");
        path
    })
}

/// Whether `path` need not be replaced: it is this hour's, or the next one's, which a replica published whose clock is ahead.
pub(super) fn is_current(key: &SecretBytes, path: &str, now: Timestamp) -> bool {
    is_of(key, path, &[period(now), period(now) + 1])
}

/// Whether who calls `path` knows a secret of this hour or one beside it. The time that takes tells nothing about the token.
pub(super) fn is_known(key: &SecretBytes, path: &str, now: Timestamp) -> bool {
    is_of(key, path, &[period(now), period(now) - 1, period(now) + 1])
}

fn is_of(key: &SecretBytes, path: &str, periods: &[i64]) -> bool {
    let token = path.strip_prefix(PLAIN).and_then(|rest| rest.strip_prefix('/'));
    let Some(tag) = token.and_then(bytes) else { return false };
    let key = mac(key);
    periods.iter().any(|it| hmac::verify(&key, &message(*it), &tag).is_ok())
}

fn period(now: Timestamp) -> i64 {
    now.as_second().div_euclid(PERIOD)
}

fn message(period: i64) -> Vec<u8> {
    format!("{PLAIN} {period}").into_bytes()
}

fn mac(key: &SecretBytes) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, key.expose())
}

/// The bytes that hexadecimal digits in small letters stand for.
fn bytes(text: &str) -> Option<Vec<u8>> {
    let is_hex = text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let pairs = (0..text.len()).step_by(2);
    is_hex.then(|| {
        pairs
            .filter_map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok())
            .collect()
    })
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;

    fn at(hours: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000).unwrap() + SignedDuration::from_hours(hours)
    }

    #[test]
    fn a_path_is_good_in_its_hour_and_the_one_after_it() {
        let key = make_key().unwrap();
        let path = current(&key, at(0));
        let known = |hours| is_known(&key, &path, at(hours));
        assert_eq!([-2, -1, 0, 1, 2].map(known), [false, true, true, true, false]);
        let stays = |hours| is_current(&key, &path, at(hours));
        assert_eq!([-2, -1, 0, 1].map(stays), [false, true, true, false]);
        assert_ne!(current(&key, at(1)), path);
        assert_eq!(current(&key, at(0)), path, "replicas agree");
    }

    #[test]
    fn nothing_else_is_known() {
        let key = make_key().unwrap();
        let path = current(&key, at(0));
        for other in [
            String::new(),
            "/".to_owned(),
            PLAIN.to_owned(),
            format!("{PLAIN}/"),
            path.to_uppercase(),
            path[..path.len() - 1].to_owned(),
            format!("{path}0"),
            format!("{path}/"),
            path.replace("/pods", ""),
            format!("{PLAIN}/{}", "0".repeat(64)),
            format!("{PLAIN}/{}", "é".repeat(32)),
            current(&make_key().unwrap(), at(0)),
        ] {
            assert!(!is_known(&key, &other, at(0)), "{other}");
        }
    }

    #[test]
    fn the_api_server_takes_it_as_a_path_of_a_service() {
        // Each part has to be a DNS name: validation of `clientConfig.service.path`.
        let path = current(&make_key().unwrap(), at(0));
        assert!(path.starts_with("/pods/") && path.len() == 70);
        assert!(
            path[1..]
                .split('/')
                .all(|part| part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()))
        );
    }
}
