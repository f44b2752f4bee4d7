//! The emulator's time: the machine's, shifted, so that expiry and validity are tested without waiting.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// A clock with an adjustable offset. Tokens, attributes, validity checks and `Date` headers all follow it.
#[derive(Debug, Default)]
pub struct Clock {
    offset: AtomicI64,
}

impl Clock {
    /// Unix seconds as the emulator sees them.
    pub fn now(&self) -> i64 {
        let machine = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs());
        machine.cast_signed() + self.offset()
    }

    /// Seconds by which the emulator is ahead of the machine; negative when it is behind.
    pub fn offset(&self) -> i64 {
        self.offset.load(Ordering::Relaxed)
    }

    /// Sets the offset in seconds.
    pub fn set_offset(&self, seconds: i64) {
        self.offset.store(seconds, Ordering::Relaxed);
    }

    /// The `Date` header (RFC 9110 §5.6.7) of a reply sent now.
    pub(crate) fn http_date(&self) -> String {
        http_date(self.now())
    }
}

/// Formats Unix seconds as an HTTP date: `Sun, 06 Nov 1994 08:49:37 GMT`.
pub(crate) fn http_date(unix: i64) -> String {
    jiff::Timestamp::from_second(unix)
        .map(|time| time.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string())
        .unwrap_or_default()
}

/// Formats Unix seconds as Entra does in its error texts: `2024-05-01T10:00:00.0000000Z`.
pub(crate) fn iso_date(unix: i64) -> String {
    jiff::Timestamp::from_second(unix)
        .map(|time| time.strftime("%Y-%m-%dT%H:%M:%S.0000000Z").to_string())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_written_as_their_readers_expect() {
        assert_eq!(http_date(784_111_777), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(iso_date(784_111_777), "1994-11-06T08:49:37.0000000Z");
    }

    #[test]
    fn an_offset_shifts_time_both_ways() {
        let clock = Clock::default();
        let before = clock.now();
        clock.set_offset(3600);
        assert!((before + 3600..before + 3700).contains(&clock.now()));
        clock.set_offset(-3600);
        assert!((before - 3600..before - 3500).contains(&clock.now()));
    }
}
