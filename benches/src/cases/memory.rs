//! A decision in memory, clock included.

use std::{hint::black_box, sync::Arc, time::Duration};

mod bytes;
mod flood;
mod global_map;
mod keys;
mod limiters;

use self::{
    keys::{MILLION, hot, spread, uniform, zipf},
    limiters::{Governor, Limiter, Naive, Ours},
};
use crate::runner::{Against, Case, Contender, Contest, now, on_each_thread};

pub(super) fn cases() -> Vec<Case> {
    let case = |id, name, times, contest| Case {
        id,
        unit: "ns",
        against: Against::Peer {
            name,
            times,
            contest,
        },
    };
    let governor = |id, times, contest| case(id, Governor::<u128>::NAME, times, contest);
    let naive = |id, times, contest| case(id, Naive::<u128>::NAME, times, contest);
    vec![
        governor("mem-uniform-1m-1t", 3.0, || {
            keyed::<Governor<_>>(uniform, 1)
        }),
        governor("mem-uniform-1m-2t", 3.0, || {
            keyed::<Governor<_>>(uniform, 2)
        }),
        governor("mem-zipf-1m-1t", 2.5, || keyed::<Governor<_>>(zipf, 1)),
        governor("mem-zipf-1m-2t", 2.5, || keyed::<Governor<_>>(zipf, 2)),
        governor("mem-hot-1t", 1.5, || keyed::<Governor<_>>(hot, 1)),
        governor("mem-hot-2t", 1.5, || keyed::<Governor<_>>(hot, 2)),
        naive("mem-uniform-1m-1t-go", 3.0, || {
            keyed::<Naive<_>>(uniform, 1)
        }),
        naive("mem-uniform-1m-2t-go", 3.0, || {
            keyed::<Naive<_>>(uniform, 2)
        }),
        naive("mem-zipf-1m-1t-go", 2.5, || keyed::<Naive<_>>(zipf, 1)),
        naive("mem-zipf-1m-2t-go", 2.5, || keyed::<Naive<_>>(zipf, 2)),
        naive("mem-hot-1t-go", 1.5, || keyed::<Naive<_>>(hot, 1)),
        naive("mem-hot-2t-go", 1.5, || keyed::<Naive<_>>(hot, 2)),
    ]
    .into_iter()
    .chain(bytes::cases())
    .chain(flood::cases())
    .collect()
}

/// The same keys in the same order for both, each thread its own, with every key known beforehand.
fn keyed<Peer: Limiter<u128>>(draw: fn(u64) -> Vec<u128>, threads: u64) -> Contest {
    let sequences: Arc<[Vec<u128>]> = (0..threads).map(draw).collect();
    Contest {
        ours: contender::<Ours>(Arc::clone(&sequences)),
        peer: contender::<Peer>(sequences),
        baseline: None,
    }
}

fn contender<L: Limiter<u128>>(sequences: Arc<[Vec<u128>]>) -> Contender {
    let limiter = L::for_a_million();
    for key in 0..MILLION {
        assert!(limiter.admits(&spread(key)));
    }
    Contender::paced(move |iterations| match &*sequences {
        [sequence] => decide(&limiter, sequence, iterations),
        sequences => on_each_thread(sequences.len(), |thread| {
            decide(&limiter, &sequences[thread], iterations)
        }),
    })
}

fn decide<L: Limiter<u128>>(limiter: &L, sequence: &[u128], iterations: u64) -> Duration {
    let start = now();
    for key in sequence.iter().cycle().take(iterations as usize) {
        assert!(limiter.admits(black_box(key)));
    }
    start.elapsed()
}
