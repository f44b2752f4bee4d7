//! What came along with a value that was copied: quotes and blanks at its ends.

/// What has no place at an end of an id, a path, a URL or a client secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stray {
    /// A blank or a line break.
    Blank,
    /// A quote of any kind.
    Quote,
}

impl Stray {
    /// As part of a sentence: "… holds {}".
    pub fn words(self) -> &'static str {
        match self {
            Self::Blank => "a blank or a line break at its end",
            Self::Quote => "quotes",
        }
    }
}

/// What is stray at either end of `value`; one end is enough, since half a pair comes from a line that was cut.
pub fn stray(value: &str) -> Option<Stray> {
    let ends = [value.chars().next()?, value.chars().next_back()?];
    if ends.into_iter().any(char::is_whitespace) {
        Some(Stray::Blank)
    } else if ends.into_iter().any(is_quote) {
        Some(Stray::Quote)
    } else {
        None
    }
}

/// `value` without them.
pub fn without_stray(value: &str) -> &str {
    value.trim_matches(|c: char| c.is_whitespace() || is_quote(c))
}

/// What YAML and shells quote with, what Markdown marks code with, and what word processors and chats make of these. None of them
/// begins or ends an Azure id, a path or URL that Azure's variables hold, or a client secret that Entra made (letters, digits and
/// `~_-.`).
fn is_quote(c: char) -> bool {
    matches!(c, '"' | '\'' | '`' | '“' | '”' | '„' | '‘' | '’' | '«' | '»')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_stray_end_is_enough_and_the_middle_does_not_count() {
        for (value, found, without) in [
            ("", None, ""),
            ("c-1", None, "c-1"),
            ("a'b\"c`d e", None, "a'b\"c`d e"),
            ("\"c-1\"", Some(Stray::Quote), "c-1"),
            ("'c-1", Some(Stray::Quote), "c-1"),
            ("c-1`", Some(Stray::Quote), "c-1"),
            ("“c-1”", Some(Stray::Quote), "c-1"),
            ("‘c-1’", Some(Stray::Quote), "c-1"),
            ("„c-1“", Some(Stray::Quote), "c-1"),
            ("«c-1»", Some(Stray::Quote), "c-1"),
            ("c-1\n", Some(Stray::Blank), "c-1"),
            (" \"c-1\"", Some(Stray::Blank), "c-1"),
            ("\"", Some(Stray::Quote), ""),
        ] {
            assert_eq!(stray(value), found, "{value:?}");
            assert_eq!(without_stray(value), without, "{value:?}");
        }
    }
}
