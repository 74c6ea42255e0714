//! The outcome of a gRPC call, in the head of a trailers-only response, in trailers, or in gRPC-Web's frame of them.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header::CONTENT_TYPE};
use tower_plugin_core::Code;

use super::{
    context::{Reference, is_internal},
    tail::End,
};
use crate::body::envelope::GRPC_WEB_TRAILERS;

/// Takes the words of an internal error from headers that tell how a call ended.
pub(super) fn sanitize(headers: &mut HeaderMap, reference: &Reference) {
    let Some(code) = headers
        .get(GRPC_STATUS)
        .and_then(|status| internal(status.as_bytes()))
    else {
        return;
    };
    let message = headers.get(GRPC_MESSAGE);
    let detail = message.map(HeaderValue::as_bytes).unwrap_or_default();
    let number = code.number();
    let Some(kept) = reference.keep(code, format_args!("grpc-status {number}"), detail) else {
        return;
    };
    for name in [GRPC_STATUS, GRPC_MESSAGE, GRPC_STATUS_DETAILS_BIN] {
        headers.remove(name);
    }
    if let Ok(id) = HeaderValue::from_str(kept.id.as_str()) {
        headers.insert(&reference.settings.request_id_header, id);
    }
    let mut request = HeaderMap::new();
    request.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    let (rendered, _) = kept.rendered(&request);
    for name in [GRPC_STATUS, GRPC_MESSAGE, GRPC_STATUS_DETAILS_BIN] {
        if let Some(value) = rendered.headers.get(&name) {
            headers.insert(name, value.clone());
        }
    }
}

/// The code of a call that ended in an internal error. A status that is none is `UNKNOWN` to clients.
fn internal(status: &[u8]) -> Option<Code> {
    if status == b"0" {
        return None;
    }
    let number: Option<u8> = std::str::from_utf8(status)
        .ok()
        .and_then(|status| status.parse().ok());
    let code = Code::ALL
        .into_iter()
        .find(|code| Some(code.number()) == number);
    let code = code.unwrap_or(Code::Unknown);
    is_internal(code).then_some(code)
}

/// gRPC-Web's frame of trailers, without the words of an internal error.
pub(super) fn sanitize_web(end: &End, reference: &Reference) -> Bytes {
    let public = |message| status(message).is_some_and(|status| internal(status).is_none());
    if let Some(envelope) = &end.envelope
        && (end.message().is_some_and(public) || reference.settings.shows_details)
    {
        return envelope.clone();
    }
    let mut headers = end.message().and_then(parse).unwrap_or_default();
    let entry = headers.entry(GRPC_STATUS);
    // Nothing that could be read, or nothing that says how it ended.
    entry.or_insert(HeaderValue::from_static("2"));
    sanitize(&mut headers, reference);
    written(&headers)
}

/// Lines as in HTTP/1.1; without the last, empty one. `None`: no line.
fn lines(message: &[u8]) -> impl Iterator<Item = Option<(&[u8], &[u8])>> {
    let lines = message.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii);
    lines.filter(|line| !line.is_empty()).map(|line| {
        let colon = line.iter().position(|&byte| byte == b':')?;
        let (name, value) = line.split_at_checked(colon)?;
        Some((name, value.get(1..)?.trim_ascii()))
    })
}

/// The status that two readers would both find.
fn status(message: &[u8]) -> Option<&[u8]> {
    let mut found = None;
    for line in lines(message) {
        let (name, value) = line?;
        if name.eq_ignore_ascii_case(GRPC_STATUS.as_str().as_bytes())
            && found.replace(value).is_some()
        {
            return None;
        }
    }
    found
}

fn parse(message: &[u8]) -> Option<HeaderMap> {
    let mut headers = HeaderMap::new();
    for line in lines(message) {
        let (name, value) = line?;
        let name = HeaderName::from_bytes(name).ok()?;
        headers.append(name, HeaderValue::from_bytes(value).ok()?);
    }
    // It said that all was well, and then that it was not.
    if headers.get_all(GRPC_STATUS).iter().count() > 1 {
        return None;
    }
    Some(headers)
}

fn written(headers: &HeaderMap) -> Bytes {
    let mut message = Vec::new();
    for (name, value) in headers {
        message.extend_from_slice(name.as_str().as_bytes());
        message.extend_from_slice(b": ");
        message.extend_from_slice(value.as_bytes());
        message.extend_from_slice(b"\r\n");
    }
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
    let mut out = vec![GRPC_WEB_TRAILERS];
    out.extend_from_slice(&length.to_be_bytes());
    out.append(&mut message);
    out.into()
}

pub(super) const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const GRPC_STATUS_DETAILS_BIN: HeaderName = HeaderName::from_static("grpc-status-details-bin");
