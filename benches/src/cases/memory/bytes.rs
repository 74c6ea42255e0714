//! What a million keys take, counted by the allocator.

use super::{
    keys::{MILLION, spread},
    limiters::{Governor, Limiter, Naive, Ours},
};
use crate::runner::{Against, Case, Contender, Contest};

pub(super) fn cases() -> Vec<Case> {
    let case = |id, against| Case {
        id,
        unit: "bytes",
        against,
    };
    let peer = |name, contest| Against::Peer {
        name,
        times: 1.0,
        contest,
    };
    vec![
        case(
            "mem-bytes-per-key",
            Against::Limit {
                at_most: 40.0,
                ours: contender::<Ours>,
            },
        ),
        case(
            "mem-bytes-per-key-governor",
            peer(Governor::<u128>::NAME, contest::<Governor<u128>>),
        ),
        case(
            "mem-bytes-per-key-go",
            peer(Naive::<u128>::NAME, contest::<Naive<u128>>),
        ),
    ]
}

fn contest<Peer: Limiter<u128>>() -> Contest {
    Contest {
        ours: contender::<Ours>(),
        peer: contender::<Peer>(),
        baseline: None,
    }
}

fn contender<L: Limiter<u128>>() -> Contender {
    Contender::whole(|| {
        let mut limiter = None;
        let allocated = allocation_counter::measure(|| {
            let limiter = limiter.insert(L::for_a_million());
            for key in 0..MILLION {
                assert!(limiter.admits(&spread(key)));
            }
        });
        allocated.bytes_current as f64 / MILLION as f64
    })
}
