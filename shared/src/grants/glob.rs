//! Name patterns: `*` stands for any characters, also for none, `?` for exactly one; nothing else is special.

use crate::reference::{ObjectName, VaultName};

/// One pattern, in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern(String);

impl Pattern {
    /// A pattern for namespaces, which have lower-case names.
    pub(super) fn namespace(text: &str) -> Result<Self, String> {
        let legal = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if (1..=63).contains(&text.len()) && text.bytes().all(|b| legal(b) || is_wild(b)) {
            return Ok(Self(text.to_owned()));
        }
        Err(format!(
            "{text:?} is no namespace: write lower-case letters, digits and hyphens, * for any characters, ? for one"
        ))
    }

    /// A pattern for vaults.
    pub(super) fn vault(text: &str) -> Result<Self, String> {
        Self::azure(text, 24, VaultName::parse(text).is_ok()).ok_or_else(|| {
            format!(
                "{text:?} is no vault: write its short name (letters, digits, single hyphens, no DNS suffix), * for any \
                 characters, ? for one"
            )
        })
    }

    /// A pattern for objects.
    pub(super) fn object(text: &str) -> Result<Self, String> {
        Self::azure(text, 127, ObjectName::parse(text).is_ok()).ok_or_else(|| {
            format!("{text:?} is no object: write letters, digits and hyphens, * for any characters, ? for one")
        })
    }

    /// Azure's names, to be compared with names in lower case. What could match nothing is a mistake, and refused.
    fn azure(text: &str, longest: usize, is_name: bool) -> Option<Self> {
        let legal = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || is_wild(b);
        let is_pattern = text.bytes().any(is_wild) && text.bytes().all(legal) && text.len() <= longest;
        (is_name || is_pattern).then(|| Self(text.to_ascii_lowercase()))
    }

    /// The pattern, in lower case.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the whole `name` is of this pattern.
    pub(super) fn matches(&self, name: &str) -> bool {
        fits(&self.0, name)
    }
}

/// Whether the whole `name` is of the form of `pattern`, in which `*` stands for any text and `?` for any byte. Takes at most the product of both
/// lengths.
pub fn fits(pattern: &str, name: &str) -> bool {
    let (pattern, name) = (pattern.as_bytes(), name.as_bytes());
    let (mut p, mut n) = (0, 0);
    // Where to go on when the characters after the last star do not fit: the star takes one more.
    let mut star = None;
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p + 1, n));
                p += 1;
            }
            Some(b'?') => {
                p += 1;
                n += 1;
            }
            Some(wanted) if *wanted == name[n] => {
                p += 1;
                n += 1;
            }
            _ => {
                let Some((after, taken)) = star else { return false };
                star = Some((after, taken + 1));
                (p, n) = (after, taken + 1);
            }
        }
    }
    pattern[p..].iter().all(|b| *b == b'*')
}

fn is_wild(byte: u8) -> bool {
    matches!(byte, b'*' | b'?')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn stars_and_question_marks_are_all_that_is_special() {
        for (pattern, name, matches) in [
            ("db", "db", true),
            ("db", "DB", false),
            ("db", "dbx", false),
            ("db", "xdb", false),
            ("*", "", true),
            ("*", "anything-1", true),
            ("team-a-*", "team-a-", true),
            ("team-a-*", "team-a-db", true),
            ("team-a-*", "team-ab-db", false),
            ("*-db", "a-db-db", true),
            ("*-db", "a-db-dbx", false),
            ("a*b*c", "aXbXbXc", true),
            ("a*b*c", "aXcXb", false),
            ("d?", "db", true),
            ("d?", "d", false),
            ("d?", "dbx", false),
        ] {
            assert_eq!(
                Pattern::object(pattern).unwrap().matches(name),
                matches,
                "{pattern} {name}"
            );
        }
    }

    #[test]
    fn a_pattern_that_could_match_nothing_is_refused() {
        for bad in [
            "",
            "Team",
            "a.b",
            "a_b",
            "ä*",
            "[a-z]*",
            "{a,b}",
            "a/b",
            "a b",
            "!a",
            &"a".repeat(64),
        ] {
            assert!(Pattern::namespace(bad).is_err(), "{bad}");
        }
        for bad in [
            "",
            "kv",
            "1kv",
            "kv1.vault.azure.net",
            "https://kv1",
            "k\\*",
            "kv1-",
            "[k]v*",
            "кv*",
        ] {
            assert!(Pattern::vault(bad).is_err(), "{bad}");
        }
        for bad in ["", "a.b", "a_*", "a/*", "**/x", "a*#", &"a".repeat(128)] {
            assert!(Pattern::object(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn many_stars_take_no_time() {
        let pattern = Pattern::object(&format!("{}b", "a*".repeat(60))).unwrap();
        let start = std::time::Instant::now();
        assert!(!pattern.matches(&"a".repeat(127)));
        assert!(start.elapsed() < std::time::Duration::from_secs(1));
    }

    /// The same by recursion, too slow for long names and too simple to be wrong.
    fn reference(pattern: &[u8], name: &[u8]) -> bool {
        match (pattern, name) {
            ([], []) => true,
            ([b'*', rest @ ..], _) => {
                reference(rest, name) || matches!(name, [_, tail @ ..] if reference(pattern, tail))
            }
            ([b'?', rest @ ..], [_, tail @ ..]) => reference(rest, tail),
            ([p, rest @ ..], [n, tail @ ..]) => p == n && reference(rest, tail),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn matching_is_what_it_says(pattern in "[ab*?]{1,8}", name in "[ab]{0,10}") {
            let parsed = Pattern::object(&pattern).unwrap();
            prop_assert_eq!(parsed.matches(&name), reference(pattern.as_bytes(), name.as_bytes()));
        }
    }
}
