//! `/services/{type}/{provider_id}/{method...}`: calls from plugin to plugin.
//!
//! A request goes to the provider as it comes and the answer back as it comes: bodies and trailers are
//! streamed, nothing is kept, redirects are handed on and not followed. A call ends with its caller's
//! token, whichever side is still talking. gRPC goes over HTTP/2 with prior
//! knowledge, everything else over HTTP/1.1. Where a provider is, [`ProxyOptions`] says.

use std::{fmt, sync::Arc, time::Duration};

use axum::{
    Extension,
    body::Body,
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use http::{HeaderMap, Method, StatusCode, Uri, Version, uri::Scheme};
use hyper_util::{
    client::legacy::{Client, Error},
    rt::{TokioExecutor, TokioTimer},
};
use tokio::{pin, time};
use tower_plugin_auth::authenticate::RUNTIME_ID;
use tower_plugin_core::{Principal, Protocol, Rejection};
use tower_plugin_ratelimit::concurrency::{Concurrency, ConcurrencyLimitLayer};
use tower_plugin_ratelimit::key;
use tower_plugin_validate::{Route, RouteRules, RuleSet, limits::Limits, sanitize::PublicError};

use super::{HostError, HostState, registry::Refusal};

mod dial;
mod endpoints;
mod headers;
mod listeners;
mod options;
mod progress;
mod reach;
mod refusal;
mod target;
mod until;

pub use options::{InvalidProvider, ProviderUrl, ProxyOptions};

use dial::Dial;
use endpoints::Endpoints;
use listeners::Listeners;
use progress::Noted;
use reach::Reach;
use target::Target;
use until::Until;

/// What calls from plugin to plugin go through.
pub(super) struct Proxy {
    endpoints: Endpoints,
    http1: Client<Dial, Noted>,
    http2: Client<Dial, Noted>,
    in_flight: ConcurrencyLimitLayer<key::Principal>,
    listeners: Listeners,
    // From the last part of the request that was sent to the head of the answer. There is no limit to
    // the length of an answer: streams may go on for days.
    first_byte: Duration,
}

impl Proxy {
    pub(super) fn new(options: ProxyOptions) -> Result<Self, HostError> {
        for (index, provider) in options.providers.iter().enumerate() {
            let mut earlier = options.providers.iter().take(index);
            if earlier.any(|other| other.self_id == provider.self_id) {
                return Err(HostError::ProviderTwice(provider.self_id.clone()));
            }
        }
        let own: Vec<_> = options
            .providers
            .iter()
            .map(|provider| provider.endpoint.authority.host())
            .collect();
        let reach = Reach::new(&options.hosts, &options.networks, &own)?;
        let listeners = Listeners::default();
        let dial = Dial {
            reach: Arc::new(reach.clone()),
            listeners: listeners.clone(),
        };
        let client = |only_http2| {
            Client::builder(TokioExecutor::new())
                .http2_only(only_http2)
                .http2_keep_alive_interval(KEEP_ALIVE)
                .timer(TokioTimer::new())
                .pool_timer(TokioTimer::new())
                .pool_idle_timeout(IDLE)
                .pool_max_idle_per_host(MAX_IDLE)
                .build(dial.clone())
        };
        let in_flight = Concurrency::per_key(MAX_CALLS)?
            .with_name("services")?
            .with_total(MAX_CALLS_IN_ALL)?;
        Ok(Self {
            endpoints: Endpoints::new(options.providers, reach),
            http1: client(false),
            http2: client(true),
            in_flight: ConcurrencyLimitLayer::new(in_flight, key::Principal),
            listeners,
            first_byte: options.timeout.0,
        })
    }

    /// How many calls may be under way.
    pub(super) fn in_flight(&self) -> ConcurrencyLimitLayer<key::Principal> {
        self.in_flight.clone()
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy")
            .field("endpoints", &self.endpoints)
            .finish_non_exhaustive()
    }
}

/// What the head of every request is held to, and what is let through to [`call`]: the same, and bodies of
/// any length, since none is kept.
pub(super) fn rules(head: Limits) -> Result<RuleSet, HostError> {
    let limits = head.to_builder().any_declared_body().build()?;
    Ok(RuleSet::plugin().with_limits(head).with_route(
        Route::new("/services/{*call}")?,
        RouteRules::new().with_limits(limits),
    ))
}

/// The first checks, in the order of the protocol: of the method, of the path, and that an identity is claimed. Goes
/// outside of the layer that has it proven.
pub(super) async fn check_head(mut request: Request, next: Next) -> Response {
    let refusal = match Target::parse(request.uri().path()) {
        // A tunnel, or an echo of what the host knows and the provider should not.
        _ if [Method::CONNECT, Method::TRACE].contains(request.method()) => {
            refusal::no_such_method()
        }
        None => refusal::invalid_path(),
        Some(_) if !request.headers().contains_key(RUNTIME_ID) => refusal::no_runtime_id(),
        Some(target) => {
            request.extensions_mut().insert(target);
            return next.run(request).await;
        }
    };
    respond(refusal, request.headers())
}

/// Calls the provider. The caller's identity is proven by now.
pub(super) async fn call(
    State(host): State<Arc<HostState>>,
    Extension(caller): Extension<Principal>,
    Extension(target): Extension<Target>,
    request: Request,
) -> Response {
    let asked = request.headers().clone();
    let outcome = forward(&host, &caller, &target, request).await;
    let status = match &outcome {
        Ok(response) => response.status(),
        Err(refusal) => refusal.status(),
    };
    // Fields are escaped by whoever writes them down, and nothing here was decoded.
    tracing::debug!(
        caller = caller.subject(),
        service_type = ?target.service_type,
        provider = ?target.runtime_id,
        method = ?target.method,
        status = status.as_u16(),
        "call to a provider"
    );
    outcome.unwrap_or_else(|refusal| respond(refusal, &asked))
}

async fn forward(
    host: &HostState,
    caller: &Principal,
    target: &Target,
    request: Request,
) -> Result<Response, Rejection> {
    let session = || {
        host.identities
            .session_of(caller)
            .ok_or_else(refusal::token_ended)
    };
    let offer = host
        .directory
        .provider(&target.service_type, &target.runtime_id)
        .map_err(|refusal| match refusal {
            Refusal::NoneHealthy => refusal::unhealthy(),
            _ => refusal::unknown_provider(),
        })?;
    let proxy = &host.proxy;
    let endpoint = proxy
        .endpoints
        .of(&target.runtime_id, &offer.metadata)
        .ok_or_else(refusal::no_endpoint)?;
    let path = target
        .path_at(&endpoint, &offer.endpoint_path)
        .ok_or_else(refusal::invalid_path)?;

    let (mut parts, body) = request.into_parts();
    let path_and_query = match parts.uri.query() {
        Some(query) => format!("{path}?{query}"),
        None => path,
    };
    let (client, version) = match Protocol::of(&parts.headers) {
        Protocol::Grpc => (&proxy.http2, Version::HTTP_2),
        _ => (&proxy.http1, Version::HTTP_11),
    };
    parts.uri = Uri::builder()
        .scheme(Scheme::HTTP)
        .authority(endpoint.authority)
        .path_and_query(path_and_query)
        .build()
        .map_err(|_| refusal::invalid_path())?;
    parts.version = version;
    // Ours: what the layers have found out about the caller goes no further.
    parts.extensions.clear();
    headers::prepare_request(&mut parts.headers, caller.subject(), version);

    // Each side is held to it on its own: whoever leaves an answer unread could go on asking.
    let body = Until::new(
        body,
        until::ended(host, session()?),
        headers::prepare_request_trailers,
    );
    let mut ended = until::ended(host, session()?);
    let (body, mut progress) = Noted::new(body);
    let answer = client.request(Request::from_parts(parts, body));
    pin!(answer);
    let answer = loop {
        tokio::select! {
            answer = &mut answer => break answer,
            () = &mut ended => return Err(refusal::token_ended()),
            Ok(()) = progress.changed() => {}
            () = time::sleep(proxy.first_byte) => return Err(refusal::no_answer_in_time()),
        }
    };
    let mut answer = answer.map_err(|error| failed(&error, target))?;
    if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
        return Err(refusal::bad_gateway());
    }
    // Of this connection, not of the one to the provider.
    *answer.version_mut() = Version::HTTP_11;
    headers::prepare_response(answer.headers_mut());
    answer.extensions_mut().clear();
    // The provider's own words, for the provider's own callers.
    answer.extensions_mut().insert(PublicError);
    Ok(answer.map(|body| Body::new(Until::new(body, ended, headers::prepare_response))))
}

