//! What leases buy, and what they cost.

use super::{
    super::terms::Terms,
    SECOND,
    arrivals::{Gaps, Stream, Which},
    dice::Dice,
    mutation::Mutation,
    network::Network,
    program::{START, clock},
    world::{Program, Report, run},
};
use crate::Policy;

/// Eight replicas, a millisecond to the server and back, 40,000 requests a second for four seconds.
fn serve(quota: &str, headroom: u8, keys: Which, a_second: u64, seconds: u64) -> Report {
    let count = match &keys {
        Which::This(_) => 1,
        Which::AnyOf(count) => *count,
        Which::Zipf(shares) => shares.len(),
    };
    let policy = Policy::new("p", [quota.parse().unwrap()]).unwrap();
    let terms = Terms::exact(&policy).leased(headroom);
    let mut dice = Dice::new(7);
    let program = Program {
        terms: vec![terms; count],
        clocks: (0..8).map(|_| clock(&mut dice)).collect(),
        network: Network::steady(1_000_000),
        patience: SECOND / 20,
        gathering: 0,
        streams: vec![Stream {
            gaps: Gaps::Poisson(SECOND / a_second),
            together: 1,
            keys,
            replicas: Which::AnyOf(8),
            costs: vec![1],
            // Time ends it.
            left: u32::MAX,
        }],
        troubles: Vec::new(),
        start: START,
        end: START + seconds * SECOND,
    };
    let report = run(&program, Mutation::None, &mut dice);
    assert!(report.excess == 0.0, "{quota}: {report:?}");
    report
}

#[test]
fn hot_keys_are_decided_without_asking() {
    // The share that is decided without asking, in percent, is at least this.
    let table = [
        ("50000/s", Which::This(0), 95.0),
        ("2000/s", Which::zipf(100, 0.8), 80.0),
        ("500/s", Which::zipf(1_000, 1.0), 50.0),
        ("1000/s", Which::zipf(20_000, 1.1), 50.0),
        ("20/s:40", Which::zipf(20_000, 1.1), 40.0),
    ];
    for (quota, keys, least) in table {
        for headroom in [0, 5, 10] {
            let report = serve(quota, headroom, keys.clone(), 40_000, 4);
            let of_requests = |count: u64| 100.0 * count as f64 / report.requests as f64;
            let local = of_requests(report.local);
            println!(
                "{quota:8} headroom {headroom:2} %: {local:4.1} % local, {:4.1} % on lease, \
                 {:4.1} % admitted, {:4.1} asks for 100 requests",
                of_requests(report.leased),
                of_requests(report.admitted),
                of_requests(report.asks),
            );
            if headroom == 5 {
                assert!(local >= least, "{quota}: {local} % local");
            }
        }
    }
}

#[test]
fn leases_waste_little_where_more_is_asked_than_allowed() {
    // The quota, and how many come a second.
    let table = [
        ("20000/s", 40_000),
        ("20000/s", 24_000),
        ("1000/s", 1_100),
        ("1000/s", 2_000),
        ("1000/s:200", 1_500),
        ("100/s", 150),
        ("100/s:1000", 400),
    ];
    for (quota, a_second) in table {
        let [exact, leased] =
            [0, 5].map(|headroom| serve(quota, headroom, Which::This(0), a_second, 20));
        let share = 100.0 * leased.admitted as f64 / exact.admitted as f64;
        println!(
            "{quota:10} asked {a_second:5} times a second: {} admitted exactly, {} with leases: {share:.1} %",
            exact.admitted, leased.admitted
        );
    }
}
