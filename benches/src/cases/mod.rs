//! What is compared. A side is set up with quotas that admit everything, unless refusing is the point.

use crate::runner::Case;

mod audit;
mod grant;
mod layer;
mod memory;
mod redis;
mod server;
mod stack;
mod token;
mod validate;

/// Every case.
pub fn all() -> Vec<Case> {
    [
        memory::cases(),
        layer::cases(),
        redis::cases(),
        token::cases(),
        grant::cases(),
        validate::cases(),
        audit::cases(),
        stack::cases(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// What a case is called that somebody asked for by another name, or by part of its own.
///
/// The other names are those of connect-plugin-go's list of benchmarks to add.
pub fn id_of(wanted: &str) -> &str {
    let known = OTHER_NAMES.iter().find(|(name, _)| *name == wanted);
    known.map_or(wanted, |(_, id)| id)
}

const OTHER_NAMES: [(&str, &str); 2] = [
    // A million keys, some far more often than others, from two threads.
    ("limiter-high-load", "mem-zipf-1m-2t"),
    // One token from two threads.
    ("token-validation-contention", "token-check-contention-2t"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_name_is_that_of_a_case() {
        let cases = all();
        for (name, id) in OTHER_NAMES {
            assert_eq!(id_of(name), id);
            assert!(cases.iter().any(|case| case.id == id), "{name}");
        }
        assert_eq!(id_of("mem"), "mem");
    }

    #[test]
    fn every_promised_case_is_there_and_none_twice() {
        let mut ids: Vec<_> = all().iter().map(|case| case.id).collect();
        for promised in PROMISED {
            assert!(ids.contains(promised), "{promised}");
        }
        let count = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), count);
    }

    const PROMISED: &[&str] = &[
        "mem-uniform-1m-1t",
        "mem-uniform-1m-2t",
        "mem-zipf-1m-1t",
        "mem-zipf-1m-2t",
        "mem-hot-1t",
        "mem-hot-2t",
        "mem-bytes-per-key",
        "mem-flood-1m",
        "mem-flood-1m-pause",
        "layer-admit",
        "layer-admit-allocs",
        "layer-admit-axum-gcra",
        "layer-refuse",
        "layer-refuse-vs-admit",
        "redis-exact-c256",
        "redis-exact-c256-raw",
        "redis-leased-c32",
        "redis-leased-local-ns",
        "redis-denied-flood",
        "token-check-vs-hs256",
        "token-check-vs-eddsa",
        "token-check-layer",
        "token-check-layer-allocs",
        "token-check-contention-2t",
        "token-compare-constant-time",
        "token-compare-constant-time-added",
        "token-issue",
        "token-lookup-contention-2t",
        "token-check-cached-redis",
        "token-reject-garbage",
        "token-reject-garbage-length",
        "token-reject-garbage-prefix",
        "grant-check-0",
        "grant-check-0-macaroon",
        "grant-check-3",
        "grant-check-3-macaroon",
        "validate-20h",
        "validate-20h-ns",
        "validate-20h-validator",
        "validate-20h-allocs",
        "validate-path",
        "validate-100h-worst",
        "validate-fail",
        "audit-10k",
        "audit-10k-unsynced",
        "stack-axum",
        "stack-axum-governor",
        "stack-tonic",
        "stack-tonic-governor",
        "handshake-with-security",
    ];
}
