//! What is wrong with the settings: all of it, and without serving anybody.

use std::sync::Arc;

use tower_plugin_auth::{SystemRng, token::KeyRing};
use tower_plugin_core::{Clock, SystemClock};

use super::Settings;
use crate::host::{
    HostError, HostState,
    identity::Identities,
    options::{Config, OptionsError, TokenConfig},
    stores::stores,
};

impl Settings {
    /// Tries every setting, opens every file and parses every address; one line for each problem.
    ///
    /// `secret` is the value of the variable with the admission secret, if it is set. In a Tokio runtime,
    /// if there is an address of Redis; nothing is sent to it.
    #[must_use]
    pub fn problems(&self, secret: Option<String>) -> Vec<String> {
        let options = &self.options;
        let redis = options.redis.clone().into_config().and_then(|redis| {
            redis
                .is_none_or(|redis| redis.url.is_usable())
                .then_some(())
                .ok_or(OptionsError::Redis)
        });
        let tokens = tokens(&options.tokens.config());
        let mut problems: Vec<String> = [
            options.admission(secret.as_deref()).err(),
            redis.err(),
            options.audit.config().err(),
            options.tokens.keys().err(),
            options.head.build().err(),
            options.load_tls().err(),
            options.load_admin().err(),
        ]
        .into_iter()
        .flatten()
        .map(|error| error.to_string())
        .collect();
        problems.extend(tokens.err().map(|error| error.to_string()));
        if problems.is_empty() {
            match options.clone().into_config(secret) {
                Ok((config, _)) => problems.extend(without_redis(config)),
                Err(error) => problems.push(error.to_string()),
            }
        }
        problems
    }
}

fn tokens(config: &TokenConfig) -> Result<(), HostError> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let (store, _) = stores(None, config, 1, &clock)?;
    let keys = KeyRing::random(&SystemRng)?;
    Identities::new(*config, store, keys, clock, |_| {}).map(drop)
}

/// What remains are the policies.
fn without_redis(mut config: Config) -> Option<String> {
    config.redis = None;
    // It would be begun.
    config.audit = None;
    let state = HostState::new(config, Arc::new(SystemClock::new()));
    state.err().map(|error| error.to_string())
}
