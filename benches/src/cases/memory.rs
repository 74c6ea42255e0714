//! A decision in memory, clock included.

use std::{hint::black_box, num::NonZeroU32, time::Duration};

use governor::{DefaultKeyedRateLimiter, RateLimiter};
use tower_plugin_ratelimit::{Cost, MemoryLimiter, Policy, Quota};

use crate::runner::{Case, Contender, Contest, timed};

pub(super) fn cases() -> Vec<Case> {
    vec![
        Case {
            id: "mem-uniform-1m-1t",
            peer: "governor",
            unit: "ns",
            target: 3.0,
            contest: || keyed(uniform(MILLION)),
        },
        Case {
            id: "mem-hot-1t",
            peer: "governor",
            unit: "ns",
            target: 1.5,
            contest: || keyed(vec![spread(7); 1 << 10]),
        },
    ]
}

/// The same keys in the same order for both, with every key of the table known beforehand.
fn keyed(sequence: Vec<u128>) -> Contest {
    Contest {
        ours: ours(sequence.clone()),
        peer: governor(sequence),
        baseline: None,
    }
}

fn ours(sequence: Vec<u128>) -> Contender {
    let limiter = MemoryLimiter::new(MILLION as usize).expect("a million is in range");
    let quota = Quota::with_period(1_000_000_000, Duration::from_secs(1));
    let policy = Policy::from(quota.expect("a unit per nanosecond is in range"));
    for key in 0..MILLION {
        let _ = black_box(limiter.check_key(&policy, spread(key), Cost::ONE));
    }
    Box::new(move |iterations| {
        let mut keys = sequence.iter().cycle();
        timed(iterations, || {
            let key = keys.next().expect("a cycle never ends");
            let decision = limiter.check_key(&policy, black_box(key), Cost::ONE);
            assert!(decision.is_allowed());
        })
    })
}

fn governor(sequence: Vec<u128>) -> Contender {
    let burst = NonZeroU32::new(1_000_000_000).expect("not zero");
    let quota = governor::Quota::with_period(Duration::from_nanos(1))
        .expect("not zero")
        .allow_burst(burst);
    let limiter: DefaultKeyedRateLimiter<u128> = RateLimiter::keyed(quota);
    for key in 0..MILLION {
        let _ = black_box(limiter.check_key(&spread(key)));
    }
    Box::new(move |iterations| {
        let mut keys = sequence.iter().cycle();
        timed(iterations, || {
            let key = keys.next().expect("a cycle never ends");
            assert!(limiter.check_key(black_box(key)).is_ok());
        })
    })
}

/// Half a million draws, each key as likely as the other.
fn uniform(keys: u128) -> Vec<u128> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = || {
        // xorshift64: only the spread matters.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    (0..1 << 19)
        .map(|_| spread(u128::from(next()) % keys))
        .collect()
}

/// Sixteen bytes that look like an address or an id rather than a counter.
fn spread(key: u128) -> u128 {
    key.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)
}

const MILLION: u128 = 1_000_000;
