//! What is wrong with the settings: all of it, and without serving anybody.

use std::sync::Arc;

use clap::Parser;
use tower_plugin_core::SystemClock;

use super::Settings;
use crate::host::{
    HostState,
    options::{Config, Options, OptionsError},
};

impl Settings {
    /// Tries every setting, opens every file and parses every address; one line for each problem.
    /// Nothing is written: not the audit log, and not what remembers the last manifest.
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
        let (admission, head) = (options.admission(secret.as_deref()), options.head.build());
        let unread = [
            admission.as_ref().err(),
            redis.as_ref().err(),
            options.audit.config().as_ref().err(),
            options.tokens.keys().as_ref().err(),
            head.as_ref().err(),
            options.load_tls().as_ref().err(),
            options.load_admin().as_ref().err(),
        ]
        .into_iter()
        .flatten()
        .map(ToString::to_string)
        .collect::<Vec<_>>();
        let unfit = [
            admission
                .ok()
                .and_then(|(door, _)| with(|config| config.admission = door)),
            head.ok().and_then(|head| with(|config| config.head = head)),
            with(|config| config.tokens = options.tokens.config()),
            with(|config| config.grants = options.grants.config()),
            with(|config| config.managed = options.managed.managed.clone()),
            with(|config| config.proxy = options.proxy.clone()),
            with(|config| config.quotas = options.quotas),
        ];
        let mut problems = unread;
        problems.extend(unfit.into_iter().flatten());
        if problems.is_empty() {
            match options.clone().into_config(secret) {
                Ok((config, _)) => problems.extend(without_redis(config)),
                Err(error) => problems.push(error.to_string()),
            }
        }
        problems
    }
}

/// What is wrong with a host of which one part is as it was told, and the rest as it comes.
fn with(part: impl FnOnce(&mut Config)) -> Option<String> {
    // No variable is looked at.
    let options = Options::try_parse_from(["plugin-host"]).ok()?;
    let (mut config, _) = options.into_config(None).ok()?;
    part(&mut config);
    problem(config)
}

/// What remains are parts that only fail together.
fn without_redis(mut config: Config) -> Option<String> {
    config.redis = None;
    // It would be begun.
    config.audit = None;
    problem(config)
}

fn problem(mut config: Config) -> Option<String> {
    // The host that runs is not to be told of a manifest it has not seen.
    config.admission = config.admission.read_only();
    let state = HostState::new(config, Arc::new(SystemClock::new()));
    state.err().map(|error| error.to_string())
}
