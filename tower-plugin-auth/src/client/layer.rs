use std::{fmt, sync::Arc, time::Duration};

use tower_layer::Layer;
use tower_plugin_core::{Clock, SystemClock};

use super::{
    Bearer, Origin, TokenSource,
    keeper::{Keeper, Settings},
};
use crate::{authenticate::CredentialHeader, config::InvalidConfig, transport::warning::Once};

/// Attaches a token to the requests for one origin, and keeps it fresh.
///
/// A request that carries such a header already is sent as it is, and so is one for another origin. The services
/// made by one layer, and their clones, share one token. See the [module docs](super) for an example
/// and for what happens when there is no token.
#[must_use]
pub struct BearerLayer<T> {
    keeper: Keeper<T>,
    origin: Arc<Origin>,
}

impl<T: TokenSource> BearerLayer<T> {
    /// Sends tokens of this source to this origin, as `Authorization: Bearer`.
    ///
    /// An origin that is not encrypted is logged as a warning, unless the
    /// [variable](crate::transport::DISABLE_TLS_WARNING) that silences those is set.
    pub fn new(source: T, origin: Origin) -> Self {
        if origin.is_insecure() && Once::from_env().is_due() {
            warn(&origin);
        }
        let settings = Settings {
            header: CredentialHeader::bearer(),
            refresh_before: REFRESH_BEFORE,
            fetch_timeout: FETCH_TIMEOUT,
            clock: Arc::new(SystemClock::new()),
        };
        Self {
            keeper: Keeper::new(Arc::new(source), settings),
            origin: Arc::new(origin),
        }
    }

    /// Sends tokens in this header instead.
    pub fn with_header(mut self, header: CredentialHeader) -> Self {
        self.keeper = self.keeper.with(|settings| settings.header = header);
        self
    }

    /// How long before a token expires the next one is fetched: 5 minutes by default, and never more than a
    /// third of its lifetime.
    pub fn with_refresh_before(mut self, remaining: Duration) -> Self {
        let change = |settings: &mut Settings| settings.refresh_before = remaining;
        self.keeper = self.keeper.with(change);
        self
    }

    /// How long a fetch may take: 10 seconds by default.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] unless it is between 1 millisecond and 5 minutes.
    pub fn with_fetch_timeout(mut self, limit: Duration) -> Result<Self, InvalidConfig> {
        if !(Duration::from_millis(1)..=MAX_FETCH_TIMEOUT).contains(&limit) {
            return Err(InvalidConfig::new(
                "fetch timeout",
                "between 1 millisecond and 5 minutes",
            ));
        }
        self.keeper = self.keeper.with(|settings| settings.fetch_timeout = limit);
        Ok(self)
    }

    /// Where it reads the time by which tokens age; tests hand in a
    /// [`ManualClock`](crate::ManualClock).
    pub fn with_clock(mut self, clock: impl Clock + 'static) -> Self {
        self.keeper = self
            .keeper
            .with(|settings| settings.clock = Arc::new(clock));
        self
    }
}

impl<S, T: TokenSource> Layer<S> for BearerLayer<T> {
    type Service = Bearer<S, T>;

    fn layer(&self, inner: S) -> Self::Service {
        Bearer::new(inner, self.keeper.clone(), Arc::clone(&self.origin))
    }
}

impl<T> Clone for BearerLayer<T> {
    fn clone(&self) -> Self {
        Self {
            keeper: self.keeper.clone(),
            origin: Arc::clone(&self.origin),
        }
    }
}

impl<T> fmt::Debug for BearerLayer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BearerLayer")
            .field("origin", &self.origin)
            .finish_non_exhaustive()
    }
}

fn warn(origin: &Origin) {
    tracing::warn!(
        ?origin,
        impact = "tokens and data sent there can be read on the way",
        risk = "whoever reads a bearer token can use it until it expires or is revoked",
        resolution = "connect by `https` or over a Unix socket",
        suppress = "set TOWER_PLUGIN_DISABLE_TLS_WARNING=1",
        "tokens are sent over unencrypted connections",
    );
}

const REFRESH_BEFORE: Duration = Duration::from_secs(5 * 60);
const FETCH_TIMEOUT: Duration = Duration::from_secs(10);
const MAX_FETCH_TIMEOUT: Duration = Duration::from_secs(5 * 60);
