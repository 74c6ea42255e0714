//! The outcome of a gRPC call, in the head of a trailers-only response, in trailers, or in gRPC-Web's frame of them.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header::CONTENT_TYPE};
use tower_plugin_core::Code;

use super::{
    context::{RequestContext, is_internal},
    tail::{End, GRPC_WEB_TRAILERS},
};

/// Takes the words of an internal error from headers that tell how a call ended.
pub(super) fn sanitize(headers: &mut HeaderMap, context: &RequestContext) {
    let Some(code) = headers.get(GRPC_STATUS).and_then(internal) else {
        return;
    };
    let message = headers.get(GRPC_MESSAGE);
    let detail = message.map(HeaderValue::as_bytes).unwrap_or_default();
    let number = code.number();
    let Some(kept) = context.keep(code, format_args!("grpc-status {number}"), detail) else {
        return;
    };
    for name in [GRPC_STATUS, GRPC_MESSAGE, GRPC_STATUS_DETAILS_BIN] {
        headers.remove(name);
    }
    if let Ok(id) = HeaderValue::from_str(kept.id.as_str()) {
        headers.insert(&context.settings.request_id_header, id);
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
fn internal(status: &HeaderValue) -> Option<Code> {
    if status.as_bytes() == b"0" {
        return None;
    }
    let number: Option<u8> = status.to_str().ok().and_then(|status| status.parse().ok());
    let code = Code::ALL
        .into_iter()
        .find(|code| Some(code.number()) == number);
    let code = code.unwrap_or(Code::Unknown);
    is_internal(code).then_some(code)
}

/// gRPC-Web's frame of trailers, without the words of an internal error.
pub(super) fn sanitize_web(end: &End, context: &RequestContext) -> Bytes {
    let parsed = end.message().map(parse);
    let mut headers = match (parsed, &end.envelope) {
        (Some(Some(headers)), Some(envelope)) => {
            let is_public = headers
                .get(GRPC_STATUS)
                .is_some_and(|status| internal(status).is_none());
            if is_public {
                return envelope.clone();
            }
            headers
        }
        _ => HeaderMap::new(),
    };
    if !headers.contains_key(GRPC_STATUS) {
        // Nothing that could be read, or nothing that says how it ended.
        headers.insert(GRPC_STATUS, HeaderValue::from_static("2"));
    }
    sanitize(&mut headers, context);
    match (&end.envelope, context.settings.shows_details) {
        (Some(envelope), true) => envelope.clone(),
        _ => written(&headers),
    }
}

/// Lines as in HTTP/1.1.
fn parse(message: &[u8]) -> Option<HeaderMap> {
    let mut headers = HeaderMap::new();
    for line in message.split(|&byte| byte == b'\n') {
        let line = line.trim_ascii();
        if line.is_empty() {
            continue;
        }
        let colon = line.iter().position(|&byte| byte == b':')?;
        let (name, value) = line.split_at_checked(colon)?;
        let name = HeaderName::from_bytes(name).ok()?;
        let value = HeaderValue::from_bytes(value.get(1..)?.trim_ascii()).ok()?;
        headers.append(name, value);
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
