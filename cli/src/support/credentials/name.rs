//! Where the value of a name is: how far it goes is a question of how the name is written.

use jiff::Timestamp;

use super::GONE;

/// Headers whose value is all of the line, whatever the scheme.
const LINES: [&str; 2] = ["authorization", "cookie"];

/// The name of a secret, within its text.
#[derive(Clone, Copy)]
pub(super) struct Name<'t> {
    pub(super) text: &'t str,
    pub(super) start: usize,
    pub(super) end: usize,
}

impl<'t> Name<'t> {
    /// Where its value is. Behind a sign, how far it goes is a question of how the name is written.
    pub(super) fn value(self) -> Option<(usize, usize)> {
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
