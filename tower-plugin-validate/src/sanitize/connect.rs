//! The outcome of a Connect call, in the JSON of a unary error or of the message that ends a stream.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header::CONTENT_TYPE};
use tower_plugin_core::Code;

use super::{
    context::{Reference, is_internal},
    json::{self, Malformed, member},
    tail::End,
};
use crate::body::envelope::{CONNECT_END, PREFIX_BYTES};

/// The code of an error, `{"code":"internal",...}`.
pub(super) fn code(error: &[u8]) -> Result<Code, Malformed> {
    let name = member(error, "code")?.and_then(json::plain_string);
    // A code that is none is `unknown` to clients.
    let code = Code::ALL
        .into_iter()
        .find(|code| Some(code.name().as_bytes()) == name);
    Ok(code.unwrap_or(Code::Unknown))
}

/// The message that ends a stream, without the words of an internal error.
pub(super) fn sanitize_end(end: &End, reference: &Reference) -> Bytes {
    let message = end.message().unwrap_or_default();
    let (code, metadata) = match read(message) {
        Ok(Outcome { code: None, .. }) => return end.envelope.clone().unwrap_or_default(),
        Ok(Outcome {
            code: Some(code),
            metadata,
        }) => {
            if !is_internal(code) {
                return end.envelope.clone().unwrap_or_default();
            }
            (code, metadata)
        }
        Err(Malformed) => (Code::Internal, None),
    };
    let Some(kept) = reference.keep(code, code.name(), message) else {
        return end.envelope.clone().unwrap_or_default();
    };
    let mut request = HeaderMap::new();
    request.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("application/connect+proto"),
    );
    let (_, rendered) = kept.rendered(&request);
    let error = rendered.get(PREFIX_BYTES..).unwrap_or_default();
    let mut message = error.strip_suffix(b"}").unwrap_or(error).to_vec();
    if let Some(metadata) = metadata {
        message.extend_from_slice(b",\"metadata\":");
        message.extend_from_slice(metadata);
    }
    message.push(b'}');

    let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
    let mut out = vec![CONNECT_END];
    out.extend_from_slice(&length.to_be_bytes());
    out.append(&mut message);
    out.into()
}

struct Outcome<'a> {
    code: Option<Code>,
    metadata: Option<&'a [u8]>,
}

fn read(message: &[u8]) -> Result<Outcome<'_>, Malformed> {
    let code = match member(message, "error")? {
        None | Some(b"null") => None,
        Some(error) => Some(code(error)?),
    };
    let metadata = member(message, "metadata")?;
    Ok(Outcome { code, metadata })
}
