//! The Connect protocol: <https://connectrpc.com/docs/protocol/#error-end-stream>.

use super::{Rejection, details, json};

/// The JSON error of a unary call; it has this form whatever the codec of the request.
pub(super) fn unary_body(rejection: &Rejection) -> String {
    let mut out = String::with_capacity(256);
    push_error(&mut out, rejection);
    out
}

/// The envelope that ends a stream: a flag byte, a big-endian length, and JSON.
pub(super) fn end_of_stream(rejection: &Rejection) -> Vec<u8> {
    let mut message = String::from("{\"error\":");
    push_error(&mut message, rejection);
    message.push('}');

    let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
    let mut out = Vec::with_capacity(message.len() + 5);
    out.push(END_STREAM);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(message.as_bytes());
    out
}

fn push_error(out: &mut String, rejection: &Rejection) {
    out.push_str("{\"code\":");
    json::push_string(out, rejection.code().name());
    json::push_member(out, ",\"message\":", rejection.message());
    out.push_str(",\"details\":");
    let mut separator = '[';
    for detail in details::of(rejection, details::before_base64(details::MAX_ENCODED)) {
        out.push(separator);
        out.push_str("{\"type\":");
        json::push_string(out, detail.name);
        json::push_member(out, ",\"value\":", &details::base64(&detail.value));
        out.push('}');
        separator = ',';
    }
    if separator == '[' {
        out.push('[');
    }
    out.push_str("]}");
}

const END_STREAM: u8 = 0x02;
