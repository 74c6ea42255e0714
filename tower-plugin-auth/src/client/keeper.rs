//! Keeps one token for all, and fetches one at a time.

use std::{fmt, sync::Arc, time::Duration};

use http::HeaderValue;
use parking_lot::Mutex;
use tokio::{runtime::Handle, sync::watch, time::timeout};
use tower_plugin_core::Clock;

use super::{BearerToken, TokenSource};
use crate::authenticate::CredentialHeader;

pub(super) struct Keeper<T>(Arc<Inner<T>>);

struct Inner<T> {
    source: Arc<T>,
    settings: Settings,
    state: Mutex<State>,
}

#[derive(Clone)]
pub(super) struct Settings {
    pub(super) header: CredentialHeader,
    pub(super) refresh_before: Duration,
    pub(super) fetch_timeout: Duration,
    pub(super) clock: Arc<dyn Clock>,
}

#[derive(Default)]
struct State {
    token: Option<Kept>,
    flight: Option<Flight>,
    /// How many fetches were begun.
    fetches: u64,
    /// Nothing is fetched before.
    not_before: u64,
    /// Fetches that failed since one did not.
    failures: u32,
}

struct Kept {
    stamped: Stamped,
    fetched_at: u64,
    refresh_at: u64,
    unusable_at: u64,
}

/// What a fetch brings, for those who wait for it; closed when it brings nothing.
type Flight = watch::Receiver<Option<Stamped>>;

/// The value of the header, and which token it is.
#[derive(Clone)]
pub(super) struct Stamped {
    pub(super) value: HeaderValue,
    pub(super) stamp: Stamp,
}

/// Which fetch a token came from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Stamp(u64);

pub(super) enum Answer {
    Here(Stamped),
    Nothing(Duration),
    Wait(Flight),
}

impl<T: TokenSource> Keeper<T> {
    pub(super) fn new(source: Arc<T>, settings: Settings) -> Self {
        Self(Arc::new(Inner {
            source,
            settings,
            state: Mutex::default(),
        }))
    }

    /// Another one, of the same source and with other settings.
    pub(super) fn with(self, change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = self.0.settings.clone();
        change(&mut settings);
        Self::new(Arc::clone(&self.0.source), settings)
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.0.settings
    }

    /// The token to send, and a fetch in the background where it is time for one.
    pub(super) fn token(&self) -> Answer {
        let now = self.0.now();
        let mut state = self.0.state.lock();
        let usable = state.token.as_ref().filter(|token| now < token.unusable_at);
        let is_fresh = usable.is_some_and(|token| now < token.refresh_at);
        let usable = usable.map(|token| token.stamped.clone());

        let mut takeoff = None;
        if !is_fresh && state.flight.is_none() && now >= state.not_before {
            let (landing, flight) = watch::channel(None);
            state.flight = Some(flight);
            state.fetches += 1;
            takeoff = Some(Landing {
                inner: Arc::clone(&self.0),
                asked_at: now,
                stamp: Stamp(state.fetches),
                landing,
            });
        }
        let answer = match (usable, &state.flight) {
            (Some(token), _) => Answer::Here(token),
            (None, Some(flight)) => Answer::Wait(flight.clone()),
            (None, None) => {
                Answer::Nothing(Duration::from_nanos(state.not_before.saturating_sub(now)))
            }
        };
        // A task that cannot be started is dropped at once, and lands.
        drop(state);
        if let Some(landing) = takeoff {
            landing.fetch();
        }
        answer
    }

    /// Waits for a fetch. Whoever stops waiting does not stop it.
    pub(super) async fn wait(self, mut flight: Flight) -> Result<Stamped, Duration> {
        match flight.wait_for(Option::is_some).await {
            Ok(landed) => (*landed).clone().ok_or(FIRST_PAUSE),
            Err(_closed) => {
                let now = self.0.now();
                let not_before = self.0.state.lock().not_before;
                Err(Duration::from_nanos(not_before.saturating_sub(now)))
            }
        }
    }

    /// The server did not accept this token.
    pub(super) fn refused(&self, stamp: Stamp) {
        let now = self.0.now();
        let mut state = self.0.state.lock();
        state.token.take_if(|token| {
            token.stamped.stamp == stamp && now.saturating_sub(token.fetched_at) > nanos(YOUNG)
        });
    }
}

impl<T> Inner<T> {
    fn now(&self) -> u64 {
        self.settings.clock.monotonic_nanos()
    }
}

impl<T> Clone for Keeper<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> fmt::Debug for Keeper<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keeper").finish_non_exhaustive()
    }
}

/// The end of a fetch, however it comes: also by a panic, or by the end of the runtime.
struct Landing<T> {
    inner: Arc<Inner<T>>,
    asked_at: u64,
    stamp: Stamp,
    landing: watch::Sender<Option<Stamped>>,
}

impl<T: TokenSource> Landing<T> {
    fn fetch(self) {
        let Ok(runtime) = Handle::try_current() else {
            tracing::warn!("no token can be fetched outside of a Tokio runtime");
            return;
        };
        runtime.spawn(async move {
            let limit = self.inner.settings.fetch_timeout;
            match timeout(limit, self.inner.source.fetch()).await {
                Ok(Ok(token)) => self.with(&token),
                Ok(Err(error)) => {
                    let error = error.into();
                    tracing::warn!(%error, "no token to be had");
                }
                Err(_) => tracing::warn!(?limit, "no token to be had in time"),
            }
        });
    }

    fn with(self, token: &BearerToken) {
        let settings = &self.inner.settings;
        let (refresh_at, unusable_at) = match token.lifetime() {
            None => (u64::MAX, u64::MAX),
            Some(lifetime) => {
                let refresh_before = settings.refresh_before.min(lifetime / 3);
                let end = self.asked_at.saturating_add(nanos(lifetime));
                // It takes a moment to get there.
                let margin = MARGIN.min(lifetime / 10);
                (end - nanos(refresh_before), end - nanos(margin))
            }
        };
        let stamped = Stamped {
            value: token.header_value(&settings.header),
            stamp: self.stamp,
        };
        let mut state = self.inner.state.lock();
        state.failures = 0;
        state.flight = None;
        state.token = Some(Kept {
            stamped: stamped.clone(),
            fetched_at: self.asked_at,
            refresh_at,
            unusable_at,
        });
        drop(state);
        self.landing.send_replace(Some(stamped));
    }
}

impl<T> Drop for Landing<T> {
    fn drop(&mut self) {
        if self.landing.borrow().is_some() {
            return;
        }
        let now = self.inner.now();
        let mut state = self.inner.state.lock();
        let pause = (FIRST_PAUSE * 2_u32.pow(state.failures.min(5))).min(LONGEST_PAUSE);
        state.failures = state.failures.saturating_add(1);
        state.not_before = now.saturating_add(nanos(pause));
        state.flight = None;
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// How long nothing is fetched after a failure, and after many.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// A token is not sent in the last moments of its life, nor in its last tenth.
const MARGIN: Duration = Duration::from_secs(5);
/// A token that is refused so soon after it was fetched is not replaced.
const YOUNG: Duration = Duration::from_secs(10);
