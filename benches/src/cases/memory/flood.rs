//! A million keys that nobody has seen before, as strings: an empty limiter meets them one by one.

use std::{sync::Arc, time::Duration};

use cpu_time::ThreadTime;

use super::{
    keys::{MILLION, spread},
    limiters::{Governor, Limiter, Naive, Ours},
};
use crate::runner::{Against, Case, Contender, Contest, nanos, now, uncounted};

pub(super) fn cases() -> Vec<Case> {
    let case = |id, unit, against| Case { id, unit, against };
    let peer = |name, times, contest| Against::Peer {
        name,
        times,
        contest,
    };
    vec![
        case(
            "mem-flood-1m",
            "ns",
            peer(Governor::<String>::NAME, 3.0, || {
                contest::<Governor<_>>(mean, mean)
            }),
        ),
        case(
            "mem-flood-1m-go",
            "ns",
            peer(Naive::<String>::NAME, 3.0, || {
                contest::<Naive<_>>(mean, mean)
            }),
        ),
        case(
            "mem-flood-1m-pause",
            "us",
            Against::Limit {
                at_most: 1000.0,
                ours: || contender::<Ours>(keys(), pause),
            },
        ),
        case(
            "mem-flood-1m-pause-governor",
            "us",
            peer(Governor::<String>::NAME, 1.0, || {
                contest::<Governor<_>>(pause, pause)
            }),
        ),
    ]
}

/// What a flood of these keys comes to.
type Flood<L> = fn(&L, &[String]) -> f64;

fn contest<Peer: Limiter<String>>(ours: Flood<Ours>, peer: Flood<Peer>) -> Contest {
    let keys = keys();
    Contest {
        ours: contender(Arc::clone(&keys), ours),
        peer: contender(keys, peer),
        baseline: None,
    }
}

/// Limiters are built and dropped while no clock runs.
fn contender<L: Limiter<String>>(keys: Arc<[String]>, flood: Flood<L>) -> Contender {
    Contender::whole(move || {
        let limiter = L::for_a_million();
        uncounted(|| flood(&limiter, &keys))
    })
}

/// Nanoseconds of a decision, on average.
fn mean<L: Limiter<String>>(limiter: &L, keys: &[String]) -> f64 {
    let start = now();
    for key in keys {
        assert!(limiter.admits(key));
    }
    nanos(start.elapsed()) / keys.len() as f64
}

/// Microseconds of the slowest decision, in time the thread had the processor: what else the machine
/// does would otherwise be the longest pause of both.
fn pause<L: Limiter<String>>(limiter: &L, keys: &[String]) -> f64 {
    let mut worst = Duration::ZERO;
    for key in keys {
        let start = ThreadTime::now();
        assert!(limiter.admits(key));
        worst = worst.max(start.elapsed());
    }
    nanos(worst) / 1e3
}

fn keys() -> Arc<[String]> {
    let key = |key| format!("tenant-{:016x}", spread(key) as u64);
    (0..MILLION).map(key).collect()
}
