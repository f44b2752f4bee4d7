//! Until when the API server has to have its answer.

use std::time::Duration;

use tokio::time::Instant;

/// How long the API server waits when it does not say: `timeoutSeconds` of the chart's webhook configuration.
const USUAL: Duration = Duration::from_secs(10);
/// The longest that a configuration may have.
const LONGEST: Duration = Duration::from_secs(30);

/// Until when everything has to be decided about a request with this query that came at this time: what remains is for the way back.
/// The API server sends `timeout=10s`, in whole seconds.
pub fn deadline(arrived: Instant, query: Option<&str>) -> Instant {
    let pairs = query.unwrap_or_default().split('&');
    let seconds = pairs.filter_map(|pair| pair.strip_prefix("timeout=")?.strip_suffix('s')?.parse().ok());
    let waits = seconds.map(Duration::from_secs).next().unwrap_or(USUAL);
    arrived + waits.min(LONGEST) * 9 / 10
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenth_of_what_the_api_server_waits_is_for_the_way_back() {
        let arrived = Instant::now();
        for (query, milliseconds) in [
            (None, 9000),
            (Some("timeout=10s"), 9000),
            (Some("a=b&timeout=5s"), 4500),
            (Some("timeout=1s"), 900),
            (Some("timeout=1000s"), 27_000),
            (Some("timeout=1m0s"), 9000),
            (Some("timeout=99999999999999999999s"), 9000),
        ] {
            let expected = arrived + Duration::from_millis(milliseconds);
            assert_eq!(deadline(arrived, query), expected, "{query:?}");
        }
    }
}
