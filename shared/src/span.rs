//! What traces consist of: a few spans of our own, and nothing else.
//!
//! A span says what was done, about what, how long it took and how it ended; never a value. Its target keeps it apart from log lines: where
//! nobody asked for traces, no span is made. The programs send them (`akv2k8s-program`); the wrapper does not.

use tracing::{Instrument, Span};

use crate::diagnosis::Code;

/// The target of all spans.
pub const TARGET: &str = "akv2k8s_spans";

/// Makes a span; its fields as in `tracing::info_span!`. [`within`] notes how it ended.
#[macro_export]
macro_rules! span {
    ($name:literal $(, $($fields:tt)*)?) => {
        ::tracing::info_span!(
            target: $crate::span::TARGET,
            $name,
            code = ::tracing::field::Empty,
            otel.status_code = ::tracing::field::Empty
            $(, $($fields)*)?
        )
    };
}

/// Does `work` within `span`, and notes there how it ended; `code` says why it failed.
///
/// # Errors
/// Those of `work`.
pub async fn within<T, E>(
    span: Span,
    code: impl FnOnce(&E) -> Code,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    let outcome = work.instrument(span.clone()).await;
    match &outcome {
        Ok(_) => span.record("otel.status_code", "OK"),
        Err(error) => span
            .record("code", code(error).as_str())
            .record("otel.status_code", "ERROR"),
    };
    outcome
}
