use std::{borrow::Cow, collections::HashMap, error::Error, fmt, future::Ready, sync::Arc};

use http::{HeaderMap, HeaderName, header::AUTHORIZATION};
use tower_plugin_core::{Principal, RequestHead};

use super::{
    AuthError, Authenticator, CredentialHeader, CredentialProblem, credential::mark_sensitive,
};
use crate::{
    Answer,
    keyed::Keyed,
    token::{Rng, RngError},
    wiped::Wiped,
};

/// Accepts one of a fixed set of keys in `X-API-Key`, or in a [header](Self::with_header) of another name.
///
/// For keys that are configured. Keys that are given out should expire and be revocable: issue tokens, and
/// read them from the same header with
/// [`BearerAuthenticator::with_header`](super::BearerAuthenticator::with_header).
///
/// Exactly one header of that name is accepted, so a key added by somebody on the way replaces none.
///
/// ```
/// use tower_plugin_auth::{AuthLayer, Principal, SystemRng, authenticate::{ApiKeyAuthenticator, ApiKeys}};
///
/// # let from_your_secret_store = "5f0c2d1be0bb4a0c9d51";
/// let billing = Principal::new("api-key", "billing");
/// let keys = ApiKeys::new([(from_your_secret_store, billing)], &SystemRng)?;
/// let layer = AuthLayer::new(ApiKeyAuthenticator::new(keys));
/// # let _ = layer;
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct ApiKeyAuthenticator {
    keys: ApiKeys,
    header: CredentialHeader,
}

impl ApiKeyAuthenticator {
    /// Accepts these keys.
    #[must_use]
    pub fn new(keys: ApiKeys) -> Self {
        Self {
            keys,
            header: CredentialHeader::new(API_KEY),
        }
    }

    /// Looks for the key in this header instead.
    #[must_use]
    pub fn with_header(mut self, header: CredentialHeader) -> Self {
        self.header = header;
        self
    }
}

impl Authenticator for ApiKeyAuthenticator {
    type Future = Ready<Result<Principal, AuthError>>;

    fn authenticate(
        &self,
        request: &RequestHead<'_>,
    ) -> Answer<Result<Principal, AuthError>, Self::Future> {
        Answer::Ready(self.header.read(request.headers).and_then(|key| {
            let known = self.keys.find(key).cloned();
            known.ok_or(CredentialProblem::UnknownKey.into())
        }))
    }

    fn mark_sensitive(&self, headers: &mut HeaderMap) {
        mark_sensitive(headers, &AUTHORIZATION);
        self.header.mark_sensitive(headers);
    }

    fn credential_headers(&self) -> Vec<HeaderName> {
        vec![AUTHORIZATION, self.header.name().clone()]
    }

    fn schemes(&self) -> Vec<Cow<'static, str>> {
        vec![self.header.challenge()]
    }

    fn waits_only_for_credentials(&self) -> bool {
        true
    }
}

/// A fixed set of API keys, and whose they are.
///
/// It holds a keyed digest of each key under a random key of its own, not the key. Looking one up takes
/// the same work for any key of that length, known or not. Two keys may belong to the same principal: that is
/// how one is replaced without an interruption.
#[derive(Clone)]
pub struct ApiKeys(Arc<Inner>);

struct Inner {
    keyed: Keyed,
    principals: HashMap<[u8; 32], Principal>,
}

impl ApiKeys {
    /// The shortest key accepted, in bytes: 16 characters of a random one hold 96 bits of randomness.
    pub const MIN_LEN: usize = 16;
    /// The longest key accepted, in bytes.
    pub const MAX_LEN: usize = 512;

    /// Takes keys of 16 to 512 visible ASCII characters, made at random and not chosen by people.
    ///
    /// # Errors
    ///
    /// [`InvalidApiKeys`] if there are none, one is not of that form or is repeated, or there is no
    /// randomness to be had. The error names the place of a key in the list and never the key.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_plugin_auth::{Principal, SystemRng, authenticate::ApiKeys};
    ///
    /// let somebody = Principal::new("api-key", "somebody");
    /// let error = ApiKeys::new([("hunter2", somebody)], &SystemRng).unwrap_err();
    /// assert_eq!(error.to_string(), "api key 0 must be 16 to 512 visible ASCII characters");
    /// ```
    pub fn new<K: AsRef<str>>(
        keys: impl IntoIterator<Item = (K, Principal)>,
        rng: &impl Rng,
    ) -> Result<Self, InvalidApiKeys> {
        let mut digest_key = Wiped::<32>::zeros();
        rng.fill(&mut *digest_key).map_err(InvalidApiKeys::Rng)?;
        let keyed = Keyed::of_slice(&*digest_key)
            .map_err(|error| InvalidApiKeys::Rng(RngError::new(error)))?;
        let mut inner = Inner {
            keyed,
            principals: HashMap::new(),
        };
        for (at, (key, principal)) in keys.into_iter().enumerate() {
            let key = key.as_ref().as_bytes();
            let is_long_enough = (Self::MIN_LEN..=Self::MAX_LEN).contains(&key.len());
            if !is_long_enough || !key.iter().all(u8::is_ascii_graphic) {
                return Err(InvalidApiKeys::Malformed(at));
            }
            let digest = inner.digest(key);
            if inner.principals.insert(digest, principal).is_some() {
                return Err(InvalidApiKeys::Repeated(at));
            }
        }
        if inner.principals.is_empty() {
            return Err(InvalidApiKeys::Empty);
        }
        Ok(Self(Arc::new(inner)))
    }

    fn find(&self, key: &[u8]) -> Option<&Principal> {
        if key.len() > Self::MAX_LEN {
            return None;
        }
        self.0.principals.get(&self.0.digest(key))
    }
}

impl Inner {
    /// Where two digests differ says nothing about the keys to somebody without the digest key, so they
    /// may be looked up in a plain table.
    fn digest(&self, key: &[u8]) -> [u8; 32] {
        self.keyed.mac([key])
    }
}

impl fmt::Debug for ApiKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiKeys")
            .field("len", &self.0.principals.len())
            .finish_non_exhaustive()
    }
}

/// Keys that were not accepted; nothing was built with them.
#[derive(Debug)]
#[non_exhaustive]
pub enum InvalidApiKeys {
    /// There are none, so nobody could ever call.
    Empty,
    /// The key at this place, counted from 0, is not 16 to 512 visible ASCII characters.
    Malformed(usize),
    /// The key at this place, counted from 0, was there before.
    Repeated(usize),
    /// There is no randomness to be had.
    Rng(RngError),
}

impl fmt::Display for InvalidApiKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("api keys must be at least one"),
            Self::Malformed(at) => {
                write!(f, "api key {at} must be 16 to 512 visible ASCII characters")
            }
            Self::Repeated(at) => write!(f, "api key {at} must not be repeated"),
            Self::Rng(error) => error.fmt(f),
        }
    }
}

impl Error for InvalidApiKeys {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Empty | Self::Malformed(_) | Self::Repeated(_) => None,
            Self::Rng(error) => error.source(),
        }
    }
}

const API_KEY: HeaderName = HeaderName::from_static("x-api-key");
