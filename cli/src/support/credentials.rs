//! Takes out of texts what looks like a credential, whoever it is of. Pure, and best effort: rather too much goes than too little.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;

use super::redact::GONE;

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

/// Headers whose value is all of the line, whatever the scheme.
const LINES: [&str; 2] = ["authorization", "cookie"];

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
        let found = Name { text, start: at, end };
        let (start, end) = found.value()?;
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

/// The name of a secret, within its text.
#[derive(Clone, Copy)]
struct Name<'t> {
    text: &'t str,
    start: usize,
    end: usize,
}

impl<'t> Name<'t> {
    /// Where its value is. Behind a sign, how far it goes is a question of how the name is written.
    fn value(self) -> Option<(usize, usize)> {
        if let Some(start) = self.behind_sign() {
            return if self.is_answered(start) {
                None
            } else {
                self.assigned(start)
            };
        }
        match self.pair() {
            Some((value, start)) => value.assigned(start),
            None => self.option(),
        }
    }

    fn assigned(self, start: usize) -> Option<(usize, usize)> {
        if self.begins_line() {
            self.of_line(start)
        } else if self.quote_behind().is_empty() {
            self.inline(start)
        } else {
            self.of_field(start)
        }
    }

    /// `name: …` where a line or a text in quotes begins, as in YAML, files of variables, headers and quoted arguments: all that follows,
    /// with the lines of a block.
    fn of_line(self, start: usize) -> Option<(usize, usize)> {
        match self.block(start) {
            Some(end) => Some((start, end)),
            None => self.plain(start, <[u8]>::len),
        }
    }

    /// `"name": …` among other fields.
    fn of_field(self, start: usize) -> Option<(usize, usize)> {
        self.plain(start, |line| until(line, |byte| b",}]".contains(&byte)))
    }

    /// `--name …`, also as one word of a list: the next word; all of the line that begins with it.
    fn option(self) -> Option<(usize, usize)> {
        if !self.name().starts_with('-') {
            return None;
        }
        let word = next_word(self.behind())?;
        let takes_all = self.begins_line();
        self.plain(self.text.len() - word.len(), |line| {
            if takes_all { line.len() } else { self.word(line) }
        })
    }

    /// `name=…` among other words: one word; of headers all of the line.
    fn inline(self, start: usize) -> Option<(usize, usize)> {
        let name = self.name().to_ascii_lowercase();
        let is_header = LINES.iter().any(|end| name.ends_with(end));
        self.plain(start, |line| if is_header { line.len() } else { self.word(line) })
    }

