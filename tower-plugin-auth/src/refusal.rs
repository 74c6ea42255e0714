//! How both layers refuse: one head for every caller, a body of the user's own where he wants one.

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, header::WWW_AUTHENTICATE};
use tower_plugin_core::{Code, Rejection, ResponseBody};

use crate::{authenticate::AuthError, config::InvalidConfig};

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
pub struct Realm {
    bare: HeaderValue,
    insufficient_scope: HeaderValue,
    invalid_request: HeaderValue,
    invalid_token: HeaderValue,
}

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
        let challenge = |error: &str| {
            HeaderValue::from_str(&format!("Bearer realm=\"{name}\"{error}"))
                .map_err(|_| INVALID_REALM)
        };
        Ok(Self {
            bare: challenge("")?,
            insufficient_scope: challenge(", error=\"insufficient_scope\"")?,
            invalid_request: challenge(", error=\"invalid_request\"")?,
            invalid_token: challenge(", error=\"invalid_token\"")?,
        })
    }
}

impl Default for Realm {
    /// `plugins`.
    fn default() -> Self {
        Self {
            bare: HeaderValue::from_static("Bearer realm=\"plugins\""),
            insufficient_scope: HeaderValue::from_static(
                "Bearer realm=\"plugins\", error=\"insufficient_scope\"",
            ),
            invalid_request: HeaderValue::from_static(
                "Bearer realm=\"plugins\", error=\"invalid_request\"",
            ),
            invalid_token: HeaderValue::from_static(
                "Bearer realm=\"plugins\", error=\"invalid_token\"",
            ),
        }
    }
}

#[derive(Clone, Default)]
pub(crate) struct Refusals {
    pub(crate) realm: Realm,
    pub(crate) body: Option<Body>,
}

/// Writes the body of a refusal for plain HTTP callers.
type Body = Arc<dyn Fn(&Rejection) -> Response<Bytes> + Send + Sync>;

impl Refusals {
    /// Nobody is known to be calling.
    pub(crate) fn unauthenticated<B>(
        &self,
        error: &AuthError,
        request: &HeaderMap,
    ) -> Response<ResponseBody<B>> {
        let rejection = match error {
            AuthError::Missing => Rejection::new(
                Code::Unauthenticated,
                "MISSING_CREDENTIAL",
                "authentication required",
            )
            .with_header(WWW_AUTHENTICATE, self.realm.bare.clone()),
            AuthError::InvalidRequest => Rejection::new(
                Code::InvalidArgument,
                "INVALID_REQUEST",
                "exactly one credential must be sent",
            )
            .with_header(WWW_AUTHENTICATE, self.realm.invalid_request.clone()),
            AuthError::Invalid(_) => {
                Rejection::new(Code::Unauthenticated, "INVALID_TOKEN", "invalid token")
                    .with_header(WWW_AUTHENTICATE, self.realm.invalid_token.clone())
            }
            // No challenge: the caller's token may be fine, and sending another would not help.
            AuthError::Unavailable(error) => Rejection::new(
                Code::Unavailable,
                "AUTHENTICATION_UNAVAILABLE",
                "authentication is temporarily unavailable",
            )
            .with_retry_after(error.retry_after().unwrap_or(RETRY_AFTER)),
        };
        let mut response = self.render(rejection, request);
        if let AuthError::Invalid(reason) = error {
            response.extensions_mut().insert(*reason);
        }
        response
    }

    /// Somebody is calling who may not.
    pub(crate) fn forbidden<B>(&self, request: &HeaderMap) -> Response<ResponseBody<B>> {
        let rejection = Rejection::new(
            Code::PermissionDenied,
            "INSUFFICIENT_SCOPE",
            "not authorized",
        )
        .with_header(WWW_AUTHENTICATE, self.realm.insufficient_scope.clone());
        self.render(rejection, request)
    }

    fn render<B>(&self, rejection: Rejection, request: &HeaderMap) -> Response<ResponseBody<B>> {
        match &self.body {
            None => rejection.into_response(request),
            Some(body) => rejection.into_response_with(request, |rejection| body(rejection)),
        }
    }
}

impl fmt::Debug for Refusals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Refusals")
            .field("realm", &self.realm)
            .finish_non_exhaustive()
    }
}

/// For a store that does not know when it will be back.
const RETRY_AFTER: Duration = Duration::from_secs(1);

const INVALID_REALM: InvalidConfig = InvalidConfig::new(
    "realm",
    "1 to 64 printable ASCII characters without '\"' and '\\'",
);
