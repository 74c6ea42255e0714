//! gRPC over HTTP/2: a trailers-only response, whose status travels in the headers.

use http::{HeaderMap, HeaderName, HeaderValue};

use super::{Rejection, details};

pub(super) fn write_status(rejection: &Rejection, headers: &mut HeaderMap) {
    headers.insert(
        GRPC_STATUS,
        HeaderValue::from(u16::from(rejection.code().number())),
    );
    if let Ok(message) = HeaderValue::try_from(percent_encoded(rejection.message())) {
        headers.insert(GRPC_MESSAGE, message);
    }
    let details = details::base64(&details::status(rejection));
    if let Ok(details) = HeaderValue::try_from(details) {
        headers.insert(GRPC_STATUS_DETAILS_BIN, details);
    }
}

/// Encodes as the gRPC protocol asks of `grpc-message`: everything but printable ASCII, and `%`.
///
/// Encoding can triple the length; what exceeds 1 KiB is cut off at a character.
fn percent_encoded(message: &str) -> String {
    let mut out = String::with_capacity(message.len());
    for c in message.chars() {
        let before = out.len();
        if (' '..='~').contains(&c) && c != '%' {
            out.push(c);
        } else {
            let mut utf8 = [0; 4];
            for byte in c.encode_utf8(&mut utf8).bytes() {
                out.push('%');
                for digit in [byte >> 4, byte & 0xf] {
                    let digit = char::from_digit(u32::from(digit), 16).unwrap_or('0');
                    out.push(digit.to_ascii_uppercase());
                }
            }
        }
        if out.len() > super::MAX_MESSAGE {
            out.truncate(before);
            break;
        }
    }
    out
}

const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_STATUS_DETAILS_BIN: HeaderName = HeaderName::from_static("grpc-status-details-bin");
