//! A plugin's own way to a new token, before the old one ends.

use std::{
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use axum::{
    Extension, Json, Router,
    body::Body,
    extract::State,
    response::{IntoResponse, Response},
    routing::post,
};
use http::{
    HeaderMap,
    header::{CACHE_CONTROL, HeaderValue},
};
use serde::Serialize;
use tower_plugin_auth::{Issued, RotateError, token::TokenId};
use tower_plugin_core::{Code, Principal, Rejection};

use super::HostState;

/// `POST /rotate`: whoever calls with a runtime token gets its successor.
///
/// The old one stays good for the overlap, so that calls on their way are served. Used after that it is
/// taken for stolen, and all that came from it ends. Goes inside of what authenticates.
pub(super) fn router(state: &Arc<HostState>) -> Router {
    Router::new()
        .route("/rotate", post(rotate))
        .with_state(Arc::clone(state))
}

/// Who a plugin is from now on.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Successor {
    runtime_id: String,
    /// Secret.
    runtime_token: String,
    /// Seconds since 1970.
    expires_at: u64,
}

async fn rotate(
    State(state): State<Arc<HostState>>,
    caller: Extension<Principal>,
    headers: HeaderMap,
) -> Response {
    let id = caller.token_id().and_then(|id| id.parse::<TokenId>().ok());
    let Some(id) = id else {
        return respond(&RotateError::NotLive, &headers);
    };
    match state.identities.tokens().rotate(&id).await {
        Ok(issued) => {
            tracing::info!(runtime_id = issued.principal().subject(), "token rotated");
            successor(&issued)
        }
        Err(error) => respond(&error, &headers),
    }
}

/// Hands over a new token, this once.
pub(super) fn successor(issued: &Issued) -> Response {
    let expires_at = issued.expires_at().duration_since(UNIX_EPOCH);
    let successor = Successor {
        runtime_id: issued.principal().subject().to_owned(),
        runtime_token: issued.token().expose().to_owned(),
        expires_at: expires_at.as_ref().map_or(0, Duration::as_secs),
    };
    let mut response = Json(successor).into_response();
    response
        .headers_mut()
        .insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Why there is none.
pub(super) fn respond(error: &RotateError, request: &HeaderMap) -> Response {
    let refusal = match error {
        RotateError::AlreadyRotated => Rejection::new(
            Code::FailedPrecondition,
            "ALREADY_ROTATED",
            "this token has a successor already",
        ),
        RotateError::NotLive | RotateError::OneTime => Rejection::new(
            Code::FailedPrecondition,
            "NOT_ROTATABLE",
            "this token cannot be replaced",
        ),
        RotateError::Full => Rejection::new(
            Code::ResourceExhausted,
            "NO_ROOM",
            "no room for another token",
        ),
        error => {
            tracing::error!(%error, "no token could be rotated");
            Rejection::new(Code::Unavailable, "NOT_ROTATED", "temporarily unavailable")
        }
    };
    refusal.into_response::<Body>(request).map(Body::new)
}
