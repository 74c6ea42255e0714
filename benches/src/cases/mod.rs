//! What is compared. A side is set up with quotas that admit everything, unless refusing is the point.

use crate::runner::Case;

mod audit;
mod grant;
mod layer;
mod memory;
mod redis;
mod server;
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
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

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
    ];
}
