//! What shares a quota.
//!
//! A [`Key`] feeds what identifies a caller into the limiter's keyed hasher. Nothing is allocated and
//! no text is built, so a compound key costs what its parts cost.
//!
//! ```
//! use tower_plugin_ratelimit::{RateLimitLayer, RequestHead, key};
//! # let quota = "10/s".parse::<tower_plugin_ratelimit::Quota>()?;
//!
//! // One quota per client address.
//! let by_ip = RateLimitLayer::new(quota, key::ClientIp::peer());
//! // One per authenticated principal; put this layer inside the authenticating one.
//! let by_principal = RateLimitLayer::new(quota, key::Principal);
//! // One per tenant and region, from wherever you know them.
//! let by_tenant = RateLimitLayer::new(quota, |request: &RequestHead<'_>| {
//!     let tenant = request.uri.path().split('/').nth(1)?;
//!     Some((tenant.to_owned(), "eu"))
//! });
//! # Ok::<_, tower_plugin_ratelimit::InvalidQuota>(())
//! ```
//!
//! Code that has no request at hand, e.g. to forget what a customer owes, writes the same keys as
//! values: [`ip`], [`principal`], [`route`], [`untrusted_header`], and tuples of these.
//!
//! ```
//! use tower_plugin_ratelimit::{MemoryLimiter, Operation, Policy, RateLimitLayer, key};
//!
//! let policy: Policy = "10/s".parse::<tower_plugin_ratelimit::Quota>()?.into();
//! let limiter = MemoryLimiter::default();
//! let layer = RateLimitLayer::with_limiter(
//!     limiter.clone(),
//!     policy.clone(),
//!     (key::Principal, key::Route),
//! );
//!
//! let exports = (key::principal("runtime", "billing"), key::route("POST", "/exports"));
//! let _ = limiter.apply_key(&policy, exports, Operation::Reset);
//! # Ok::<_, tower_plugin_ratelimit::InvalidQuota>(())
//! ```

use std::{
    fmt,
    hash::{Hash, Hasher},
    net::IpAddr,
};

use http::HeaderName;
use tower_plugin_core::RequestHead;

pub use tower_plugin_core::ClientIp;

/// Feeds what shares a quota into a hasher.
///
/// Implemented for [`ClientIp`], [`Principal`], [`Route`], [`UntrustedHeader`], [`Global`], for pairs and
/// triples of keys, and for any `Fn(&RequestHead<'_>) -> Option<impl Hash>`.
pub trait Key {
    /// Writes what identifies the caller of the request.
    ///
    /// # Errors
    ///
    /// [`MissingKey`] names what the request lacks; the layer then does as
    /// [`RateLimitLayer::with_on_missing_key`](crate::RateLimitLayer::with_on_missing_key) says.
    fn key<H: Hasher>(&self, request: &RequestHead<'_>, hasher: &mut H) -> Result<(), MissingKey>;
}

/// The network address of the client, IPv6 by network: see [`ClientIp`].
impl Key for ClientIp {
    fn key<H: Hasher>(&self, request: &RequestHead<'_>, hasher: &mut H) -> Result<(), MissingKey> {
        let group = self
            .group_of(request.headers, request.extensions)
            .ok_or(MissingKey::new(
                "the client's address: serve with connect info (axum: \
                 `into_make_service_with_connect_info::<SocketAddr>()` and feature `axum`; tonic: \
                 feature `tonic`) or insert `PeerAddr` into the request's extensions",
            ))?;
        group.hash(hasher);
        Ok(())
    }
}

/// What [`ClientIp`] keys a request from this address by.
#[must_use]
pub fn ip(client_ip: &ClientIp, ip: IpAddr) -> impl Hash + Copy + fmt::Debug + use<> {
    client_ip.group_bits(ip)
}

/// The [`Principal`](tower_plugin_core::Principal) that an outer layer authenticated.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "a marker has nothing to grow")]
pub struct Principal;

impl Key for Principal {
    fn key<H: Hasher>(&self, request: &RequestHead<'_>, hasher: &mut H) -> Result<(), MissingKey> {
        let principal = request
            .extensions
            .get::<tower_plugin_core::Principal>()
            .ok_or(MissingKey::new(
                "a principal: put the authenticating layer outside this one",
            ))?;
        self::principal(principal.kind(), principal.subject()).hash(hasher);
        Ok(())
    }
}

/// What [`Principal`] keys the requests of this principal by.
#[must_use]
pub fn principal<'a>(kind: &'a str, subject: &'a str) -> impl Hash + Copy + fmt::Debug + use<'a> {
    (kind, subject)
}

/// The method and the path, which for gRPC are the service and the method.
///
/// With feature `axum`, the path is the pattern that the router matched (`/users/{id}`), where the layer
/// is inside a `Router` and one did. Elsewhere it is the path as it is written.
///
/// Alone it limits how much all callers together use a route; `(key::ClientIp::peer(), key::Route)` limits
/// each of them. A path that no pattern stands for is the client's choice, and each one it makes up has a
/// quota of its own: where that is a way around, limit by the client alone as well.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "a marker has nothing to grow")]
pub struct Route;

impl Key for Route {
    fn key<H: Hasher>(&self, request: &RequestHead<'_>, hasher: &mut H) -> Result<(), MissingKey> {
        route(request.method.as_str(), path(request)).hash(hasher);
        Ok(())
    }
}

#[inline]
fn path<'a>(request: &RequestHead<'a>) -> &'a str {
    #[cfg(feature = "axum")]
    if let Some(matched) = request.extensions.get::<axum::extract::MatchedPath>() {
        return matched.as_str();
    }
    request.uri.path()
}

