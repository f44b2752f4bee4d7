//! Change marks: the same for GET and LIST of the same state.

use std::collections::HashMap;
use std::fmt::Write as _;

use azure_core::http::headers::{HeaderName, Headers};
use azure_core::time::parse_rfc7231;
use sha2::{Digest, Sha256};

use super::model::{Attributes, Fingerprint};

const DATE: HeaderName = HeaderName::from_static("date");
/// Hexadecimal digits of a mark: 96 bits, ample for "did it change".
const DIGITS: usize = 24;
/// `updated` has whole seconds: a second change within the same one leaves it as it was. Clocks of the vault's own nodes
/// may differ a little, too.
const SETTLES_AFTER: i64 = 2;

impl Fingerprint {
    /// The mark of an object that is described by several: a certificate and the secret behind it, in this order.
    pub fn combine(marks: &[&Self]) -> Self {
        match marks {
            [one] => (*one).clone(),
            several => Self(several.iter().map(|mark| mark.0.as_str()).collect::<Vec<_>>().join("-")),
        }
    }

    /// The mark of one object. Never of its value.
    pub(super) fn of(
        attributes: &Attributes,
        content_type: Option<&str>,
        tags: Option<&HashMap<String, String>>,
        thumbprint: Option<&[u8]>,
    ) -> Self {
        let Attributes {
            enabled,
            created,
            updated,
            expires,
            not_before,
        } = attributes;
        let mut hash = Sha256::new();
        let mut add = |part: &[u8]| {
            // Length first, so that no two lists of parts look alike.
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        };
        add(format!("{enabled} {created:?} {updated:?} {expires:?} {not_before:?}").as_bytes());
        add(content_type.unwrap_or_default().as_bytes());
        add(thumbprint.unwrap_or_default());
        let mut tags: Vec<_> = tags.into_iter().flatten().collect();
        tags.sort();
        for (name, value) in tags {
            add(name.as_bytes());
            add(value.as_bytes());
        }
        let mut text = String::with_capacity(64);
        for byte in hash.finalize() {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
        }
        text.truncate(DIGITS);
        Self(text)
    }
}

/// Whether the last change lies far enough before the moment of the answer, by the vault's own clock, for its mark to
/// be kept. Without both times it never does.
pub(super) fn settled(updated: Option<i64>, headers: &Headers) -> bool {
    let date = headers
        .get_optional_str(&DATE)
        .and_then(|date| parse_rfc7231(date).ok())
        .map(azure_core::time::OffsetDateTime::unix_timestamp);
    matches!((updated, date), (Some(updated), Some(date)) if date - updated > SETTLES_AFTER)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attributes() -> Attributes {
        Attributes {
            enabled: true,
            created: Some(1_700_000_000),
            updated: Some(1_700_000_001),
            expires: None,
            not_before: None,
        }
    }

    fn tags(pairs: &[(&str, &str)]) -> HashMap<String, String> {
        pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn every_part_changes_the_mark_and_the_order_of_tags_does_not() {
        let of = |change: fn(&mut Attributes)| {
            let mut attributes = attributes();
            change(&mut attributes);
            Fingerprint::of(&attributes, None, None, None)
        };
        let tagged = |pairs| Fingerprint::of(&attributes(), None, Some(&tags(pairs)), None);
        let marks = [
            of(|_| {}),
            of(|a| a.enabled = false),
            of(|a| a.created = Some(1)),
            of(|a| a.updated = Some(1)),
            of(|a| a.expires = Some(1)),
            of(|a| a.not_before = Some(1)),
            Fingerprint::of(&attributes(), Some("text"), None, None),
            Fingerprint::of(&attributes(), None, None, Some(b"thumb")),
            tagged(&[("a", "b")]),
            tagged(&[("a", "b"), ("c", "d")]),
            tagged(&[("ab", "")]),
        ];
        let distinct: std::collections::HashSet<_> = marks.iter().collect();
        assert_eq!(distinct.len(), marks.len());
        assert_eq!(tagged(&[("a", "b"), ("c", "d")]), tagged(&[("c", "d"), ("a", "b")]));
        assert_eq!(
            Fingerprint::of(&attributes(), Some(""), Some(&HashMap::new()), None),
            of(|_| {})
        );
    }

    #[test]
    fn a_mark_is_the_same_in_every_version_of_this_program() {
        // Statuses hold marks: another mark for the same state would re-read every object after an upgrade. Made by:
        // printf '\0\0\0\0\0\0\0\60true Some(1700000000) Some(1700000001) None None\0…' (16 zero bytes) | sha256sum
        let mark = Fingerprint::of(&attributes(), None, None, None);
        assert_eq!(mark.0, "fc65fb32db8cb29b9e79df28");
    }

    #[test]
    fn a_change_settles_two_seconds_later_by_the_vaults_clock() {
        // 1700000000 is Tue, 14 Nov 2023 22:13:20 GMT.
        let mut headers = Headers::new();
        headers.insert(DATE, "Tue, 14 Nov 2023 22:13:20 GMT");
        assert!(settled(Some(1_699_999_997), &headers));
        for updated in [Some(1_699_999_998), Some(1_700_000_000), Some(1_700_000_100), None] {
            assert!(!settled(updated, &headers), "{updated:?}");
        }
        assert!(!settled(Some(1), &Headers::new()));
    }
}
