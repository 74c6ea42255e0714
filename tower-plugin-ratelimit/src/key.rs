//! What shares a quota.
//!
//! A [`Key`] feeds what identifies a caller into the limiter's keyed hasher. Nothing is allocated and
//! no text is built, so a compound key costs what its parts cost.
//!
//! ```
//! use tower_plugin_ratelimit::{RateLimitLayer, key};
//! # let quota = "10/s".parse::<tower_plugin_ratelimit::Quota>()?;
//!
//! // One quota per client address.
//! let by_ip = RateLimitLayer::new(quota, key::ClientIp::peer());
//! // One per authenticated principal; put this layer inside the authenticating one.
//! let by_principal = RateLimitLayer::new(quota, key::Principal);
//! // One per tenant and region, from wherever you know them.
//! let by_tenant = RateLimitLayer::new(quota, |parts: &http::request::Parts| {
//!     let tenant = parts.uri.path().split('/').nth(1)?;
//!     Some((tenant.to_owned(), "eu"))
//! });
//! # Ok::<_, tower_plugin_ratelimit::InvalidQuota>(())
//! ```

use std::{
    fmt,
    hash::{Hash, Hasher},
    net::IpAddr,
};

use http::request::Parts;

pub use tower_plugin_core::ClientIp;

/// Feeds what shares a quota into a hasher.
///
/// Implemented for [`ClientIp`], [`Principal`], [`Global`], for pairs and triples of keys, and for any
/// `Fn(&Parts) -> Option<impl Hash>`.
pub trait Key {
    /// Writes what identifies the caller of the request.
    ///
    /// # Errors
    ///
    /// [`MissingKey`] names what the request lacks; the layer then does as
    /// [`RateLimitLayer::with_missing_key`](crate::RateLimitLayer::with_missing_key) says.
    fn key<H: Hasher>(&self, parts: &Parts, hasher: &mut H) -> Result<(), MissingKey>;
}

/// The network address of the client, IPv6 by network: see [`ClientIp`].
impl Key for ClientIp {
    fn key<H: Hasher>(&self, parts: &Parts, hasher: &mut H) -> Result<(), MissingKey> {
        let ip = self
            .of(&parts.headers, &parts.extensions)
            .ok_or(MissingKey::new(
                "the client's address: serve with connect info (axum: \
                 `into_make_service_with_connect_info::<SocketAddr>()` and feature `axum`; tonic: \
                 feature `tonic`) or insert `PeerAddr` into the request's extensions",
            ))?;
        let bits = match self.group(ip) {
            IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
            IpAddr::V6(v6) => v6.to_bits(),
        };
        hasher.write_u128(bits);
        Ok(())
    }
}

/// The [`Principal`](tower_plugin_core::Principal) that an outer layer authenticated.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "a marker has nothing to grow")]
pub struct Principal;

impl Key for Principal {
    fn key<H: Hasher>(&self, parts: &Parts, hasher: &mut H) -> Result<(), MissingKey> {
        let principal = parts
            .extensions
            .get::<tower_plugin_core::Principal>()
            .ok_or(MissingKey::new(
                "a principal: put the authenticating layer outside this one",
            ))?;
        principal.kind().hash(hasher);
        principal.subject().hash(hasher);
        Ok(())
    }
}

/// Everyone shares one quota.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "a marker has nothing to grow")]
pub struct Global;

impl Key for Global {
    fn key<H: Hasher>(&self, _: &Parts, _: &mut H) -> Result<(), MissingKey> {
        Ok(())
    }
}

impl<A: Key, B: Key> Key for (A, B) {
    fn key<H: Hasher>(&self, parts: &Parts, hasher: &mut H) -> Result<(), MissingKey> {
        self.0.key(parts, hasher)?;
        self.1.key(parts, hasher)
    }
}

impl<A: Key, B: Key, C: Key> Key for (A, B, C) {
    fn key<H: Hasher>(&self, parts: &Parts, hasher: &mut H) -> Result<(), MissingKey> {
        self.0.key(parts, hasher)?;
        self.1.key(parts, hasher)?;
        self.2.key(parts, hasher)
    }
}

impl<F, K> Key for F
where
    F: Fn(&Parts) -> Option<K>,
    K: Hash,
{
    fn key<H: Hasher>(&self, parts: &Parts, hasher: &mut H) -> Result<(), MissingKey> {
        self(parts)
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
mod tests {
    use std::hash::DefaultHasher;

    use tower_plugin_core::PeerAddr;

    use super::*;

    #[test]
    fn f31_connections_of_one_client_share_a_key() {
        let by_ip = ClientIp::peer();
        let same = ["10.0.0.1:50001", "10.0.0.1:50002", "[::ffff:10.0.0.1]:1"];
        let keys = same.map(|peer| hash(&by_ip, &from(peer)).unwrap());
        assert!(keys.iter().all(|key| *key == keys[0]));
        assert_ne!(hash(&by_ip, &from("10.0.0.2:50001")).unwrap(), keys[0]);

        let network = ["[2001:db8::1]:1", "[2001:db8::ffff:2]:1"];
        let keys = network.map(|peer| hash(&by_ip, &from(peer)).unwrap());
        assert_eq!(keys[0], keys[1]);
    }

    #[test]
    fn f30_a_header_does_not_make_a_new_client() {
        let mut spoofed = from("10.0.0.1:1");
        for name in ["x-forwarded-for", "x-real-ip", "x-plugin-runtime-id"] {
            spoofed
                .headers
                .insert(name, http::HeaderValue::from_static("6.6.6.6"));
        }
        let key = |parts| hash(&(ClientIp::peer(), Global), parts);
        assert_eq!(key(&spoofed), key(&from("10.0.0.1:1")));
    }

    #[test]
    fn a_principal_is_its_kind_and_its_subject() {
        let with = |kind: &'static str, subject: &str| {
            let mut parts = from("10.0.0.1:1");
            parts
                .extensions
                .insert(tower_plugin_core::Principal::new(kind, subject));
            hash(&Principal, &parts).unwrap()
        };
        assert_eq!(with("runtime", "a"), with("runtime", "a"));
        assert_ne!(with("runtime", "a"), with("runtime", "b"));
        assert_ne!(with("runtime", "a"), with("mtls", "a"));
        assert_ne!(with("ab", "c"), with("a", "bc"));
    }

    #[test]
    fn what_is_missing_is_named() {
        let (nowhere, ()) = http::Request::new(()).into_parts();
        let told = |error: Result<u64, MissingKey>| error.unwrap_err().to_string();
        assert!(told(hash(&ClientIp::peer(), &nowhere)).contains("connect info"));
        assert!(told(hash(&(Global, Principal), &nowhere)).contains("principal"));
        assert!(told(hash(&|_: &Parts| None::<u8>, &nowhere)).contains("closure"));
    }

    fn hash(key: &impl Key, parts: &Parts) -> Result<u64, MissingKey> {
        let mut hasher = DefaultHasher::new();
        key.key(parts, &mut hasher)?;
        Ok(hasher.finish())
    }

    fn from(peer: &str) -> Parts {
        let (mut parts, ()) = http::Request::new(()).into_parts();
        parts.extensions.insert(PeerAddr(peer.parse().unwrap()));
        parts
    }
}
