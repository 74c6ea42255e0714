//! The `google.rpc` messages of `google/rpc/error_details.proto`, encoded by hand: a handful of
//! string fields do not owe every user a protobuf crate.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};

use super::Rejection;

/// What details may take on the wire: HTTP/2 header lists are often capped at 8 or 16 KiB, and a
/// refusal that exceeds them reaches the caller as a protocol error.
pub(super) const MAX_ENCODED: usize = 4096;

/// One detail: its message name without the type URL prefix, and its encoding.
pub(super) struct Detail {
    pub(super) name: &'static str,
    pub(super) value: Vec<u8>,
}

/// The details of a refusal, as many as stay within `budget` bytes before base64.
pub(super) fn of(rejection: &Rejection, mut budget: usize) -> Vec<Detail> {
    let mut details = Vec::with_capacity(3);
    let mut keep = |detail: Detail| {
        // Name, type URL prefix and lengths.
        let size = detail.value.len() + detail.name.len() + OVERHEAD;
        if let Some(left) = budget.checked_sub(size) {
            budget = left;
            details.push(detail);
        }
        budget
    };

    let mut left = keep(Detail {
        name: "google.rpc.ErrorInfo",
        value: error_info(rejection.reason()),
    });
    if let Some(delay) = rejection.retry_after() {
        left = keep(Detail {
            name: "google.rpc.RetryInfo",
            value: retry_info(delay),
        });
    }
    let value = bad_request(rejection, left.saturating_sub(OVERHEAD + 32));
    if !value.is_empty() {
        keep(Detail {
            name: "google.rpc.BadRequest",
            value,
        });
    }
    details
}

pub(super) fn base64(bytes: &[u8]) -> String {
    STANDARD_NO_PAD.encode(bytes)
}

/// How many bytes fit into `encoded` characters of base64.
pub(super) const fn before_base64(encoded: usize) -> usize {
    encoded / 4 * 3
}

/// `google.rpc.ErrorInfo { reason = 1, domain = 2 }`
fn error_info(reason: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(64);
    put_bytes(&mut out, 1, reason.as_bytes());
    put_bytes(&mut out, 2, b"tower-plugin");
    out
}

/// `google.rpc.RetryInfo { google.protobuf.Duration retry_delay = 1 }`
fn retry_info(delay: Duration) -> Vec<u8> {
    let mut duration = Vec::with_capacity(16);
    // `Duration.seconds` is signed; far beyond its documented 10,000 years nothing is lost.
    put_varint(&mut duration, 1, delay.as_secs().min(MAX_SECONDS));
    put_varint(&mut duration, 2, u64::from(delay.subsec_nanos()));
    let mut out = Vec::with_capacity(20);
    put_bytes(&mut out, 1, &duration);
    out
}

/// `google.rpc.BadRequest { repeated FieldViolation { field = 1, description = 2, reason = 3 } = 1 }`
fn bad_request(rejection: &Rejection, budget: usize) -> Vec<u8> {
    let mut out = Vec::new();
    for violation in rejection.violations() {
        let mut field = Vec::with_capacity(64);
        put_bytes(&mut field, 1, violation.field().as_bytes());
        put_bytes(&mut field, 2, violation.description().as_bytes());
        put_bytes(&mut field, 3, violation.reason().as_bytes());
        if out.len() + field.len() + 4 <= budget {
            put_bytes(&mut out, 1, &field);
        }
    }
    out
}

/// `google.rpc.Status { code = 1, message = 2, repeated google.protobuf.Any details = 3 }`
pub(super) fn status(rejection: &Rejection) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    put_varint(&mut out, 1, u64::from(rejection.code().number()));
    put_bytes(&mut out, 2, rejection.message().as_bytes());
    let budget = before_base64(MAX_ENCODED).saturating_sub(out.len());
    for detail in of(rejection, budget) {
        let mut any = Vec::with_capacity(detail.value.len() + 64);
        let url = [TYPE_URL_PREFIX, detail.name].concat();
        put_bytes(&mut any, 1, url.as_bytes());
        put_bytes(&mut any, 2, &detail.value);
        put_bytes(&mut out, 3, &any);
    }
    out
}

fn put_varint(out: &mut Vec<u8>, field: u8, value: u64) {
    if value > 0 {
        out.push(field << 3);
        put_raw_varint(out, value);
    }
}

fn put_bytes(out: &mut Vec<u8>, field: u8, value: &[u8]) {
    out.push(field << 3 | 2);
    put_raw_varint(out, value.len() as u64);
    out.extend_from_slice(value);
}

fn put_raw_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

const MAX_SECONDS: u64 = 315_576_000_000;
const OVERHEAD: usize = 48;
const TYPE_URL_PREFIX: &str = "type.googleapis.com/";