    fn name(self) -> &'t str {
        &self.text[self.start..self.end]
    }

    /// The quote that closes behind the name; empty if none does.
    fn quote_behind(self) -> &'t str {
        let rest = &self.text[self.end..];
        quote(rest.as_bytes()).map_or("", |quote| &rest[..quote.len()])
    }

    /// What follows the name and its quote.
    fn behind(self) -> &'t str {
        &self.text[self.end + self.quote_behind().len()..]
    }

    /// Where the value begins, if there is a sign between the name and it.
    fn behind_sign(self) -> Option<usize> {
        let signs = self.behind().trim_start_matches([' ', '\t']);
        let value = signs.trim_start_matches([':', '=', '>']);
        let is_sign = value.len() < signs.len() && !signs.starts_with("://");
        is_sign.then(|| self.text.len() - value.trim_start_matches([' ', '\t']).len())
    }

    /// The word `value` of `name: NAME, value: …`, where the name is itself a value, as in a list of variables; and where its value begins.
    fn pair(self) -> Option<(Self, usize)> {
        let next = self.behind().trim_start_matches([',', ' ', '\t', '\r', '\n']);
        let next = next.trim_start_matches(['\\', '"', '\'']);
        let start = self.text.len() - next.len();
        let end = self.text.len() - next.strip_prefix("value")?.len();
        let value = Self { start, end, ..self };
        Some((value, value.behind_sign()?))
    }

    /// `…/oauth2/v2.0/token: 400` and `serviceaccounts/token: forbidden` tell what was answered to a path.
    fn is_answered(self, start: usize) -> bool {
        let is_path = self.text[..self.start].ends_with('/') && self.text[self.end..].starts_with(':');
        let answer = self.text[start..].split(char::is_whitespace).next().unwrap_or_default();
        let is_status = answer.len() == 3 && answer.bytes().all(|byte| byte.is_ascii_digit());
        is_path && (is_status || answer == "forbidden")
    }

    /// The line up to the name, without what belongs to it: a path that is no URL, and the quote that closes behind it.
    fn before(self) -> &'t str {
        let start = self.text[..self.start].rfind('\n').map_or(0, |at| at + 1);
        let line = &self.text[start..self.start];
        let ends_key = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '`' | '{' | '[' | '(' | ',' | '=');
        let path = line.rsplit(ends_key).next().unwrap_or_default();
        let is_path = path.ends_with('/') && !path.contains("://");
        let line = if is_path {
            &line[..line.len() - path.len()]
        } else {
            line
        };
        line.strip_suffix(self.quote_behind()).unwrap_or(line)
    }

    /// Whether nothing stands before the name but what lists, exports or dates it; or a quote in which the value stands, too.
    fn begins_line(self) -> bool {
        let before = self.before();
        let is_enclosed = self.quote_behind().is_empty() && before.ends_with(['"', '\'', '`']);
        is_enclosed || matches!(undated(before).trim(), "" | "-" | "export")
    }

    /// The quote in which name and value stand together, if they do.
    fn enclosing(self) -> Option<u8> {
        if !self.quote_behind().is_empty() {
            return None;
        }
        let before = self.before().as_bytes();
        if let Some(quote @ (b'\'' | b'`')) = before.last() {
            return Some(*quote);
        }
        let mut open = false;
        for (at, byte) in before.iter().enumerate() {
            open ^= *byte == b'"' && (at == 0 || before[at - 1] != b'\\');
        }
        open.then_some(b'"')
    }

    /// The value at `start`: in quotes up to their end, else as much as `length` says of the line up to the quote that encloses it.
    fn plain(self, start: usize, length: impl FnOnce(&[u8]) -> usize) -> Option<(usize, usize)> {
        let rest = &self.text.as_bytes()[start..];
        let enclosing = self.enclosing();
        let is_empty = enclosing.is_some_and(|quote| rest.first() == Some(&quote));
        if is_empty || is_structure(rest) || rest.starts_with(GONE.as_bytes()) {
            return None;
        }
        if let Some(quote) = quote(rest) {
            let from = start + quote.len();
            return Some((from, from + length_until(&rest[quote.len()..], quote)));
        }
        let line = until(rest, |byte| byte == b'\n' || byte == b'\r');
        let line = &rest[..enclosing.map_or(line, |quote| line.min(length_until(rest, &[quote])))];
        Some((start, start + length(line)))
    }

    /// Where a block of YAML ends that `|` or `>` at the end of the line opens: with the last line that is further in than the name.
    fn block(self, start: usize) -> Option<usize> {
        let mut lines = self.text[start..].split_inclusive('\n');
        let first = lines.next()?;
        let opening = first.split(" #").next().unwrap_or_default().trim_end();
        let sign = opening.rsplit([' ', '\t']).next()?.strip_prefix(['|', '>'])?;
        if !sign
            .bytes()
            .all(|byte| byte.is_ascii_digit() || matches!(byte, b'+' | b'-'))
        {
            return None;
        }
        let column = undated(self.before()).len();
        let (mut at, mut end) = (start + first.len(), start + first.trim_end().len());
        for line in lines {
            let text = undated(line);
            let is_blank = text.trim().is_empty();
            if !is_blank && text.len() - text.trim_start_matches([' ', '\t']).len() <= column {
                break;
            }
            if !is_blank {
                end = at + line.trim_end().len();
            }
            at += line.len();
        }
        Some(end)
    }

    /// How much of `line` is one word, with what is quoted in it; in a query of a URL also `&` ends it.
    fn word(self, line: &[u8]) -> usize {
        let in_query = matches!(self.text[..self.start].bytes().next_back(), Some(b'?' | b'&'));
        let mut quoted = false;
        let ends = |byte: u8| {
            quoted ^= byte == b'"';
            !quoted && (byte.is_ascii_whitespace() || (in_query && byte == b'&'))
        };
        until(line, ends)
    }
}

