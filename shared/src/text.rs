//! The text of others in messages: of bounded length.

/// `text`, or its first `longest` characters and an ellipsis.
pub fn shortened(text: &str, longest: usize) -> String {
    match text.char_indices().nth(longest) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// `text` with every run of white space as one blank.
pub(crate) fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cut_between_characters_and_only_when_it_is_too_long() {
        assert_eq!(shortened("für", 3), "für");
        assert_eq!(shortened("fürs", 3), "für…");
        assert_eq!(shortened("", 0), "");
        assert_eq!(one_line(" a\r\n\tb  c\n"), "a b c");
    }
}
