use std::{fmt, sync::Arc, time::Duration};

use tower_layer::Layer;
use tower_plugin_core::{Clock, SystemClock};

use super::RefreshHint;

/// Adds [`X-Plugin-Token-Expires-In`](super::EXPIRES_IN) to responses while the caller's token has less
/// than 5 minutes left, so that he rotates it in time.
///
/// Goes inside of an [`AuthLayer`](crate::AuthLayer): it reads when the token expires from the
/// [`Principal`](crate::Principal). Requests without one, and principals that came without a token of
/// ours, pass as they are. gRPC callers find it in the initial metadata. An idle timeout is none of its
/// business: that begins anew with each request.
///
/// ```
/// use std::time::Duration;
/// use http::{Request, Response};
/// use tower::{Layer, ServiceExt, service_fn};
/// use tower_plugin_auth::{
///     AuthLayer, BearerAuthenticator, MemoryStore, NewToken, SystemRng, Tokens,
///     refresh::RefreshHintLayer, token::KeyRing,
/// };
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let tokens = Tokens::builder(MemoryStore::new(10_000)?, KeyRing::random(&SystemRng)?).build()?;
/// let hello = service_fn(async |_: Request<String>| {
///     Ok::<_, std::convert::Infallible>(Response::new(String::new()))
/// });
/// let service = AuthLayer::new(BearerAuthenticator::new(tokens.clone()))
///     .layer(RefreshHintLayer::new().layer(hello));
///
/// let short = NewToken::runtime(&"cache".parse()?).with_ttl(Duration::from_secs(120));
/// let issued = tokens.issue(short).await?;
/// let request = Request::get("/").header("authorization", issued.token().header_value());
/// let response = service.oneshot(request.body(String::new())?).await?;
/// let left: u64 = response.headers()["x-plugin-token-expires-in"].to_str()?.parse()?;
/// assert!(left <= 120);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use]
pub struct RefreshHintLayer {
    threshold: Duration,
    clock: Arc<dyn Clock>,
}

impl RefreshHintLayer {
    /// Speaks up when less than 5 minutes are left.
    pub fn new() -> Self {
        Self {
            threshold: Duration::from_secs(5 * 60),
            clock: Arc::new(SystemClock::new()),
        }
    }

    /// Speaks up when less than this is left.
    pub fn with_threshold(mut self, threshold: Duration) -> Self {
        self.threshold = threshold;
        self
    }

    /// Where it reads the time; tests hand in a [`ManualClock`](crate::ManualClock).
    pub fn with_clock(mut self, clock: impl Clock + 'static) -> Self {
        self.clock = Arc::new(clock);
        self
    }
}

impl<S> Layer<S> for RefreshHintLayer {
    type Service = RefreshHint<S>;

    fn layer(&self, inner: S) -> Self::Service {
        RefreshHint::new(inner, self.threshold, Arc::clone(&self.clock))
    }
}

impl Default for RefreshHintLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for RefreshHintLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RefreshHintLayer")
            .field("threshold", &self.threshold)
            .finish_non_exhaustive()
    }
}
