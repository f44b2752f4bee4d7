//! How long a server asks to be left alone.

use std::time::Duration;

use azure_core::time::{OffsetDateTime, parse_rfc7231};

/// The value of a `Retry-After` header (RFC 9110 §10.2.3: seconds or a date), at most `longest`; `None` when it is neither.
pub(crate) fn retry_after(value: &str, longest: Duration) -> Option<Duration> {
    let value = value.trim();
    let wait = if let Ok(seconds) = value.parse() {
        Duration::from_secs(seconds)
    } else {
        let until = parse_rfc7231(value).ok()?;
        Duration::try_from(until - OffsetDateTime::now_utc()).unwrap_or_default()
    };
    Some(wait.min(longest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_seconds_or_a_date_and_never_more_than_the_longest_that_is_believed() {
        let longest = Duration::from_mins(2);
        for (value, expected) in [
            ("7", Some(Duration::from_secs(7))),
            ("86400", Some(longest)),
            ("18446744073709551616", None),
            ("Tue, 14 Nov 2023 22:13:20 GMT", Some(Duration::ZERO)),
            ("Fri, 14 Nov 2223 22:13:20 GMT", Some(longest)),
            ("soon", None),
            ("", None),
        ] {
            assert_eq!(retry_after(value, longest), expected, "{value}");
        }
    }
}
