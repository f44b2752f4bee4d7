//! How the tables of this folder become types.

/// Declares [`super::Code`] and [`super::SECTIONS`]: `"Title", file { Code, … }`.
macro_rules! codes {
    ($($title:literal, $section:ident { $($code:ident),* $(,)? })*) => {
        /// A stable code of the failure catalogue. Its name is the condition's reason, the event's note and the metric's label.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Code {
            $($(#[doc = concat!("A row of ", $title, ": `catalogue/", stringify!($section), ".rs`.")] $code,)*)*
        }

        impl Code {
            /// Every code, in the order of causes.
            pub const ALL: &[Self] = &[$($(Self::$code,)*)*];

            /// The code as written in conditions, events, logs and metrics.
            pub fn as_str(self) -> &'static str {
                match self {
                    $($(Self::$code => stringify!($code),)*)*
                }
            }

            /// What the catalogue says of it.
            pub fn row(self) -> Row {
                match self {
                    $($(Self::$code => $section::$code,)*)*
                }
            }
        }

        /// The catalogue by sections, in the order of causes.
        pub const SECTIONS: &[Section] = &[$(Section { title: $title, codes: &[$(Code::$code,)*] },)*];
    };
}

/// Declares the rows of a section, and their cases:
///
/// ```text
/// Code, Event, "tried again" {
///     "seen", "cause", "fix";
///     Case { name, … }: "cause", "fix";
///     AnotherCase: "cause, with the row's fix";
/// }
/// ```
macro_rules! section {
    ($($code:ident, $event:ident, $again:literal {
        $seen:literal, $cause:literal, $fix:literal;
        $($case:ident $({ $($name:ident),+ })?: $why:literal $(, $how:literal)?;)*
    })*) => {
        $(
            #[allow(non_upper_case_globals, reason = "the row of the code of this name")]
            pub(super) const $code: super::Row = super::Row {
                seen: $seen,
                cause: $cause,
                fix: $fix,
                event: super::EventReason::$event,
                again: $again,
                cases: &[$(case::$case::TEXTS),*],
            };
        )*

        /// The cases of this section.
        pub(super) mod case {
            $($(case! { $code, $case $({ $($name),+ })?, $why, $fix $(, $how)? })*)*
        }
    };
}

/// Declares a case: a type with the values that its texts name.
macro_rules! case {
    ($code:ident, $case:ident, $why:literal, $fix:literal $(, $how:literal)?) => {
        #[doc = concat!("A case of `", stringify!($code), "`.")]
        #[derive(Debug, Clone, Copy)]
        pub struct $case;

        impl $case {
            pub(in super::super) const TEXTS: super::super::Case = super::super::Case {
                name: stringify!($case),
                names: &[],
                cause: $why,
                fix: case!(@ $fix $(, $how)?),
            };
        }

        impl From<$case> for super::super::Explanation {
            fn from(_: $case) -> Self {
                Self::of(super::super::Code::$code, $case::TEXTS.cause, $case::TEXTS.fix, &[])
            }
        }
    };
    ($code:ident, $case:ident { $($name:ident),+ }, $why:literal, $fix:literal $(, $how:literal)?) => {
        #[doc = concat!("A case of `", stringify!($code), "`.")]
        #[derive(Clone, Copy)]
        pub struct $case<'a> {
            $(
                #[doc = concat!("Stands for `{", stringify!($name), "}`.")]
                pub $name: &'a dyn std::fmt::Display,
            )+
        }

        impl $case<'_> {
            pub(in super::super) const TEXTS: super::super::Case = super::super::Case {
                name: stringify!($case),
                names: &[$(stringify!($name)),+],
                cause: $why,
                fix: case!(@ $fix $(, $how)?),
            };
        }

        impl From<$case<'_>> for super::super::Explanation {
            fn from(case: $case<'_>) -> Self {
                let names = [$((stringify!($name), case.$name)),+];
                Self::of(super::super::Code::$code, $case::TEXTS.cause, $case::TEXTS.fix, &names)
            }
        }
    };
    (@ $row:literal) => { $row };
    (@ $row:literal, $own:literal) => { $own };
}
