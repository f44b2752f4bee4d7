//! Tables and colours. Colours only where somebody looks: on a terminal, unless `NO_COLOR` is set (<https://no-color.org>).

use akv2k8s_shared::environment::Environment;

use crate::variables::{NO_COLOR, TERM};

/// Spaces between two columns.
const GAP: usize = 2;

/// Whether there are colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    colour: bool,
}

/// What a text means to its reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Paint {
    /// Nothing special.
    Plain,
    /// As it should be, or new.
    Good,
    /// It changes, or somebody should look at it.
    Change,
    /// It goes, or it failed.
    Bad,
    /// A heading.
    Head,
    /// Less important.
    Faint,
}

/// One cell of a table.
#[derive(Debug, Clone)]
pub(crate) struct Cell {
    text: String,
    paint: Paint,
}

impl Style {
    /// No colours.
    pub const PLAIN: Self = Self { colour: false };

    /// For a stream that is a terminal or not, with the variables of this process.
    pub fn of(environment: &Environment, is_terminal: bool) -> Self {
        let dumb = environment.get(TERM) == Some("dumb");
        Self {
            colour: is_terminal && !dumb && environment.get(NO_COLOR).is_none(),
        }
    }

    /// `text` in its colour (SGR codes of ECMA-48).
    pub(crate) fn paint(self, paint: Paint, text: &str) -> String {
        let code = match paint {
            Paint::Plain => None,
            Paint::Good => Some(32),
            Paint::Change => Some(33),
            Paint::Bad => Some(31),
            Paint::Head => Some(1),
            Paint::Faint => Some(2),
        };
        match code.filter(|_| self.colour && !text.is_empty()) {
            Some(code) => format!("\x1b[{code}m{text}\x1b[0m"),
            None => text.to_owned(),
        }
    }

    /// `rows` in columns, each line indented by `indent` spaces, without white space at its end.
    pub(crate) fn table(self, indent: usize, rows: &[Vec<Cell>]) -> String {
        let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
        let width = |column: usize| {
            let cells = rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.text.chars().count()).max().unwrap_or_default()
        };
        let widths: Vec<_> = (0..columns).map(width).collect();
        let line = |row: &Vec<Cell>| {
            let last = row
                .iter()
                .rposition(|cell| !cell.text.is_empty())
                .map_or(0, |at| at + 1);
            let mut line = " ".repeat(indent);
            for (column, cell) in row.iter().take(last).enumerate() {
                line.push_str(&self.paint(cell.paint, &cell.text));
                if column + 1 < last {
                    line.push_str(&" ".repeat(widths[column] + GAP - cell.text.chars().count()));
                }
            }
            line.push('\n');
            line
        };
        rows.iter().map(line).collect()
    }
}

impl Cell {
    /// A cell in a colour.
    pub(crate) fn new(paint: Paint, text: impl Into<String>) -> Self {
        let text = text.into();
        Self { text, paint }
    }

    /// A plain cell.
    pub(crate) fn plain(text: impl Into<String>) -> Self {
        Self::new(Paint::Plain, text)
    }

    /// A row of headings.
    pub(crate) fn heads(texts: &[&str]) -> Vec<Self> {
        texts.iter().map(|text| Self::new(Paint::Head, *text)).collect()
    }
}

/// `count` things, in words: `1 key`, `2 keys`.
pub(crate) fn counted(count: usize, thing: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {thing}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> Environment {
        pairs.iter().copied().collect()
    }

    #[test]
    fn colours_are_for_terminals_whose_user_did_not_say_no() {
        for (variables, is_terminal, colour) in [
            (&[][..], true, true),
            (&[], false, false),
            (&[("NO_COLOR", "1")], true, false),
            (&[("NO_COLOR", "")], true, true),
            (&[("TERM", "dumb")], true, false),
        ] {
            let style = Style::of(&environment(variables), is_terminal);
            assert_eq!(style.colour, colour, "{variables:?} {is_terminal}");
            let painted = style.paint(Paint::Bad, "x");
            assert_eq!(painted.contains('\x1b'), colour, "{painted:?}");
        }
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_text_with_and_without_colours() {
        let rows = [
            Cell::heads(&["KEY", "CHANGE", ""]),
            vec![
                Cell::plain("pässword"),
                Cell::new(Paint::Good, "added"),
                Cell::plain(""),
            ],
        ];
        assert_eq!(Style::PLAIN.table(1, &rows), " KEY       CHANGE\n pässword  added\n");
        let coloured = Style { colour: true }.table(1, &rows);
        assert_eq!(
            coloured,
            " \x1b[1mKEY\x1b[0m       \x1b[1mCHANGE\x1b[0m\n pässword  \x1b[32madded\x1b[0m\n"
        );
    }
}
