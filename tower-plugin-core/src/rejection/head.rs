//! What the head of a refusal may say, and how.

use std::time::Duration;

use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, TRAILER, TRANSFER_ENCODING},
};

/// Headers that would contradict the body or the status.
pub(super) fn belongs_to_rendering(name: &HeaderName) -> bool {
    [CONNECTION, CONTENT_LENGTH, TRAILER, TRANSFER_ENCODING].contains(name)
        || name.as_str().starts_with("grpc-")
}

/// The caller's media type without its parameters; a strange one is not repeated.
pub(super) fn echoed_content_type(request: &HeaderMap, otherwise: HeaderValue) -> HeaderValue {
    let Some(value) = request.get(CONTENT_TYPE) else {
        return otherwise;
    };
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"/+-.".contains(byte);
    if value.len() <= 64 && value.as_bytes().iter().all(plain) {
        value.clone()
    } else {
        otherwise
    }
}

/// Whole seconds to wait, so that a caller who waits exactly that long is admitted.
pub(super) fn whole_seconds(delay: Duration) -> u64 {
    let started = u64::from(delay.subsec_nanos() > 0);
    delay.as_secs().saturating_add(started).max(1)
}

/// One allocation of the right size; `HeaderValue::from` takes two.
pub(super) fn decimal(mut number: u64) -> HeaderValue {
    // As many digits as `u64` has.
    let mut digits = [b'0'; 20];
    let mut start = digits.len();
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        start -= 1;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    let digits = digits.get(start..).unwrap_or_default();
    HeaderValue::from_bytes(digits).unwrap_or(HeaderValue::from_static("1"))
}