/// What [`Route`] keys requests for this method and path, or pattern, by.
#[must_use]
pub fn route<'a>(method: &'a str, path: &'a str) -> impl Hash + Copy + fmt::Debug + use<'a> {
    (method, path)
}

/// The value of a request header, *which the client chooses*.
///
/// Whoever sends another value has another quota, and whoever sends somebody else's spends theirs. So
/// it limits nobody who does not want to be limited. It is for values that something in front of the
/// server sets and strips from what clients send; for who is calling, see [`Principal`] and
/// [`ClientIp`].
///
/// A request without the header has no key; as its absence too is the client's choice,
/// [`OnMissingKey::Share`](crate::OnMissingKey::Share) is the answer to that. Of several values the first
/// counts.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "there is nothing to grow")]
pub struct UntrustedHeader(pub HeaderName);

impl Key for UntrustedHeader {
    fn key<H: Hasher>(&self, request: &RequestHead<'_>, hasher: &mut H) -> Result<(), MissingKey> {
        let value = request
            .headers
            .get(&self.0)
            .ok_or(MissingKey::new("the header that `UntrustedHeader` names"))?;
        untrusted_header(value.as_bytes()).hash(hasher);
        Ok(())
    }
}

/// What [`UntrustedHeader`] keys requests with this value by.
#[must_use]
pub fn untrusted_header(value: &[u8]) -> impl Hash + Copy + fmt::Debug + use<'_> {
    value
}

/// Everyone shares one quota. As a value it is `()`.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "a marker has nothing to grow")]
pub struct Global;

impl Key for Global {
    fn key<H: Hasher>(&self, _: &RequestHead<'_>, _: &mut H) -> Result<(), MissingKey> {
        Ok(())
    }
}

impl<A: Key, B: Key> Key for (A, B) {
    fn key<H: Hasher>(&self, request: &RequestHead<'_>, hasher: &mut H) -> Result<(), MissingKey> {
        self.0.key(request, hasher)?;
        self.1.key(request, hasher)
    }
}

impl<A: Key, B: Key, C: Key> Key for (A, B, C) {
    fn key<H: Hasher>(&self, request: &RequestHead<'_>, hasher: &mut H) -> Result<(), MissingKey> {
        self.0.key(request, hasher)?;
        self.1.key(request, hasher)?;
        self.2.key(request, hasher)
    }
}

impl<F, K> Key for F
where
    F: Fn(&RequestHead<'_>) -> Option<K>,
    K: Hash,
{
    fn key<H: Hasher>(&self, request: &RequestHead<'_>, hasher: &mut H) -> Result<(), MissingKey> {
        self(request)
            .ok_or(MissingKey::new("what the key closure looks for"))?
            .hash(hasher);
        Ok(())
    }
}

/// A request that lacks what its quota is keyed by.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct MissingKey {
    what: &'static str,
}

impl MissingKey {
    /// Says what is missing, for the operator's log; the caller is not told.
    #[must_use]
    pub const fn new(what: &'static str) -> Self {
        Self { what }
    }
}

impl fmt::Display for MissingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the request lacks {}", self.what)
    }
}

impl std::error::Error for MissingKey {}

#[cfg(test)]
mod tests;
