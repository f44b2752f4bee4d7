//! The one place where values become text: only after somebody agreed.

use std::io::{BufRead, IsTerminal, Write};

use akv2k8s_shared::secret::SecretBytes;
use anyhow::{Context, bail};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

/// Somebody agreed that values are printed.
pub(crate) struct Consent(());

/// A value that may be printed. It has no `Debug` and no `Display`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase", tag = "encoding", content = "value")]
pub(crate) enum Disclosed {
    /// Text.
    Text(String),
    /// What is no text, in base64 (RFC 4648, padded).
    Base64(String),
}

impl Consent {
    /// Asks on the terminal, or takes `yes` for an answer.
    ///
    /// # Errors
    /// The answer was another, or there is nobody to ask.
    pub(crate) fn ask(question: &str, yes: bool) -> anyhow::Result<Self> {
        if yes {
            return Ok(Self(()));
        }
        let input = std::io::stdin();
        if !input.is_terminal() {
            bail!("standard input is not a terminal, so nobody can be asked; add --yes to print secret values");
        }
        Self::answered(question, &mut std::io::stderr(), &mut input.lock())
    }

    fn answered(question: &str, ask: &mut impl Write, answer: &mut impl BufRead) -> anyhow::Result<Self> {
        write!(ask, "{question} [y/N] ")
            .and_then(|()| ask.flush())
            .context("cannot ask")?;
        let mut line = String::new();
        answer.read_line(&mut line).context("cannot read the answer")?;
        match line.trim() {
            "y" | "Y" | "yes" => Ok(Self(())),
            _ => bail!("nothing was printed"),
        }
    }
}

impl Disclosed {
    /// `value`, for printing.
    pub(crate) fn of(_: &Consent, value: &SecretBytes) -> Self {
        match value.expose_str() {
            Some(text) => Self::Text(text.to_owned()),
            None => Self::Base64(STANDARD.encode(value.expose())),
        }
    }

    /// For a table: one line, in quotes where that matters.
    pub(crate) fn line(&self) -> String {
        match self {
            Self::Text(text) if text.chars().any(char::is_control) => format!("{text:?}"),
            Self::Text(text) => text.clone(),
            Self::Base64(text) => format!("base64:{text}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(answer: &str) -> Result<(), String> {
        let mut asked = Vec::new();
        let consent = Consent::answered("Print 2 values?", &mut asked, &mut answer.as_bytes());
        assert_eq!(asked, b"Print 2 values? [y/N] ");
        consent.map(drop).map_err(|error| error.to_string())
    }

    #[test]
    fn only_a_yes_is_a_yes() {
        for yes in ["y\n", "Y\n", " yes \n"] {
            assert_eq!(answered(yes), Ok(()), "{yes:?}");
        }
        for no in ["", "\n", "n\n", "yep\n", "no\n"] {
            assert!(answered(no).unwrap_err().contains("nothing was printed"), "{no:?}");
        }
    }

    #[test]
    fn a_value_moves_no_cursor_and_one_that_is_no_text_is_base64() {
        let line = |bytes: &[u8]| Disclosed::of(&Consent(()), &SecretBytes::new(bytes.to_vec())).line();
        assert_eq!(line(b"p\xc3\xa4ss"), "päss");
        assert_eq!(line(b"a\n\x1b[2J"), r#""a\n\u{1b}[2J""#);
        assert_eq!(line(&[0xff]), "base64:/w==");
    }
}
