//! Token answers of the platform's endpoints: one meaning, several spellings.

use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::DateTime;
use serde::Deserialize;
use serde_json::Value;

use crate::identity::token::Token;
use crate::secret::SecretBytes;

/// A token that seems to end sooner than this after it was handed out tells of a wrong clock, not of a short life.
const SKEWED: i64 = 60;

#[derive(Deserialize)]
struct Answer {
    access_token: String,
    /// Seconds, as text or number; App Service leaves it out.
    expires_in: Option<Value>,
    /// Unix seconds, likewise; before 2019 App Service wrote a date.
    expires_on: Option<Value>,
}

/// Reads a token answer that arrived at `now`.
pub(super) fn parse(body: &[u8], now: Timestamp) -> Option<Token> {
    let answer: Answer = serde_json::from_slice(body).ok()?;
    let token = SecretBytes::from(answer.access_token);
    let relative = answer.expires_in.as_ref().and_then(seconds);
    let absolute = answer
        .expires_on
        .as_ref()
        .and_then(moment)
        .map(|end| end - now.as_second());
    // What the endpoint kept for a while may still carry the `expires_in` it was issued with: the sooner end counts.
    let lifetime = match (relative, absolute) {
        (Some(relative), Some(absolute)) if absolute >= SKEWED => relative.min(absolute),
        (Some(relative), _) => relative,
        (None, absolute) => absolute?,
    };
    let lifetime = Duration::from_secs(u64::try_from(lifetime).ok()?);
    (!token.is_empty()).then(|| Token::new(token, lifetime))
}

fn seconds(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.parse().ok())
}

fn moment(value: &Value) -> Option<i64> {
    seconds(value).or_else(|| date(value.as_str()?))
}

/// `09/14/2017 17:15:42 +00:00` on Linux, `9/14/2017 5:15:42 PM +00:00` on Windows; always UTC.
fn date(text: &str) -> Option<i64> {
    let text = text.strip_suffix("+00:00")?.trim_end();
    let parsed =
        DateTime::strptime("%m/%d/%Y %I:%M:%S %p", text).or_else(|_| DateTime::strptime("%m/%d/%Y %H:%M:%S", text));
    let moment = parsed.ok()?.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    Some(moment.timestamp().as_second())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_505_408_400;

    fn lifetime(body: &str) -> Option<u64> {
        parse(body.as_bytes(), Timestamp::from_second(NOW).unwrap()).map(|token| token.lifetime().as_secs())
    }

    #[test]
    fn lifetimes_come_as_text_or_number_relative_or_absolute_or_as_a_date() {
        for (ends, expected) in [
            (r#""expires_in":"3599""#.to_owned(), 3599),
            (r#""expires_in":3599"#.to_owned(), 3599),
            (format!(r#""expires_on":"{}""#, NOW + 3000), 3000),
            (format!(r#""expires_on":{}"#, NOW + 3000), 3000),
            (r#""expires_on":"09/14/2017 17:15:42 +00:00""#.to_owned(), 942),
            (r#""expires_on":"9/14/2017 5:15:42 PM +00:00""#.to_owned(), 942),
        ] {
            let body = format!(r#"{{"access_token":"t",{ends}}}"#);
            assert_eq!(lifetime(&body), Some(expected), "{body}");
        }
    }

    #[test]
    fn of_two_ends_the_sooner_counts_unless_the_clock_is_wrong() {
        let both = |on: i64| {
            format!(
                r#"{{"access_token":"t","expires_in":"86399","expires_on":"{}"}}"#,
                NOW + on
            )
        };
        assert_eq!(lifetime(&both(4000)), Some(4000));
        assert_eq!(lifetime(&both(90_000)), Some(86_399));
        assert_eq!(lifetime(&both(-7200)), Some(86_399));
    }

    #[test]
    fn what_is_no_token_is_no_token() {
        for body in [
            "",
            "{}",
            r#"{"access_token":"","expires_in":1}"#,
            r#"{"access_token":"t"}"#,
            r#"{"access_token":"t","expires_in":-1}"#,
            r#"{"access_token":"t","expires_on":"soon"}"#,
        ] {
            assert_eq!(lifetime(body), None, "{body}");
        }
    }
}