fn failed(error: &Error, target: &Target) -> Rejection {
    tracing::warn!(
        error = error as &dyn std::error::Error,
        provider = ?target.runtime_id,
        "a provider could not be called"
    );
    refusal::of_failure(error)
}

fn respond(refusal: Rejection, request: &HeaderMap) -> Response {
    refusal.into_response::<Body>(request).map(Body::new)
}

const IDLE: Duration = Duration::from_secs(60);
const KEEP_ALIVE: Duration = Duration::from_secs(20);
/// Calls of one plugin under way at a time, streams included. All gRPC calls to a provider share a
/// connection, and servers commonly take 100 streams on one: nobody has them all.
const MAX_CALLS: u32 = 64;
const MAX_CALLS_IN_ALL: usize = 4096;
/// Unused connections kept to one provider.
const MAX_IDLE: usize = 32;

#[cfg(test)]
mod tests {
    use clap::Parser;
    use tower_plugin_validate::limits::Limit;

    use super::*;
    use crate::host::{Options, fields};

    fn outcome(arguments: &[&str]) -> Result<(), String> {
        let command_line = ["plugin-host"].iter().chain(arguments);
        let options = Options::try_parse_from(command_line).map_err(|error| error.to_string())?;
        let proxy = Proxy::new(options.proxy).map_err(|error| error.to_string())?;
        drop(proxy);
        Ok(())
    }

    #[test]
    fn a_provider_is_at_one_place_and_lists_are_of_hosts() {
        let two = ["--provider", "log=http://a.example/", "--provider"];
        assert_eq!(
            outcome(&[&two[..], &["kv=http://a.example/"]].concat()),
            Ok(())
        );
        let error = outcome(&[&two[..], &["Log=http://b.example/"]].concat()).unwrap_err();
        assert!(error.contains("log is at one place"), "{error}");
        let error = outcome(&["--provider-host", "10.0.0.0/8"]).unwrap_err();
        assert!(error.starts_with("--provider-host: hosts[0]"), "{error}");
    }

    #[test]
    fn a_path_may_be_as_long_as_type_and_provider_make_it() {
        let config = Options::try_parse_from(["plugin-host"]).unwrap();
        let (config, _) = config.into_config(None).unwrap();
        let most = rules(config.head).unwrap().limits().max(Limit::PathBytes);
        let longest = format!("/services/{}/{}/", "t".repeat(128), "p".repeat(161));
        let longest = longest.len() + fields::MAX_ENDPOINT_PATH;
        assert!(most.unwrap() >= longest as u64);
    }
}
