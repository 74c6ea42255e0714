use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    middleware::{Next, from_fn_with_state},
    response::Response,
};
use http::{HeaderMap, HeaderValue, header::WWW_AUTHENTICATE};
use tower::{ServiceBuilder, ServiceExt, service_fn};
use tower_plugin_auth::{AuthLayer, BearerAuthenticator, Grant};
use tower_plugin_core::{Code, Rejection};
use tower_plugin_ratelimit::key;

use crate::host::{HostState, guard, steps::Steps};

/// `/capabilities/{type}/{grant}/…`: what is offered, each behind grants of it.
///
/// The grant is checked first, then whether its holder is still there, then his quota. Nothing is locked while
/// a capability runs: it may take its time, and may ask the broker in turn.
pub(in crate::host) fn mount(state: &Arc<HostState>, steps: &Steps) -> Router {
    let services = Arc::new(state.grants.services());
    let call = service_fn(move |request: Request| {
        let services = Arc::clone(&services);
        async move {
            let grant = request.extensions().get::<Grant>();
            let service = grant.and_then(|grant| services.get(grant.capability()));
            let response = match service {
                Some(service) => service.clone().oneshot(request).await,
                // Offered by another copy, and not by this one.
                None => Ok(guard::unknown_path(request.headers().clone()).await),
            };
            response.map_err(|never: Infallible| match never {})
        }
    });
    // First is outermost.
    let grants = ServiceBuilder::new()
        .layer(steps.to("grant", state.grants.layer()))
        .layer(steps.to(
            "holder",
            from_fn_with_state(Arc::clone(state), in_the_name_of_its_holder),
        ))
        .layer(steps.to(
            "capability quota",
            state.limits.layer(&state.limits.capability, key::Principal),
        ));
    let capabilities = Router::new()
        .route_service("/capabilities/{*call}", call)
        .layer(grants);
    match state.grants.is_bound() {
        true => capabilities.layer(steps.to(
            "authentication",
            AuthLayer::new(BearerAuthenticator::new(state.identities.tokens().clone())),
        )),
        false => capabilities,
    }
}

/// Lets the holder of the grant be known to what is called, if he is still there: a grant ends with the tokens
/// of the plugin that has asked for it, at once and in every copy of the host.
async fn in_the_name_of_its_holder(
    State(host): State<Arc<HostState>>,
    mut request: Request,
    next: Next,
) -> Response {
    let Some(grant) = request.extensions().get::<Grant>() else {
        return refuse(invalid_token(), request.headers());
    };
    let holder = grant.principal().clone();
    match host.identities.is_there(&holder).await {
        Ok(true) => {
            request.extensions_mut().insert(holder);
            next.run(request).await
        }
        Ok(false) => refuse(invalid_token(), request.headers()),
        Err(error) => {
            tracing::warn!(%error, "whether the holder of a grant is there could not be found out");
            let refusal = Rejection::new(
                Code::Unavailable,
                "AUTHENTICATION_UNAVAILABLE",
                "authentication is temporarily unavailable",
            );
            let retry_after = error.retry_after().unwrap_or(Duration::from_secs(1));
            refuse(refusal.with_retry_after(retry_after), request.headers())
        }
    }
}

/// As whoever checks grants says it: it is no business of the caller why.
fn invalid_token() -> Rejection {
    Rejection::new(Code::Unauthenticated, "INVALID_TOKEN", "invalid token")
        .with_header(WWW_AUTHENTICATE, CHALLENGE)
}

fn refuse(refusal: Rejection, request: &HeaderMap) -> Response {
    refusal.into_response::<Body>(request).map(Body::new)
}

const CHALLENGE: HeaderValue =
    HeaderValue::from_static("Bearer realm=\"plugins\", error=\"invalid_token\"");
