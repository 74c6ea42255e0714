//! How every layer refuses: one head for every caller, a body of the user's own where he wants one.

use std::{borrow::Cow, fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, header::WWW_AUTHENTICATE};
use tower_plugin_core::{Code, Rejection, ResponseBody};

use crate::{authenticate::AuthError, config::InvalidConfig, grant::DenialReason};

/// The realm named in a `WWW-Authenticate` challenge (RFC 6750, section 3): it tells a client which of
/// its tokens to send.
///
/// ```
/// use tower_plugin_auth::Realm;
///
/// assert!(Realm::new("plugins").is_ok());
/// assert_eq!(
///     Realm::new("say \"hi\"").unwrap_err().to_string(),
///     "realm must be 1 to 64 printable ASCII characters without '\"' and '\\'",
/// );
/// ```
#[derive(Clone, Debug)]
pub struct Realm(Arc<str>);

impl Realm {
    /// Names a realm.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] if the name is empty, longer than 64 bytes or cannot stand between quotes.
    pub fn new(name: &str) -> Result<Self, InvalidConfig> {
        let quotable = |byte| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\';
        if !(1..=64).contains(&name.len()) || !name.bytes().all(quotable) {
            return Err(INVALID_REALM);
        }
        Ok(Self(name.into()))
    }
}

impl Default for Realm {
    /// `plugins`.
    fn default() -> Self {
        Self("plugins".into())
    }
}

/// What the layers say when they refuse. Made when a layer is built, shared by its services.
#[derive(Clone)]
pub(crate) struct Refusals(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    realm: Realm,
    schemes: Arc<[Cow<'static, str>]>,
    challenges: Arc<[Challenge]>,
    body: Option<Body>,
}

/// Writes the body of a refusal for plain HTTP callers.
type Body = Arc<dyn Fn(&Rejection) -> Response<Bytes> + Send + Sync>;

impl Refusals {
    /// Challenges of these schemes, each once, and of `Bearer` if there is none.
    pub(crate) fn new(schemes: impl IntoIterator<Item = Cow<'static, str>>) -> Self {
        let each_once = each_once(schemes);
        let realm = Realm::default();
        Self(Arc::new(Inner {
            challenges: Challenge::of(&realm, &each_once),
            schemes: each_once.into(),
            realm,
            body: None,
        }))
    }

    pub(crate) fn set_schemes(&mut self, schemes: impl IntoIterator<Item = Cow<'static, str>>) {
        let inner = Arc::make_mut(&mut self.0);
        inner.schemes = each_once(schemes).into();
        inner.challenges = Challenge::of(&inner.realm, &inner.schemes);
    }

    pub(crate) fn set_realm(&mut self, realm: Realm) {
        let inner = Arc::make_mut(&mut self.0);
        inner.challenges = Challenge::of(&realm, &inner.schemes);
        inner.realm = realm;
    }

    pub(crate) fn set_body<F>(&mut self, body: F)
    where
        F: Fn(&Rejection) -> Response<Bytes> + Send + Sync + 'static,
    {
        Arc::make_mut(&mut self.0).body = Some(Arc::new(body));
    }

    /// Nobody is known to be calling.
    pub(crate) fn unauthenticated<B>(
        &self,
        error: &AuthError,
        request: &HeaderMap,
    ) -> Response<ResponseBody<B>> {
        let rejection = match error {
            AuthError::Missing => self.challenged(
                Rejection::new(
                    Code::Unauthenticated,
                    "MISSING_CREDENTIAL",
                    "authentication required",
                ),
                |challenge| &challenge.bare,
            ),
            AuthError::InvalidRequest => self.challenged(
                Rejection::new(
                    Code::InvalidArgument,
                    INVALID_REQUEST,
                    "exactly one credential must be sent",
                ),
                |challenge| &challenge.invalid_request,
            ),
            AuthError::Invalid(_) => self.invalid_token(),
            AuthError::Credential(_) => self.challenged(
                Rejection::new(
                    Code::Unauthenticated,
                    "INVALID_CREDENTIAL",
                    "invalid credential",
                ),
                |challenge| &challenge.bare,
            ),
            // No challenge: the caller's token may be fine, and sending another would not help.
            AuthError::Unavailable(error) => {
                unavailable().with_retry_after(error.retry_after().unwrap_or(RETRY_AFTER))
            }
            AuthError::TimedOut => unavailable().with_retry_after(RETRY_AFTER),
        };
        let mut response = self.render(rejection, request);
        match error {
            AuthError::Invalid(reason) => {
                response.extensions_mut().insert(*reason);
            }
            AuthError::Credential(problem) => {
                response.extensions_mut().insert(*problem);
            }
            AuthError::InvalidRequest
            | AuthError::Missing
            | AuthError::TimedOut
            | AuthError::Unavailable(_) => {}
        }
        response
    }

    /// A grant is not good for what is asked. Why, the caller is not told.
    pub(crate) fn invalid_grant<B>(
        &self,
        reason: DenialReason,
        request: &HeaderMap,
    ) -> Response<ResponseBody<B>> {
        let mut response = self.render(self.invalid_token(), request);
        response.extensions_mut().insert(reason);
        response
    }

    fn invalid_token(&self) -> Rejection {
        self.challenged(
            Rejection::new(Code::Unauthenticated, "INVALID_TOKEN", "invalid token"),
            |challenge| &challenge.invalid_token,
        )
    }

    /// Somebody is calling who may not.
    pub(crate) fn forbidden<B>(&self, request: &HeaderMap) -> Response<ResponseBody<B>> {
        let rejection = self.challenged(
            Rejection::new(
                Code::PermissionDenied,
                "INSUFFICIENT_SCOPE",
                "not authorized",
            ),
            |challenge| &challenge.insufficient_scope,
        );
        self.render(rejection, request)
    }

    pub(crate) fn render<B>(
        &self,
        rejection: Rejection,
        request: &HeaderMap,
    ) -> Response<ResponseBody<B>> {
        match &self.0.body {
            None => rejection.into_response(request),
            Some(body) => rejection.into_response_with(request, |rejection| body(rejection)),
        }
    }

    fn challenged(
        &self,
        rejection: Rejection,
        which: impl Fn(&Challenge) -> &HeaderValue,
    ) -> Rejection {
        let values = self.0.challenges.iter().map(which);
        values.fold(rejection, |rejection, value| {
            rejection.with_header(WWW_AUTHENTICATE, value.clone())
        })
    }
}

impl Default for Refusals {
    /// Challenges of the scheme `Bearer`.
    fn default() -> Self {
        Self::new([Cow::Borrowed(BEARER)])
    }
}

impl fmt::Debug for Refusals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Refusals")
            .field("realm", &self.0.realm)
            .field("schemes", &self.0.schemes)
            .finish_non_exhaustive()
    }
}

