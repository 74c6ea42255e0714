//! Engine: an event as the members of a JSON object.

use std::{
    fmt::Write,
    time::{SystemTime, UNIX_EPOCH},
};

use crate::audit::{AuditEvent, Party};

/// Without the braces. Text is visible ASCII: all else is escaped, and so whatever shows a line shows one
/// line. Of each text at most 256 bytes are kept, and of details the first eight.
pub(super) fn members(event: &AuditEvent<'_>, time: SystemTime) -> String {
    let mut out = String::with_capacity(320);
    out.push_str("\"time\":\"");
    timestamp(&mut out, time);
    out.push('"');
    text(&mut out, "event", event.name());
    text(&mut out, "outcome", event.outcome().as_str());
    party(&mut out, "actor", event.actor());
    party(&mut out, "subject", event.subject());
    let fields = [
        ("action", event.action()),
        ("resource", event.resource()),
        ("reason", event.reason()),
        ("request_id", event.request_id()),
    ];
    for (name, value) in fields {
        if let Some(value) = value {
            text(&mut out, name, value);
        }
    }
    if let Some(ip) = event.client_ip() {
        // Writing to a string does not fail.
        let _ = write!(out, ",\"client_ip\":\"{ip}\"");
    }
    if !event.details().is_empty() {
        out.push_str(",\"details\":{");
        for (index, (name, value)) in event.details().iter().take(MAX_DETAILS).enumerate() {
            if index > 0 {
                out.push(',');
            }
            quoted(&mut out, name);
            out.push(':');
            quoted(&mut out, value);
        }
        out.push('}');
    }
    out
}

/// RFC 3339, in UTC, to the microsecond. What is before 1970 is 1970.
pub(super) fn timestamp(out: &mut String, time: SystemTime) {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (seconds, micros) = (since.as_secs(), since.subsec_micros());
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // Days to a date of the Gregorian calendar: years begin in March here, so that the leap day is the
    // last of its year, and 400 of them are one era.
    let shifted = days + 719_468;
    let (era, day) = (shifted / 146_097, shifted % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = 400 * era + year + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    let _ = write!(
        out,
        "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micros:06}Z"
    );
}

fn party(out: &mut String, name: &str, party: Option<Party<'_>>) {
    let Some(party) = party else { return };
    out.push_str(",\"");
    out.push_str(name);
    out.push_str("\":{\"kind\":");
    quoted(out, party.kind());
    text(out, "subject", party.subject());
    if let Some(id) = party.token_id() {
        text(out, "token", id);
    }
    out.push('}');
}

fn text(out: &mut String, name: &str, value: &str) {
    out.push_str(",\"");
    out.push_str(name);
    out.push_str("\":");
    quoted(out, value);
}

fn quoted(out: &mut String, value: &str) {
    out.push('"');
    let plain = |byte: u8| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\';
    if value.len() <= MAX_TEXT && value.bytes().all(plain) {
        out.push_str(value);
    } else {
        for (at, character) in value.char_indices() {
            if at + character.len_utf8() > MAX_TEXT {
                out.push_str("...");
                break;
            }
            match character {
                '"' => out.push_str("\\\""),
                '\\' => out.push_str("\\\\"),
                ' '..='~' => out.push(character),
                _ => {
                    for unit in character.encode_utf16(&mut [0; 2]) {
                        let _ = write!(out, "\\u{unit:04x}");
                    }
                }
            }
        }
    }
    out.push('"');
}

const MAX_TEXT: usize = 256;
const MAX_DETAILS: usize = 8;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::audit::Outcome;

    #[test]
    fn an_event_is_one_line_of_json_whatever_is_in_it() {
        let nasty = "a\"b\\c\n\r\t\0\u{85}\u{2028}\u{202e}é😀";
        let details = [("cause", nasty); 9];
        let event = AuditEvent::new("authz_fail", Outcome::Denied)
            .with_actor(Party::new(nasty, "é".repeat(200).leak()))
            .with_subject(Party::new("k", "s"))
            .with_action(nasty)
            .with_resource(nasty)
            .with_reason(nasty)
            .with_request_id(nasty)
            .with_client_ip("::1".parse().unwrap())
            .with_details(&details);
        let members = members(&event, UNIX_EPOCH);
        assert!(members.bytes().all(|byte| matches!(byte, b' '..=b'~')));
        let escaped =
            "\"a\\\"b\\\\c\\u000a\\u000d\\u0009\\u0000\\u0085\\u2028\\u202e\\u00e9\\ud83d\\ude00\"";
        assert_eq!(members.matches(escaped).count(), 5 + 8);
        assert!(members.contains(&format!("\"subject\":\"{}...\"", "\\u00e9".repeat(128))));
        assert!(members.contains("\"client_ip\":\"::1\""));
    }

    #[test]
    fn the_longest_event_fits_into_a_line() {
        let long = "\u{1}".repeat(1_000);
        let details = [("detail", long.as_str()); 20];
        let event = AuditEvent::new("x", Outcome::Error)
            .with_actor(Party::new(&long, &long))
            .with_subject(Party::new(&long, &long))
            .with_action(&long)
            .with_resource(&long)
            .with_reason(&long)
            .with_request_id(&long)
            .with_details(&details);
        // Encrypted, it takes a third more.
        assert!(members(&event, UNIX_EPOCH).len() < super::super::MAX_LINE / 2);
    }

    #[test]
    fn times_are_those_of_the_calendar() {
        let at = |seconds| {
            let mut out = String::new();
            timestamp(&mut out, UNIX_EPOCH + Duration::from_micros(seconds));
            out
        };
        for (micros, expected) in [
            (0, "1970-01-01T00:00:00.000000Z"),
            (951_782_399_999_999, "2000-02-28T23:59:59.999999Z"),
            (951_782_400_000_000, "2000-02-29T00:00:00.000000Z"),
            (951_868_800_000_000, "2000-03-01T00:00:00.000000Z"),
            (1_893_456_000_000_001, "2030-01-01T00:00:00.000001Z"),
            (4_107_542_399_000_000, "2100-02-28T23:59:59.000000Z"),
            (4_107_542_400_000_000, "2100-03-01T00:00:00.000000Z"),
            (253_402_300_799_000_000, "9999-12-31T23:59:59.000000Z"),
        ] {
            assert_eq!(at(micros), expected);
        }
        let before = UNIX_EPOCH - Duration::from_secs(1);
        let mut out = String::new();
        timestamp(&mut out, before);
        assert_eq!(out, "1970-01-01T00:00:00.000000Z");
    }
}
