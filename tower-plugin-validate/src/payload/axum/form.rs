use axum::{
    Form,
    extract::{FromRequest, FromRequestParts, Query, Request},
};
use http::{HeaderMap, Method, StatusCode, request::Parts};
use serde::de::DeserializeOwned;
use tower_plugin_core::{Code, Rejection};

use super::{
    Checked, CheckedRejection,
    json::{body, media_type, shape},
    rejection::{in_order, mistyped, single, wrong_content_type},
};
use crate::{
    caller::Caller,
    payload::{Check, named, shape::ShapeLimit},
};

impl<T, S> FromRequestParts<S> for Checked<Query<T>>
where
    T: DeserializeOwned + Check,
    S: Send + Sync,
{
    type Rejection = CheckedRejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let query = parts.uri.query().unwrap_or_default();
        let value = parse("query", StatusCode::BAD_REQUEST, query.as_bytes());
        let value = value
            .map_err(|rejection| CheckedRejection::new(rejection, Caller::of(&parts.headers)))?;
        Ok(Self(Query(value)))
    }
}

/// As with axum's `Form`, the query of a GET or HEAD, and the body of everything else.
impl<T, S> FromRequest<S> for Checked<Form<T>>
where
    T: DeserializeOwned + Check,
    S: Send + Sync,
{
    type Rejection = CheckedRejection;

    async fn from_request(request: Request, _: &S) -> Result<Self, Self::Rejection> {
        let caller = Caller::of(request.headers());
        let value = read(request).await;
        let value = value.map_err(|rejection| CheckedRejection::new(rejection, caller))?;
        Ok(Self(Form(value)))
    }
}

async fn read<T: DeserializeOwned + Check>(request: Request) -> Result<T, Rejection> {
    if [Method::GET, Method::HEAD].contains(request.method()) {
        let query = request.uri().query().unwrap_or_default();
        return parse("query", StatusCode::BAD_REQUEST, query.as_bytes());
    }
    if !is_form(request.headers()) {
        return Err(wrong_content_type(
            "content-type must be application/x-www-form-urlencoded",
        ));
    }
    let shape = shape(&request);
    let mut bytes = 0_u64;
    let text = body(request, |chunk| {
        bytes = bytes.saturating_add(chunk.len() as u64);
        shape.check_bytes(bytes)
    });
    let text = text.await?;
    let fields = text.iter().filter(|&&byte| byte == b'&').count() as u64 + 1;
    if fields > shape.max(ShapeLimit::Members) {
        let description = "the form has too many fields";
        return Err(single(Code::InvalidArgument, "FORM_SIZE", description));
    }
    parse("body", StatusCode::UNPROCESSABLE_ENTITY, &text)
}

fn parse<T: DeserializeOwned + Check>(
    place: &'static str,
    mistyped_as: StatusCode,
    text: &[u8],
) -> Result<T, Rejection> {
    let deserializer = serde_urlencoded::Deserializer::new(form_urlencoded::parse(text));
    let value: T = named::deserialize(deserializer)
        .map_err(|failure| mistyped(place, mistyped_as, &failure))?;
    in_order(place, value)
}

fn is_form(headers: &HeaderMap) -> bool {
    media_type(headers).eq_ignore_ascii_case("application/x-www-form-urlencoded")
}
