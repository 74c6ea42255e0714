//! The last step of a check by itself: whether two digests are the same, in constant time and as `==` finds out.
//!
//! 1,000 pairs that are the same, as those of good tokens are: `==` is never done early.

use std::{hint::black_box, time::Duration};

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::COUNT;
use crate::runner::{Against, Case, Contender, Contest, nanos, now};

pub(super) fn cases() -> Vec<Case> {
    vec![
        Case {
            id: "token-compare-constant-time",
            unit: "ns",
            against: Against::Peer {
                name: "plain comparison",
                // Nobody expects the constant time to be the shorter one: what it may cost is the next case.
                times: 0.1,
                contest,
            },
        },
        Case {
            id: "token-compare-constant-time-added",
            unit: "ns",
            against: Against::Limit {
                at_most: 70.0,
                ours: added,
            },
        },
    ]
}

fn contest() -> Contest {
    let [ours, peer, neither] = [constant_time, plainly, not_at_all].map(|same| {
        let pairs = Pairs::new();
        Contender::paced(move |iterations| pairs.compare(same, iterations))
    });
    Contest {
        ours,
        peer,
        baseline: Some(neither),
    }
}

/// What the constant time costs each check.
fn added() -> Contender {
    let pairs = Pairs::new();
    let mean = move |same: Same| nanos(pairs.compare(same, ITERATIONS)) / ITERATIONS as f64;
    Contender::whole(move || (mean(constant_time) - mean(plainly)).max(0.0))
}

type Same = fn(&[u8; 32], &[u8; 32]) -> bool;

/// As the check does it.
fn constant_time(one: &[u8; 32], other: &[u8; 32]) -> bool {
    let ((one, _), (other, _)) = (one.as_chunks(), other.as_chunks());
    let words = one.iter().zip(other);
    let differences = words.fold(0, |differences, (one, other)| {
        differences | (u64::from_ne_bytes(*one) ^ u64::from_ne_bytes(*other))
    });
    differences.ct_eq(&0).into()
}

fn plainly(one: &[u8; 32], other: &[u8; 32]) -> bool {
    one == other
}

/// The loop, and the call.
fn not_at_all(_: &[u8; 32], _: &[u8; 32]) -> bool {
    true
}

struct Pairs(Vec<[[u8; 32]; 2]>);

impl Pairs {
    fn new() -> Self {
        let digest = |number: u64| Sha256::digest(number.to_be_bytes()).into();
        Self((0..COUNT).map(|number| [digest(number); 2]).collect())
    }

    fn compare(&self, same: Same, iterations: u64) -> Duration {
        let same = black_box(same);
        let start = now();
        for [one, other] in self.0.iter().cycle().take(iterations as usize) {
            assert!(same(black_box(one), black_box(other)));
        }
        start.elapsed()
    }
}

const ITERATIONS: u64 = 1_000_000;