/// `line` behind the time that it begins with, as lines of logs do.
fn undated(line: &str) -> &str {
    match line.split_once(' ') {
        Some((first, rest)) if first.parse::<Timestamp>().is_ok() => rest,
        _ => line,
    }
}

/// The next word of a command line, or of one in a list; another flag is none.
fn next_word(rest: &str) -> Option<&str> {
    let listed = rest.trim_start_matches([' ', '\t']).starts_with(',');
    let between: &[char] = if listed {
        &[',', ' ', '\t', '\r', '\n']
    } else {
        &[' ', '\t']
    };
    let word = rest.trim_start_matches(between);
    let is_flag = word.trim_start_matches(['"', '\'']).starts_with('-');
    let ends = word.starts_with([']', '\r', '\n']) || word.is_empty();
    (word.len() < rest.len() && !is_flag && !ends).then_some(word)
}

/// The quote that `bytes` begin with; one within a JSON text has a backslash before it.
fn quote(bytes: &[u8]) -> Option<&[u8]> {
    let length = usize::from(bytes.first() == Some(&b'\\')) + 1;
    matches!(bytes.get(length - 1)?, b'"' | b'\'' | b'`').then(|| &bytes[..length])
}

/// An object or a list: the names in it are looked at one by one.
fn is_structure(bytes: &[u8]) -> bool {
    matches!(
        bytes,
        [
            b'{' | b'[',
            b'"' | b'\\' | b' ' | b'\r' | b'\n' | b'{' | b'}' | b'[' | b']',
            ..
        ] | [b'{' | b'[']
    )
}

/// How much of `bytes` is before `quote`, or before the line's end; one that a backslash makes a part of the text is passed over.
fn length_until(bytes: &[u8], quote: &[u8]) -> usize {
    let mut escaped = false;
    for (at, byte) in bytes.iter().enumerate() {
        if *byte == b'\n' || (!escaped && bytes[at..].starts_with(quote)) {
            return at;
        }
        escaped = *byte == b'\\' && !escaped;
    }
    bytes.len()
}

