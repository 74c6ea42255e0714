use std::{borrow::Cow, error::Error, pin::pin};

use axum::{
    Json, RequestExt,
    extract::{FromRequest, Request},
};
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode, header::CONTENT_TYPE};
use http_body_util::{BodyExt, LengthLimitError};
use serde::de::{DeserializeOwned, IgnoredAny};
use tower_plugin_core::{Code, Rejection, Violation};

use super::{
    Checked, CheckedRejection,
    rejection::{in_order, misshapen, mistyped, single, too_large, wrong_content_type},
};
use crate::{
    body::BodyRefused,
    caller::Caller,
    payload::{
        Check, named,
        shape::{JsonScanner, JsonShape, ShapeExceeded},
    },
};

impl<T, S> FromRequest<S> for Checked<Json<T>>
where
    T: DeserializeOwned + Check,
    S: Send + Sync,
{
    type Rejection = CheckedRejection;

    async fn from_request(request: Request, _: &S) -> Result<Self, Self::Rejection> {
        let caller = Caller::of(request.headers());
        let value = read(request).await;
        let value = value.map_err(|rejection| CheckedRejection::new(rejection, caller))?;
        Ok(Self(Json(value)))
    }
}

async fn read<T: DeserializeOwned + Check>(request: Request) -> Result<T, Rejection> {
    if !is_json(request.headers()) {
        return Err(wrong_content_type(
            "content-type must be application/json, or end in +json",
        ));
    }
    let mut scanner = JsonScanner::new(shape(&request));
    let text = body(request, |chunk| scanner.feed(chunk)).await?;
    parse(&text)
}

pub(super) fn shape(request: &Request) -> JsonShape {
    request.extensions().get().copied().unwrap_or_default()
}

/// Reads the body to its end, unless one of its chunks is refused.
pub(super) async fn body(
    request: Request,
    mut check: impl FnMut(&[u8]) -> Result<(), ShapeExceeded>,
) -> Result<Bytes, Rejection> {
    let mut body = pin!(request.into_limited_body());
    let mut text = Bytes::new();
    let mut longer = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| unread(&error))?;
        let Ok(chunk) = frame.into_data() else {
            continue;
        };
        check(&chunk).map_err(misshapen)?;
        // A body of one chunk, as most are, is not copied.
        if text.is_empty() && longer.is_empty() {
            text = chunk;
        } else {
            longer.extend_from_slice(&std::mem::take(&mut text));
            longer.extend_from_slice(&chunk);
        }
    }
    Ok(match text.is_empty() {
        true => longer.freeze(),
        false => text,
    })
}

/// Why the body broke off, as far as it concerns the caller.
fn unread(error: &axum::Error) -> Rejection {
    let mut source: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = source {
        if let Some(refused) = error.downcast_ref::<BodyRefused>() {
            return too_large(refused.limit().reason(), refused.limit().description());
        }
        if error.is::<LengthLimitError>() {
            return too_large("BODY_SIZE", "the body is too large");
        }
        source = error.source();
    }
    single(Code::InvalidArgument, "BODY", "the body could not be read")
}

fn parse<T: DeserializeOwned + Check>(text: &[u8]) -> Result<T, Rejection> {
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let value: T =
        named::deserialize(&mut deserializer).map_err(|failure| match failure.source() {
            Some(error) if !error.is_data() && !is_one_text(text) => no_json(text, error),
            _ => mistyped("body", StatusCode::UNPROCESSABLE_ENTITY, &failure),
        })?;
    deserializer.end().map_err(|error| no_json(text, &error))?;
    in_order("body", value)
}

/// Whether it is JSON. The parser calls it bad syntax, too, where a number stands for a variant, or an array has an element
/// more than its type.
fn is_one_text(text: &[u8]) -> bool {
    let parsed = std::str::from_utf8(text).map(serde_json::from_str::<IgnoredAny>);
    matches!(parsed, Ok(Ok(_)))
}

/// Where it stops being JSON says nothing of what it holds.
fn no_json(text: &[u8], error: &serde_json::Error) -> Rejection {
    let (line, column) = (error.line(), error.column());
    let at: Cow<'static, str> = match error.is_eof() {
        true if text.is_empty() => "is empty".into(),
        true => "ends before its JSON does".into(),
        false => format!("is no JSON from line {line}, column {column} on").into(),
    };
    Rejection::new(
        Code::InvalidArgument,
        "JSON_SYNTAX",
        "the body is not valid JSON",
    )
    .with_violation(Violation::new("body", "JSON_SYNTAX", at))
}

/// `application/json`, or `application/...+json` (RFC 6839 section 3.1).
fn is_json(headers: &HeaderMap) -> bool {
    let essence = media_type(headers).to_ascii_lowercase();
    let subtype = essence.strip_prefix("application/");
    subtype.is_some_and(|subtype| subtype == "json" || subtype.ends_with("+json"))
}

/// Without its parameters; nothing, if there is none that is text.
pub(super) fn media_type(headers: &HeaderMap) -> &str {
    let value = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let essence = value.and_then(|value| value.split(';').next());
    essence.unwrap_or_default().trim()
}
