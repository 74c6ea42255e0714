//! What is done without anyone asking: the registry forgets whose token is gone.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::{runtime::Handle, time};
use tower_plugin_ratelimit::EitherLimiter;

use super::{
    HostState,
    stores::{Census, Health},
};

/// Looks after the registry for as long as the state is used: whenever tokens were revoked, and every
/// [`INTERVAL`] for what has expired, for what other copies have revoked, and for what was registered by a
/// call that was under way while its token was revoked.
///
/// Once for each state, and not outside of a Tokio runtime: there, what expired is still not found, but
/// what was revoked stays until it expires.
pub(super) fn start(state: &Arc<HostState>) {
    let Ok(runtime) = Handle::try_current() else {
        return;
    };
    if state.is_kept.swap(true, Ordering::Relaxed) {
        return;
    }
    if let Some(census) = state.kept.census() {
        let (census, state) = (Arc::clone(census), Arc::downgrade(state));
        runtime.spawn(async move {
            while let Some(state) = state.upgrade() {
                look_at_redis(&state, &census).await;
                drop(state);
                time::sleep(CENSUS_INTERVAL).await;
            }
        });
    }
    let mut revoked = state.revocations.listen();
    let state = Arc::downgrade(state);
    runtime.spawn(async move {
        loop {
            tokio::select! {
                changed = revoked.changed() => if changed.is_err() { return },
                () = time::sleep(INTERVAL) => {}
            }
            let Some(state) = state.upgrade() else { return };
            forget_the_gone(&state).await;
        }
    });
}

/// Counts what is there, and says in the log if Redis has gone or is back.
async fn look_at_redis(state: &HostState, census: &Census) {
    let limits_without = || match &state.limits.limiter {
        EitherLimiter::Left(_) => false,
        EitherLimiter::Right(redis) => redis.stats().lanes_down > 0,
    };
    match census.take(state.clock.wall(), limits_without).await {
        Some(Health::Down) => tracing::warn!("redis is taken for down"),
        Some(Health::Up) => tracing::info!("redis is there"),
        Some(Health::Unasked) | None => {}
    }
}

async fn forget_the_gone(state: &HostState) {
    state.directory.sweep();
    end_grants_of_the_gone(state).await;
    for (runtime_id, token_id) in state.directory.owners() {
        match state.identities.newest_live(token_id).await {
            // Replaced where nobody here was told.
            Ok(Some((newest, expires_at))) if newest != token_id => {
                state.directory.renew(&runtime_id, newest, expires_at);
            }
            Ok(Some(_)) => {}
            Ok(None) => {
                tracing::info!(?runtime_id, "its tokens are gone: forgotten");
                state.directory.remove(&runtime_id);
            }
            // What it has left expires at the latest.
            Err(error) => {
                tracing::warn!(%error, "the tokens of registered plugins could not be looked up");
                return;
            }
        }
    }
}

async fn end_grants_of_the_gone(state: &HostState) {
    for holder in state.grants.holders() {
        let ended = match state.identities.is_there(&holder).await {
            Ok(true) => continue,
            Ok(false) => state.grants.end(&holder).await,
            Err(error) => Err(error),
        };
        // Its grants are refused all the same: whoever uses one is looked up.
        if let Err(error) = ended {
            tracing::warn!(%error, "the grants of plugins could not be looked after");
            return;
        }
    }
    if let Err(error) = state.grants.broker().sweep().await {
        tracing::debug!(%error, "expired grants were not swept up");
    }
}

const INTERVAL: Duration = Duration::from_secs(5);
const CENSUS_INTERVAL: Duration = Duration::from_secs(1);
