//! Takes out of texts what looks like a credential, whoever it is of. Pure, and best effort: rather too much goes than too little.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::redact::GONE;
use name::Name;

mod name;

/// How names end whose value is taken out, in lower case and of letters and digits only: `DB_PASSWORD`, `--db-password`, `dbPassword`.
const NAME_ENDS: [&str; 26] = [
    "password",
    "passwords",
    "passwd",
    "passphrase",
    "passcode",
    "pwd",
    "secret",
    "token",
    "credential",
    "credentials",
    "assertion",
    "connectionstring",
    "authorization",
    "cookie",
    "apikey",
    "accesskey",
    "accountkey",
    "encryptionkey",
    "functionskey",
    "masterkey",
    "privatekey",
    "secretkey",
    "sharedkey",
    "signingkey",
    "storagekey",
    "subscriptionkey",
];

/// Names that count only as a whole word: many others end like them.
const WORDS: [&str; 3] = ["pass", "sig", "sas"];

/// What stands for no value at all.
const NO_VALUES: [&str; 5] = ["", "true", "false", "null", "none"];

/// `text` without them: tokens, what is before the `@` of URLs, what follows the name of a secret or an authentication scheme.
pub(super) fn without_credentials(text: &str) -> String {
    without_schemes(&without_named(&without_users(&without_tokens(text))))
}

/// JSON Web Tokens (RFC 7519): three parts in base64url, of which the first is a JSON object; also without their signature.
fn without_tokens(text: &str) -> String {
    let is_token = |word: &str| word.starts_with("eyJ") && word.len() > 20 && word.contains('.');
    replaced(text, |text, at| {
        let before = text[..at].bytes().next_back();
        let starts = text[at..].starts_with("eyJ") && !before.is_some_and(is_name);
        let end = at + text[at..].bytes().take_while(|byte| is_name(*byte)).count();
        (starts && is_token(&text[at..end])).then_some((at, end))
    })
}

/// What stands before the `@` of a URL, user and password alike.
fn without_users(text: &str) -> String {
    const SCHEME: &str = "://";
    replaced(text, |text, at| {
        let rest = text[at..].strip_prefix(SCHEME)?;
        let start = at + SCHEME.len();
        let word = &rest[..rest.find(ends_url).unwrap_or(rest.len())];
        let authority = &word[..word.find(['/', '?', '#']).unwrap_or(word.len())];
        // A password may hold any of these as it is: then what looks like a host has no port behind its colon.
        let is_host = |(_, port): (&str, &str)| port.bytes().all(|byte| byte.is_ascii_digit());
        let within = if authority.contains('@') {
            &word[..word.find('?').unwrap_or(word.len())]
        } else if authority.starts_with('[') || authority.split_once(':').is_none_or(is_host) {
            authority
        } else {
            word
        };
        Some((start, start + within.rfind('@')?))
    })
}

fn ends_url(c: char) -> bool {
    c.is_whitespace() || matches!(c, '"' | '\'' | '`' | '<' | '>')
}

/// `Bearer …` and `Basic …` without a name before them.
fn without_schemes(text: &str) -> String {
    let is_word = |byte: u8| is_name(byte) || matches!(byte, b'+' | b'/' | b'~' | b'=');
    replaced(text, |text, at| {
        let before = text[..at].bytes().next_back();
        if before.is_some_and(is_name) {
            return None;
        }
        let scheme = ["bearer ", "basic "].into_iter().find(|scheme| {
            text.get(at..at + scheme.len())
                .is_some_and(|it| it.eq_ignore_ascii_case(scheme))
        })?;
        let start = at + scheme.len();
        let end = start + text[start..].bytes().take_while(|byte| is_word(*byte)).count();
        let word = &text[start..end];
        // Basic authentication is also what people write of; a bearer is always one of something.
        let is_pair = || STANDARD.decode(word).is_ok_and(|pair| pair.contains(&b':'));
        (!word.is_empty() && (scheme == "bearer " || is_pair())).then_some((start, end))
    })
}

/// What follows the name of a secret: `name=…`, `name: …`, `"name": "…"`, `--name …`, and `name: NAME, value: …`.
fn without_named(text: &str) -> String {
    replaced(text, |text, at| {
        let before = text[..at].bytes().next_back();
        if before.is_some_and(is_name) {
            return None;
        }
        let end = at + text[at..].bytes().take_while(|byte| is_name(*byte)).count();
        if !is_secret(&text[at..end]) {
            return None;
        }
        let (start, end) = Name { text, start: at, end }.value()?;
        let value = text[start..end].trim_end_matches([',', ';']);
        let is_none = NO_VALUES.iter().any(|none| value.eq_ignore_ascii_case(none));
        (!is_none).then_some((start, end))
    })
}

/// Whether `name` is that of a secret.
fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let plain: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
    let last = name
        .rsplit(|c: char| !c.is_ascii_alphanumeric())
        .next()
        .unwrap_or_default();
    WORDS.contains(&last) || NAME_ENDS.iter().any(|end| plain.ends_with(end))
}

/// What names and tokens are made of.
fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.')
}

/// `text` with the ranges gone that `find` tells of: asked at each place whether what begins there says that a range is to go.
/// Ranges begin and end beside ASCII characters, as all that `find` looks at are.
fn replaced(text: &str, find: impl Fn(&str, usize) -> Option<(usize, usize)>) -> String {
    let mut clean = String::with_capacity(text.len());
    let (mut kept, mut at) = (0, 0);
    while at < text.len() {
        let found = text.is_char_boundary(at).then(|| find(text, at)).flatten();
        at = match found {
            Some((start, end)) if start < end && kept <= start => {
                clean.push_str(&text[kept..start]);
                clean.push_str(GONE);
                kept = end;
                end
            }
            _ => at + 1,
        };
    }
    clean.push_str(&text[kept..]);
    clean
}

#[cfg(test)]
mod tests;
