use axum::extract::{FromRequestParts, Path, path::ErrorKind, rejection::PathRejection};
use http::{StatusCode, request::Parts};
use serde::de::DeserializeOwned;
use tower_plugin_core::{Code, Rejection};

use super::{
    Checked, CheckedRejection,
    rejection::{in_order, wrong},
};
use crate::{
    caller::Caller,
    payload::{Check, named::Why},
};

impl<T, S> FromRequestParts<S> for Checked<Path<T>>
where
    T: DeserializeOwned + Check + Send,
    S: Send + Sync,
{
    type Rejection = CheckedRejection;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        let parsed = Path::<T>::from_request_parts(parts, state).await;
        let checked = parsed
            .map_err(|rejection| mistyped(&rejection))
            .and_then(|Path(path)| in_order("path", path));
        let checked = checked.map(|path| Self(Path(path)));
        checked.map_err(|rejection| CheckedRejection::new(rejection, Caller::of(&parts.headers)))
    }
}

/// axum's own rejection quotes the path. Its keys are the route's and so the program's.
fn mistyped(rejection: &PathRejection) -> Rejection {
    let PathRejection::FailedToDeserializePathParams(failed) = rejection else {
        return misrouted();
    };
    let (field, why) = match failed.kind() {
        ErrorKind::UnsupportedType { .. } | ErrorKind::WrongNumberOfParameters { .. } => {
            return misrouted();
        }
        ErrorKind::ParseErrorAtKey { key, .. } | ErrorKind::DeserializeError { key, .. } => {
            (key.clone(), Why::Value)
        }
        ErrorKind::InvalidUtf8InPathParam { key } => (key.clone(), Why::Unreadable),
        ErrorKind::ParseErrorAtIndex { index, .. } => (format!("[{index}]"), Why::Value),
        _ => (String::new(), Why::Value),
    };
    wrong("path", StatusCode::BAD_REQUEST, field, why)
}

/// The route and the type do not belong together: a mistake of the program, whatever is sent.
fn misrouted() -> Rejection {
    tracing::error!("the type of a `Checked<Path<_>>` does not fit the parameters of its route");
    Rejection::new(Code::Internal, "INTERNAL", "the path could not be read")
}
