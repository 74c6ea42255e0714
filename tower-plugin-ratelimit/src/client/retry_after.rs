//! `Retry-After` (RFC 9110 section 10.2.3).

use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderValue, header::RETRY_AFTER};

/// How long the server asks to wait: the longest, where several lines say so.
///
/// `None` where nothing readable is said, and for no time at all: 0 is what servers send that round a
/// fraction of a second down, and a date may have passed on the way.
pub(super) fn retry_after(headers: &HeaderMap, wall: SystemTime) -> Option<Duration> {
    headers
        .get_all(RETRY_AFTER)
        .iter()
        .filter_map(|value| delay(value, wall))
        .max()
        .filter(|delay| !delay.is_zero())
}

fn delay(value: &HeaderValue, wall: SystemTime) -> Option<Duration> {
    let text = value.to_str().ok()?;
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // Only too many digits can fail.
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::MAX)));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    Some(date.duration_since(wall).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tower_plugin_core::{Clock, ManualClock};

    use super::*;

    fn told(lines: &[&str]) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(RETRY_AFTER, HeaderValue::from_str(line).unwrap());
        }
        // 2030-01-01T00:00:00Z, a Tuesday.
        retry_after(&headers, ManualClock::new().wall())
    }

    #[test]
    fn seconds_and_the_three_forms_of_dates_are_understood() {
        let cases: [(&[&str], Option<u64>); 19] = [
            (&["1"], Some(1)),
            (&["007"], Some(7)),
            (&["120"], Some(120)),
            (&["99999999999999999999999"], Some(u64::MAX)),
            (&["Tue, 01 Jan 2030 00:00:05 GMT"], Some(5)),
            (&["Tuesday, 01-Jan-30 00:00:05 GMT"], Some(5)),
            (&["Tue Jan  1 00:00:05 2030"], Some(5)),
            (&["3", "9", "soon"], Some(9)),
            (&[], None),
            (&[""], None),
            (&["0"], None),
            (&["-1"], None),
            (&["+1"], None),
            (&["1.5"], None),
            (&[" 1s"], None),
            (&["soon"], None),
            (&["Mon, 31 Dec 2029 23:59:59 GMT"], None),
            (&["Tue, 32 Jan 2030 00:00:05 GMT"], None),
            (&["Tue, 01 Jan 2030 00:00:05 CET"], None),
        ];
        for (lines, expected) in cases {
            assert_eq!(told(lines), expected.map(Duration::from_secs), "{lines:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(crate::test_cases(1000)))]

        #[test]
        fn nothing_a_server_sends_panics(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            if let Ok(value) = HeaderValue::from_bytes(&bytes) {
                let _ = delay(&value, SystemTime::UNIX_EPOCH);
            }
        }

        #[test]
        fn dates_round_trip(seconds in 1_u64..200_000_000_000) {
            let wall = SystemTime::UNIX_EPOCH;
            let date = httpdate::fmt_http_date(wall + Duration::from_secs(seconds));
            let value = HeaderValue::try_from(date).unwrap();
            prop_assert_eq!(delay(&value, wall), Some(Duration::from_secs(seconds)));
        }
    }
}
