//! The variables that programs read, with what users have to know of them.

use std::fmt;

/// The name of a variable that programs read. There are only those that stand in a table made by [`variables!`](crate::variables).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Variable(&'static str);

impl Variable {
    /// For [`variables!`](crate::variables) alone: what is made elsewhere is in no table, and so in no page.
    #[doc(hidden)]
    pub const fn of_table(name: &'static str) -> Self {
        Self(name)
    }

    /// As it is written.
    pub const fn name(self) -> &'static str {
        self.0
    }
}

impl fmt::Display for Variable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// A variable, as users read of it. Texts are Markdown, with links as seen from `docs/reference`.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// Its name.
    pub name: &'static str,
    /// What counts when it is not set; empty: nothing.
    pub default: &'static str,
    /// What it says.
    pub meaning: &'static str,
    /// What is other than in akv2k8s; empty: nothing.
    pub differs: &'static str,
}

/// Makes a [`Variable`] of each line, under its own name or `CONSTANT = NAME`, and a table of all:
/// `NAME, default, meaning[, what differs from akv2k8s];`.
///
/// [`Environment::get`](crate::environment::Environment::get) takes nothing else, so whatever a program reads is in a table, and
/// `cargo testbed docs` writes the tables into a page. A private line that is never read is dead code.
#[macro_export]
macro_rules! variables {
    ($(#[$doc:meta])* $vis:vis $table:ident: $($name:ident $(= $text:expr)?, $default:literal, $meaning:literal $(, $differs:literal)?;)+) => {
        $(
            #[doc = $meaning]
            $vis const $name: $crate::environment::Variable =
                $crate::environment::Variable::of_table($crate::variables!(@name $name $($text)?));
        )+

        $(#[$doc])*
        pub const $table: &[$crate::environment::Row] = &[$($crate::environment::Row {
            name: $crate::variables!(@name $name $($text)?),
            default: $default,
            meaning: $meaning,
            differs: concat!($($differs)?),
        }),+];
    };
    (@name $name:ident) => { stringify!($name) };
    (@name $name:ident $text:expr) => { $text };
}
