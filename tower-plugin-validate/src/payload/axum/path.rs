use axum::extract::{
    FromRequestParts, Path, RawPathParams, path::ErrorKind, rejection::PathRejection,
};
use http::{StatusCode, request::Parts};
use serde::de::DeserializeOwned;
use tower_plugin_core::{Code, Rejection};

use super::{
    Checked, CheckedRejection,
    rejection::{in_order, wrong},
};
use crate::{
    caller::Caller,
    payload::{
        Check,
        named::{Told, Why},
    },
};

impl<T, S> FromRequestParts<S> for Checked<Path<T>>
where
    T: DeserializeOwned + Check + Send,
    S: Send + Sync,
{
    type Rejection = CheckedRejection;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        let checked = match Path::<Told<T>>::from_request_parts(parts, state).await {
            Ok(Path(Told(Ok(path)))) => in_order("path", path),
            Ok(Path(Told(Err(failure)))) => match failure.why() {
                Why::Duplicate(_) | Why::Missing(_) | Why::Unknown => Err(misrouted()),
                why => Err(mistyped(parts, failure.path(), why).await),
            },
            Err(rejection) => Err(unread(parts, &rejection).await),
        };
        let checked = checked.map(|path| Self(Path(path)));
        checked.map_err(|rejection| CheckedRejection::new(rejection, Caller::of(&parts.headers)))
    }
}

/// axum's own rejection quotes the path. Its keys are the route's and so the program's.
async fn unread(parts: &mut Parts, rejection: &PathRejection) -> Rejection {
    let PathRejection::FailedToDeserializePathParams(failed) = rejection else {
        return misrouted();
    };
    match failed.kind() {
        ErrorKind::UnsupportedType { .. } | ErrorKind::WrongNumberOfParameters { .. } => {
            misrouted()
        }
        ErrorKind::InvalidUtf8InPathParam { key } => mistyped(parts, key, Why::Unreadable).await,
        ErrorKind::ParseErrorAtKey { key, .. } => mistyped(parts, key, Why::Value).await,
        ErrorKind::ParseErrorAtIndex { index, .. } => {
            mistyped(parts, &format!("[{index}]"), Why::Value).await
        }
        _ => mistyped(parts, "", Why::Value).await,
    }
}

/// A value that stands alone has its name from the route.
async fn mistyped(parts: &mut Parts, field: &str, why: Why) -> Rejection {
    let mut field = field.to_owned();
    if field.is_empty()
        && let Ok(params) = RawPathParams::from_request_parts(parts, &()).await
        && let (1, Some((name, _))) = (params.iter().count(), params.iter().next())
    {
        name.clone_into(&mut field);
    }
    wrong("path", StatusCode::BAD_REQUEST, field, why)
}

/// The route and the type do not belong together: a mistake of the program, whatever is sent.
fn misrouted() -> Rejection {
    tracing::error!("the type of a `Checked<Path<_>>` does not fit the parameters of its route");
    Rejection::new(Code::Internal, "INTERNAL", "the path could not be read")
}
