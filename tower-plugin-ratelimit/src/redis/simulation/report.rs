//! What leases buy, and what they cost.

use super::{
    super::terms::Terms,
    SECOND,
    arrivals::{Gaps, Stream, Which},
    dice::Dice,
    mutation::Mutation,
    network::Network,
    program::{Program, START, clock},
    world::{Report, run},
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
    // How much of it is decided so, in percent, at least.
    let table = [
        ("50000/s", Which::This(0), 97.0),
        ("2000/s", Which::zipf(100, 0.8), 90.0),
        ("1000/s", Which::zipf(20_000, 1.1), 55.0),
        ("20/s:40", Which::zipf(20_000, 1.1), 41.0),
    ];
    for (quota, keys, least) in table {
        let report = serve(quota, 5, keys, 40_000, 4);
        let of_requests = |count: u64| 100.0 * count as f64 / report.requests as f64;
        let local = of_requests(report.local);
        println!(
            "{quota:8}: {local:4.1} % local, {:4.1} % on lease, {:5.1} % admitted, \
             {:4.1} asks for 100 requests",
            of_requests(report.leased),
            of_requests(report.admitted),
            of_requests(report.asks),
        );
        assert!(local >= least, "{quota}: {local} % local");
    }
}

#[test]
fn leases_waste_little_where_more_is_asked_than_allowed() {
    // The quota, how many come a second, for how many seconds.
    let table = [
        ("20000/s", 40_000, 4),
        ("20000/s", 24_000, 4),
        ("1000/s", 1_100, 20),
        ("1000/s", 2_000, 20),
        ("1000/s:200", 1_500, 20),
        ("100/s", 150, 40),
        ("100/s:1000", 400, 40),
    ];
    for (quota, a_second, seconds) in table {
        let serve = |headroom| serve(quota, headroom, Which::This(0), a_second, seconds);
        let [exact, leased] = [0, 5].map(serve);
        let share = 100.0 * leased.admitted as f64 / exact.admitted as f64;
        println!(
            "{quota:10} asked {a_second:5} times a second: {:6} admitted without leases, \
             {:6} with: {share:.1} %",
            exact.admitted, leased.admitted
        );
        assert!(share >= 97.0, "{quota}, {a_second}/s: {share} %");
    }
}
