//! Texts with `{names}` in them.

use std::fmt::{Display, Write};

/// `text` as a message: `{name}` becomes its value in `names`, or the name in capitals; backticks are for the documentation only.
pub(super) fn fill(text: &str, names: &[(&str, &dyn Display)]) -> String {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, name, after)) = next(rest) {
        filled.push_str(&before.replace('`', ""));
        match names.iter().find(|(known, _)| *known == name) {
            // Writing to a String cannot fail.
            Some((_, value)) => drop(write!(filled, "{value}")),
            None => filled.push_str(&name.to_ascii_uppercase()),
        }
        rest = after;
    }
    filled.push_str(&rest.replace('`', ""));
    filled
}

/// The names in `text`.
pub(super) fn names(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let (_, name, after) = next(rest)?;
        rest = after;
        Some(name)
    })
}

/// What stands before the first `{name}`, the name, and what follows. Other braces (JSON) are text.
fn next(text: &str) -> Option<(&str, &str, &str)> {
    let mut from = 0;
    while let Some(open) = text[from..].find('{').map(|at| from + at) {
        let inner = &text[open + 1..];
        let end = inner
            .find(|c: char| !c.is_ascii_lowercase() && c != '_')
            .unwrap_or(inner.len());
        if end > 0 && inner[end..].starts_with('}') {
            return Some((&text[..open], &inner[..end], &inner[end + 1..]));
        }
        from = open + 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_filled_in_once_and_unknown_ones_are_left_to_the_reader() {
        let names: [(&str, &dyn Display); 2] = [("a", &"{b} `c`"), ("b", &2)];
        for (text, filled) in [
            ("", ""),
            ("`x {a} {b}`", "x {b} `c` 2"),
            ("{client_id}", "CLIENT_ID"),
            (r#"'{"spec":{"x":{a}}}'"#, r#"'{"spec":{"x":{b} `c`}}'"#),
            ("{} {A} {a", "{} {A} {a"),
            ("{ü{b}", "{ü2"),
        ] {
            assert_eq!(fill(text, &names), filled, "{text}");
        }
    }

    #[test]
    fn json_and_unclosed_braces_name_nothing() {
        let found: Vec<_> = names(r#"{"spec":{"x":{a}}} {} {A} {client_id} {namespaces: [{b}]} {c"#).collect();
        assert_eq!(found, ["a", "client_id", "b"]);
    }
}
