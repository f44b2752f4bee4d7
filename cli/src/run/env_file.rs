//! Files of variables (`.env`), as most tools read them: `NAME=VALUE` lines, `#` comments, `export `, quotes.

use akv2k8s_shared::secret::SecretBytes;
use anyhow::{Context, bail};

/// The variables of `text`, in their order.
///
/// # Errors
/// A line is no assignment; the message has its number, and nothing of its value.
pub(super) fn parse(text: &SecretBytes) -> anyhow::Result<Vec<(String, SecretBytes)>> {
    let text = text.expose_str().context("it is not UTF-8")?;
    let lines = text.lines().enumerate().map(|(number, line)| (number + 1, line.trim()));
    let assignments = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    assignments
        .map(|(number, line)| assignment(line).with_context(|| format!("line {number}")))
        .collect()
}

fn assignment(line: &str) -> anyhow::Result<(String, SecretBytes)> {
    let line = line.strip_prefix("export ").unwrap_or(line);
    let (name, value) = line.split_once('=').context("it is not NAME=VALUE")?;
    let name = name.trim();
    let is_name = name
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'));
    if name.is_empty() || !is_name || name.starts_with(|c: char| c.is_ascii_digit()) {
        bail!("before = stands no name of a variable");
    }
    Ok((name.to_owned(), read(value.trim())?))
}

/// In single quotes everything stands for itself; in double quotes \n, \r, \t, \", \\ and \$ are what they are in a shell's $'…' or "…".
/// Without quotes a value ends before ` #`.
fn read(value: &str) -> anyhow::Result<SecretBytes> {
    for quote in ['\'', '"'] {
        if let Some(rest) = value.strip_prefix(quote) {
            let end = closing(rest, quote).context("a quote is not closed")?;
            let after = rest[end + 1..].trim();
            if !after.is_empty() && !after.starts_with('#') {
                bail!("something stands after the closing quote");
            }
            let inner = &rest[..end];
            return Ok(if quote == '"' {
                unescaped(inner)
            } else {
                SecretBytes::from(inner)
            });
        }
    }
    let end = value.find(" #").or_else(|| value.find("\t#")).unwrap_or(value.len());
    Ok(SecretBytes::from(value[..end].trim_end()))
}

/// Where the quote ends that began before `rest`.
fn closing(rest: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    rest.char_indices().find_map(|(at, c)| {
        let ends = c == quote && !escaped;
        escaped = quote == '"' && c == '\\' && !escaped;
        ends.then_some(at)
    })
}

fn unescaped(text: &str) -> SecretBytes {
    let mut value = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        if c != '\\' {
            value.push(c);
            continue;
        }
        match rest.next() {
            Some('n') => value.push('\n'),
            Some('r') => value.push('\r'),
            Some('t') => value.push('\t'),
            Some(other @ ('"' | '\\' | '$')) => value.push(other),
            other => {
                value.push('\\');
                value.extend(other);
            }
        }
    }
    SecretBytes::from(value)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parsed(text: &str) -> Result<Vec<(String, String)>, String> {
        let pairs = parse(&SecretBytes::from(text)).map_err(|error| format!("{error:#}"))?;
        let text = |value: SecretBytes| value.expose_str().unwrap_or_default().to_owned();
        Ok(pairs.into_iter().map(|(name, value)| (name, text(value))).collect())
    }

    #[test]
    fn lines_are_read_as_other_tools_read_them() {
        for (line, value) in [
            ("V=db@azurekeyvault?user", "db@azurekeyvault?user"),
            ("export V = x y # why", "x y"),
            ("V=a#b", "a#b"),
            ("V=", ""),
            ("V='a # \"b\" \\n'  # c", "a # \"b\" \\n"),
            (r#"V="a\n\"b\" \\ \$c \d""#, "a\n\"b\" \\ $c \\d"),
            ("V=a=b", "a=b"),
            ("# comment\n\n  V=x\r\n", "x"),
        ] {
            assert_eq!(parsed(line), Ok(vec![("V".to_owned(), value.to_owned())]), "{line}");
        }
    }

    #[test]
    fn a_line_that_is_no_assignment_is_named_by_number_and_not_repeated() {
        for line in [
            "canary",
            "=canary",
            "1V=canary",
            "A B=canary",
            "V='canary",
            "V=\"canary\\\"",
            "V='a' canary",
        ] {
            let error = parsed(&format!("A=1\n{line}\n")).unwrap_err();
            assert!(error.starts_with("line 2: ") && !error.contains("canary"), "{error}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in ".*") {
            let _ = parsed(&text);
        }

        #[test]
        fn what_is_in_single_quotes_comes_back(value in "[^'\r\n]*") {
            let pairs = parsed(&format!("V='{value}'"));
            prop_assert_eq!(pairs, Ok(vec![("V".to_owned(), value)]));
        }
    }
}