fn until(bytes: &[u8], ends: impl FnMut(u8) -> bool) -> usize {
    bytes.iter().copied().position(ends).unwrap_or(bytes.len())
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
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_follows_the_name_of_a_secret_goes_whatever_it_is_made_of() {
        for (text, expected) in [
            ("DB_PASSWORD=x", "DB_PASSWORD=[REDACTED]"),
            ("AZURE_PASSWORD=x", "AZURE_PASSWORD=[REDACTED]"),
            (
                "AZURE_CLIENT_CERTIFICATE_PASSWORD=x",
                "AZURE_CLIENT_CERTIFICATE_PASSWORD=[REDACTED]",
            ),
            ("AZURE_CLIENT_SECRET=abc~d", "AZURE_CLIENT_SECRET=[REDACTED]"),
            ("run --db-password=x --port 1", "run --db-password=[REDACTED] --port 1"),
            ("run --db-password x --port 1", "run --db-password [REDACTED] --port 1"),
            ("run --password --port 1", "run --password --port 1"),
            (
                "run --db-password values --port 1",
                "run --db-password [REDACTED] --port 1",
            ),
            ("--db-password correct horse", "--db-password [REDACTED]"),
            ("apikey: x", "apikey: [REDACTED]"),
            ("X-Api-Key: x", "X-Api-Key: [REDACTED]"),
            ("dbPassword: correct horse", "dbPassword: [REDACTED]"),
            ("- db.password: 'correct horse' # x", "- db.password: '[REDACTED]' # x"),
            ("password=S3cr!t#99", "password=[REDACTED]"),
            ("with password=S3cr!t#99,$@& then", "with password=[REDACTED] then"),
            ("with DB_PASS=a then", "with DB_PASS=[REDACTED] then"),
            (
                "AccountName=a;AccountKey=ab+/==;EndpointSuffix=core.windows.net",
                "AccountName=a;AccountKey=[REDACTED]",
            ),
            (
                "2026-11-30T12:00:00.1Z password=a b",
                "2026-11-30T12:00:00.1Z password=[REDACTED]",
            ),
            ("Password: Some(\"a b\") x", "Password: [REDACTED]"),
            ("got Password: Some(\"a b\") x", "got Password: [REDACTED] x"),
            ("<password>x</password>", "<password>[REDACTED]"),
            ("https://h/p?sv=1&sig=abc%2F&x=1", "https://h/p?sv=1&sig=[REDACTED]&x=1"),
            ("kv/password: hunter2", "kv/password: [REDACTED]"),
            ("kv/password: correct horse", "kv/password: [REDACTED]"),
            (
                "found kv/password: hunter2 there",
                "found kv/password: [REDACTED] there",
            ),
            ("kv/pin-token: 4000", "kv/pin-token: [REDACTED]"),
            (
                r#""shop.example/db-password": "hunter2""#,
                r#""shop.example/db-password": "[REDACTED]""#,
            ),
            (
                r#"{"shop.example/pin-token": 400, "user": "u"}"#,
                r#"{"shop.example/pin-token": [REDACTED], "user": "u"}"#,
            ),
            (
                "'shop.example/db-password': correct, horse\nuser: u",
                "'shop.example/db-password': [REDACTED]\nuser: u",
            ),
            ("'kv/password=correct horse' x", "'kv/password=[REDACTED]' x"),
            ("password: |\n  hunter2\nuser: u", "password: [REDACTED]\nuser: u"),
        ] {
            assert_eq!(without_credentials(text), expected);
        }
    }

    #[test]
    fn a_block_goes_with_all_lines_that_are_further_in_than_its_name() {
        for (text, expected) in [
            ("password: >-\n  correct\n\n  horse\n", "password: [REDACTED]\n"),
            ("password: | # of the shop\n  hunter2", "password: [REDACTED]"),
            ("password: !!binary |\n  aHVudGVyMg==\nx", "password: [REDACTED]\nx"),
            (
                "- \"db-password\": |2-\r\n     hunter2\r\n  user: u",
                "- \"db-password\": [REDACTED]\r\n  user: u",
            ),
            (
                "- name: DB_PASSWORD\n  value: |\n    hunter2\n- name: b",
                "- name: DB_PASSWORD\n  value: [REDACTED]\n- name: b",
            ),
            (
                "2026-11-30T12:00:00.1Z   password: |\n2026-11-30T12:00:00.2Z     hunter2\n2026-11-30T12:00:00.3Z   user: u",
                "2026-11-30T12:00:00.1Z   password: [REDACTED]\n2026-11-30T12:00:00.3Z   user: u",
            ),
            ("password: |", "password: [REDACTED]"),
            ("password: |x\n  user: u", "password: [REDACTED]\n  user: u"),
        ] {
            assert_eq!(without_credentials(text), expected);
        }
    }

    #[test]
    fn what_stands_in_quotes_goes_up_to_their_end() {
        for (text, expected) in [
            (
                r#"{"password":"abc","user":"u"}"#,
                r#"{"password":"[REDACTED]","user":"u"}"#,
            ),
            (
                r#"{"password":"a\"b","user":"u"}"#,
                r#"{"password":"[REDACTED]","user":"u"}"#,
            ),
            (
                r#"{"pin_token":12,"user":"u"}"#,
                r#"{"pin_token":[REDACTED],"user":"u"}"#,
            ),
            (
                r#"["--db-password=a b","--x"]"#,
                r#"["--db-password=[REDACTED]","--x"]"#,
            ),
            (
                "[\n  \"--db-password\",\n  \"a b\"\n]",
                "[\n  \"--db-password\",\n  \"[REDACTED]\"\n]",
            ),
            ("[\n  \"--db-password\"\n]", "[\n  \"--db-password\"\n]"),
            (
                r#"{"m":"password=\"a b\" of","u":1}"#,
                r#"{"m":"password=\"[REDACTED]\" of","u":1}"#,
            ),
            (
                r#"{"name": "DB_PASSWORD", "value": "a b"}"#,
                r#"{"name": "DB_PASSWORD", "value": "[REDACTED]"}"#,
            ),
            (
                "- name: DB_PASSWORD\n  value: a b\n",
                "- name: DB_PASSWORD\n  value: [REDACTED]\n",
            ),
            (
                "- name: \"DB_PASSWORD\"\n  value: a b\n",
                "- name: \"DB_PASSWORD\"\n  value: [REDACTED]\n",
            ),
        ] {
            assert_eq!(without_credentials(text), expected);
        }
    }

    #[test]
    fn every_authorization_goes_whatever_its_scheme_and_so_do_users_of_urls() {
        for (text, expected) in [
            ("Authorization: Bearer abc.def-1", "Authorization: [REDACTED]"),
            ("Authorization: Basic dXNlcjpwdw==", "Authorization: [REDACTED]"),
            (
                "> Authorization: Digest username=\"u\", response=\"x\"",
                "> Authorization: [REDACTED]",
            ),
            (
                "Proxy-Authorization: SharedKey a:b\nx",
                "Proxy-Authorization: [REDACTED]\nx",
            ),
            (
                "curl -H 'Authorization: Basic abc' -v",
                "curl -H 'Authorization: [REDACTED]' -v",
            ),
            (
                r#"{"h":"authorization: Negotiate a b","x":1}"#,
                r#"{"h":"authorization: [REDACTED]","x":1}"#,
            ),
            ("sent bearer abc", "sent bearer [REDACTED]"),
            ("sent Basic dXNlcjpwdw== to", "sent Basic [REDACTED] to"),
            ("https://user:pw@host/p", "https://[REDACTED]@host/p"),
            ("postgres://u:p/w#1?@host:1/db x", "postgres://[REDACTED]@host:1/db x"),
            ("redis://:pw@host", "redis://[REDACTED]@host"),
            (
                "token eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln end",
                "token [REDACTED] end",
            ),
        ] {
            assert_eq!(without_credentials(text), expected);
        }
    }

    #[test]
    fn what_only_tells_of_secrets_stays() {
        for text in [
            "secret 'db' in vault 'kv1': there is none",
            "secretName: db",
            "{\"secret\": {\"name\": \"db\", \"dataKey\": \"v\"}}",
            "\"secret\": {\n  \"name\": \"db\"\n}",
            "\"type\": \"secret\",",
            "automountServiceAccountToken: true",
            "\"password\": null,",
            "AZURE_FEDERATED_TOKEN_FILE=/var/run/secrets/token.jwt",
            "tokenExpirationSeconds: 3600",
            "akv2k8s_token_requests_total{vault=\"kv1\"} 3",
            "https://login.microsoftonline.com/t/oauth2/v2.0/token: 400 Bad Request",
            "cannot create serviceaccounts/token: forbidden",
            "Basic authentication is off",
            "https://kv1.vault.azure.net:443/secrets/db?x=a@b",
            "https://[::1]:443/a@b",
            "registry.example.org/app@sha256:0123",
            "VALUE=db@azurekeyvault",
            "bypass: on",
            "configsig=1",
        ] {
            assert_eq!(without_credentials(text), text);
        }
    }

    proptest! {
        #[test]
        fn no_value_of_a_password_survives(value in "[a-z0-9][!#-&(-_a-z{-~]{0,20}[0-9]", before in "(at |\\{\"m\":\"|)") {
            let text = without_credentials(&format!("{before}DB_PASSWORD={value}"));
            prop_assert_eq!(text, format!("{before}DB_PASSWORD={GONE}"));
        }

        #[test]
        fn no_text_makes_it_panic(text in "(\\PC|password|[=:\"' \n&]|://|@|--|Bearer ){0,30}") {
            without_credentials(&text);
        }
    }
}