/// The challenges of one scheme. The error codes are RFC 6750's, and mean nothing outside of it.
struct Challenge {
    bare: HeaderValue,
    insufficient_scope: HeaderValue,
    invalid_request: HeaderValue,
    invalid_token: HeaderValue,
}

impl Challenge {
    fn of(realm: &Realm, schemes: &[Cow<'static, str>]) -> Arc<[Self]> {
        let Realm(realm) = realm;
        let one = |scheme: &Cow<'static, str>| {
            let value = |error: &str| {
                let error = if *scheme == BEARER { error } else { "" };
                HeaderValue::from_str(&format!("{scheme} realm=\"{realm}\"{error}"))
                    // Both were checked to fit into a header.
                    .unwrap_or(HeaderValue::from_static("Bearer"))
            };
            Self {
                bare: value(""),
                insufficient_scope: value(", error=\"insufficient_scope\""),
                invalid_request: value(", error=\"invalid_request\""),
                invalid_token: value(", error=\"invalid_token\""),
            }
        };
        schemes.iter().map(one).collect()
    }
}

fn each_once(schemes: impl IntoIterator<Item = Cow<'static, str>>) -> Vec<Cow<'static, str>> {
    let mut each_once: Vec<Cow<'static, str>> = Vec::new();
    for scheme in schemes {
        let is_token = !scheme.is_empty() && scheme.bytes().all(is_tchar);
        if is_token && !each_once.contains(&scheme) {
            each_once.push(scheme);
        }
    }
    if each_once.is_empty() {
        each_once.push(Cow::Borrowed(BEARER));
    }
    each_once
}

fn unavailable() -> Rejection {
    Rejection::new(
        Code::Unavailable,
        AUTHENTICATION_UNAVAILABLE,
        "authentication is temporarily unavailable",
    )
}

/// `tchar` of RFC 9110, section 5.6.2: what the name of a scheme is made of.
pub(crate) fn is_tchar(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

pub(crate) const AUTHENTICATION_UNAVAILABLE: &str = "AUTHENTICATION_UNAVAILABLE";
pub(crate) const INVALID_REQUEST: &str = "INVALID_REQUEST";

pub(crate) const BEARER: &str = "Bearer";

/// For a store that does not know when it will be back.
const RETRY_AFTER: Duration = Duration::from_secs(1);

const INVALID_REALM: InvalidConfig = InvalidConfig::new(
    "realm",
    "1 to 64 printable ASCII characters without '\"' and '\\'",
);
