//! For who runs the host: what goes on, and what can be done about it.
//!
//! It is served on a listener of its own, and behind a token of its own.

use std::{fmt, sync::Arc};

use axum::{
    Router,
    middleware::{from_fn, from_fn_with_state},
    routing::{get, post},
};
use http::Method;
use serde_json::Value;
use tower::ServiceBuilder;
use tower_plugin_auth::{
    AuthLayer,
    audit::AuditLayer,
    authenticate::{ApiKeyAuthenticator, CredentialHeader},
};
use tower_plugin_core::ClientIp;
use tower_plugin_ratelimit::{LivePolicy, MemoryLimiter, OnFull, Policy, RateLimitLayer};
use tower_plugin_validate::{SanitizeErrorsLayer, ValidateLayer};

use super::{
    HostError, HostState, guard,
    metrics::{observe, scrape},
    options::AdminConfig,
    unread::take_in_unread,
};

mod answer;
mod audit;
mod page;
mod plugins;
mod quarantine;
mod stats;
mod tokens;

/// What other parts of the host add to its administration.
#[derive(Clone, Default)]
pub struct AdminParts {
    /// Routes behind the administrator's token.
    pub routes: Router,
    /// What `/admin/stats` says of capability grants, if there are any.
    pub grants: Option<Figures>,
    /// What it says of the last audit events, if they are kept.
    pub audit: Option<Figures>,
}

/// Asked for each time; what it answers holds no secret.
pub type Figures = Arc<dyn Fn() -> Value + Send + Sync>;

/// What handlers share.
#[derive(Clone)]
struct Admin {
    host: Arc<HostState>,
    grants: Option<Figures>,
    audit: Option<Figures>,
}

/// The administration of a host.
///
/// `/` is a page that shows `/admin/stats`, once it is told the token. `/healthz` is for everyone.
///
/// # Errors
///
/// [`HostError`] if the quota makes no policy.
///
/// # Panics
///
/// If a route of `parts` has a path of its own.
pub fn build(
    state: &Arc<HostState>,
    config: &AdminConfig,
    parts: AdminParts,
) -> Result<Router, HostError> {
    // In this process, whatever else is on Redis: this has to work when that does not.
    let limiter = MemoryLimiter::with_clock(MAX_GUESSERS, OnFull::default(), state.clock.clone())?;
    let policy = LivePolicy::new(Policy::new("admin", [config.quota])?);
    // Taken when a request comes and given back if its token was good: not even many at once get in
    // more guesses.
    let guesses = RateLimitLayer::with_limiter(limiter, policy.clone(), ClientIp::peer())
        .with_refund_if(|answer| answer.status != http::StatusCode::UNAUTHORIZED);
    state.limits.keep_counts(&policy, &guesses);
    let authenticator =
        ApiKeyAuthenticator::new(config.keys.clone()).with_header(CredentialHeader::bearer());
    // First is outermost.
    let guard = ServiceBuilder::new()
        .layer(guesses)
        .layer(AuthLayer::new(authenticator));

    let admin = Admin {
        host: Arc::clone(state),
        grants: Some(parts.grants.unwrap_or_else(|| {
            let state = Arc::clone(state);
            Arc::new(move || state.grant_figures())
        })),
        audit: parts.audit.or_else(|| {
            let log = Arc::clone(state.audit.as_ref()?);
            Some(Arc::new(move || log.recent()) as Figures)
        }),
    };
    let guarded = Router::new()
        .route("/admin/audit/verify", get(audit::verify))
        .route("/admin/plugins", get(plugins::list))
        .route("/admin/quarantine", get(quarantine::list))
        .route(
            "/admin/quarantine/{who}",
            post(quarantine::put).delete(quarantine::release),
        )
        .route("/admin/rotate", post(tokens::rotate_all))
        .route("/admin/stats", get(stats::stats))
        .route("/admin/tokens", get(tokens::list))
        .route("/admin/tokens/{who}/revoke", post(tokens::revoke))
        .route("/admin/tokens/{who}/rotate", post(tokens::rotate))
        .with_state(admin)
        .route("/metrics", get(scrape).with_state(Arc::clone(state)))
        .merge(parts.routes)
        .layer(guard);

    // Last is outermost.
    let admin = Router::new()
        .merge(guarded)
        .route("/", get(page::page))
        .route("/healthz", get("ok"))
        .fallback(guard::unknown_path)
        .layer(ValidateLayer::new(state.rules.clone()))
        .layer(from_fn(guard::catch_panic))
        .layer(from_fn(take_in_unread))
        .layer(SanitizeErrorsLayer::new());
    // What is changed here is written down, and not only what is refused.
    let admin = match &state.audit {
        Some(log) => admin.layer(
            AuditLayer::new(Arc::clone(log))
                .with_admitted(|request| !matches!(request.method, Method::GET | Method::HEAD)),
        ),
        None => admin,
    };
    Ok(admin.layer(from_fn_with_state(state.telemetry.clone(), observe)))
}

impl fmt::Debug for AdminParts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdminParts")
            .field("grants", &self.grants.is_some())
            .field("audit", &self.audit.is_some())
            .finish_non_exhaustive()
    }
}

const MAX_GUESSERS: usize = 1 << 12;
