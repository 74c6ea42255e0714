//! Programs: what happens in a world, made up at random.

use super::{
    super::terms::{Meter, Terms},
    MICRO, SECOND,
    arrivals::{Gaps, Stream, Which},
    clock::Clock,
    dice::Dice,
    network::Network,
};
use crate::Policy;

/// What is run.
#[derive(Clone, Debug)]
pub(super) struct Program {
    /// One policy for each key.
    pub(super) terms: Vec<Terms>,
    pub(super) clocks: Vec<Clock>,
    pub(super) network: Network,
    /// How long a request waits for an answer.
    pub(super) patience: u64,
    /// How long an ask waits for others before it goes off, at most.
    pub(super) gathering: u64,
    pub(super) streams: Vec<Stream>,
    pub(super) troubles: Vec<(u64, Trouble)>,
    pub(super) start: u64,
    /// Nothing happens from here on.
    pub(super) end: u64,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Trouble {
    /// A replica stands still, and goes on with what it knew.
    Pause { replica: usize, until: u64 },
    /// A replica is replaced.
    Crash { replica: usize },
    /// A replica takes up a new version of its policies, which happens to say the same.
    Version { replica: usize },
    /// The server stands still; then it does what has come meanwhile, unless it was lost.
    ServerPause { until: u64, loses: bool },
}

/// When all programs begin, more or less: nanoseconds since 2020.
pub(super) const START: u64 = 50_000_000 * SECOND;

/// A program in which anything may happen.
pub(super) fn random(dice: &mut Dice) -> Program {
    let keys = dice.pick(&[1, 1, 1, 2, 3]);
    let terms: Vec<Terms> = (0..keys).map(|_| policy(dice, 10)).collect();
    let replicas = dice.magnitude(1, 12) as usize;
    let age = ages(&terms[0])[0];
    let start = START + dice.below(60 * SECOND);
    let length = age * dice.between(6, 40);
    let network = network(dice, age);
    // Leases are out where there is something to do, and a full bucket where it is not too much.
    let mut streams = vec![calm(dice, &terms, replicas)];
    streams.extend((0..dice.between(0, 3)).map(|_| stream(dice, &terms, replicas)));
    Program {
        streams,
        clocks: (0..replicas).map(|_| clock(dice)).collect(),
        patience: dice.magnitude(1_000_000, 2 * age),
        gathering: dice.pick(&[0, network.fastest, network.slowest]),
        network,
        troubles: troubles(dice, replicas, age, start, length),
        start,
        end: start + length,
        terms,
    }
}

/// Many replicas, each of which is asked little.
pub(super) fn crowded(dice: &mut Dice, replicas: usize) -> Program {
    let terms = vec![policy(dice, 0)];
    let age = ages(&terms[0])[0];
    let requests = replicas as u32 * 2;
    let length = age * dice.between(3, 9);
    Program {
        streams: vec![Stream {
            gaps: Gaps::Poisson(length / u64::from(requests)),
            together: 6,
            keys: Which::This(0),
            replicas: Which::AnyOf(replicas),
            costs: vec![1, 1, 1, 2],
            left: requests,
        }],
        clocks: (0..replicas).map(|_| clock(dice)).collect(),
        patience: age,
        gathering: 0,
        network: network(dice, age),
        troubles: troubles(dice, replicas, age, START, length),
        start: START,
        end: START + length,
        terms,
    }
}

/// One to three quotas, some of them exact.
pub(super) fn policy(dice: &mut Dice, calendars: u64) -> Terms {
    let quotas = dice.pick(&[1, 1, 1, 1, 1, 1, 2, 3]);
    let mut texts = Vec::new();
    for _ in 0..quotas {
        texts.push(if dice.percent(calendars) {
            let limit = dice.magnitude(1, 200);
            let period = dice.pick(&["minute", "minute", "hour", "day"]);
            format!("{limit}/utc-{period}")
        } else {
            let burst = dice.magnitude(6, 600);
            let drain = dice.magnitude(25_000_000, 16 * SECOND);
            let count = dice.magnitude(1, burst * 2);
            let period = (drain * count / burst).max(1_000_000);
            format!("{count}/{period}ns:{burst}")
        });
    }
    let quotas = texts.iter().map(|text| text.parse().unwrap());
    let any = dice.below(51) as u8;
    let headroom = dice.pick(&[0, 5, 10, 10, 15, 25, 50, any]);
    Terms::exact(&Policy::new("p", quotas).unwrap()).leased(headroom)
}

/// What a search should look at: the age of a lease, twice that, and how long a full bucket drains; in
/// nanoseconds.
pub(super) fn ages(terms: &Terms) -> [u64; 3] {
    let drains = terms.meters.iter().map(|meter| match meter {
        Meter::Rate(rate) => rate.capacity().div_ceil(rate.leak) * MICRO,
        Meter::Calendar { .. } => SECOND,
    });
    let drain = drains.max().unwrap_or(SECOND).min(20 * SECOND);
    let age = if terms.age == 0 {
        drain / 4
    } else {
        terms.age * MICRO
    };
    [age, 2 * age, drain]
}

pub(super) fn clock(dice: &mut Dice) -> Clock {
    Clock {
        offset: dice.magnitude(1, 1_000_000 * SECOND),
        drift: dice.pick(&[
            0,
            -5_000,
            5_000,
            dice.clone().between(0, 10_000) as i64 - 5_000,
        ]),
    }
}

fn network(dice: &mut Dice, age: u64) -> Network {
    let fastest = dice.magnitude(10_000, age);
    Network {
        fastest,
        slowest: fastest * dice.between(1, 3),
        heavy: dice.pick(&[0, 2, 30]),
        longest: age * dice.between(1, 5),
        ask_lost: dice.pick(&[0, 0, 2, 20]),
        answer_lost: dice.pick(&[0, 0, 2, 20]),
        again: dice.pick(&[0, 5, 50]),
    }
}

/// Below the limit, and for as long as the program runs.
fn calm(dice: &mut Dice, terms: &[Terms], replicas: usize) -> Stream {
    let key = dice.index(terms.len());
    Stream {
        gaps: Gaps::Poisson(unit(&terms[key]) * dice.between(10, 40) / 10),
        together: 1,
        keys: Which::This(key),
        replicas: Which::AnyOf(replicas.min(4)),
        costs: vec![1],
        left: 600,
    }
}

/// As it comes.
fn stream(dice: &mut Dice, terms: &[Terms], replicas: usize) -> Stream {
    let key = dice.index(terms.len());
    let [age, twice, drain] = ages(&terms[key]);
    let unit = unit(&terms[key]);
    let burst = terms[key].largest_cost().max(1);
    let edge = |around: u64| [around - MICRO, around, around + MICRO];
    let idle = [edge(age), edge(twice), edge(drain)].concat();
    let (gaps, together, left) = match dice.below(7) {
        0 => (Gaps::Steady(dice.magnitude(1, unit * 4)), 1, 100),
        1 => (Gaps::Poisson(dice.magnitude(1, unit * 4)), 2, 100),
        2 => (Gaps::OneOf(idle), burst * 2, 8),
        3 => {
            let within = dice.below(unit + 1);
            let gaps = [&idle[..3], &[0, unit, within]].concat();
            (Gaps::OneOf(gaps), burst / 4 + 1, 20)
        }
        4 => (Gaps::Poisson(age * 2), burst * 3, 6),
        5 => (Gaps::Poisson(age), burst, 12),
        // Hammers.
        _ => (Gaps::Steady(dice.magnitude(1, unit / 2 + 1)), 3, 200),
    };
    let any_key = dice.percent(30);
    let any_replica = dice.percent(50);
    Stream {
        gaps,
        together: together.min(1_500),
        keys: if any_key {
            Which::AnyOf(terms.len())
        } else {
            Which::This(key)
        },
        replicas: if any_replica {
            Which::AnyOf(replicas)
        } else {
            Which::This(dice.index(replicas))
        },
        costs: dice
            .pick(&[&[1][..], &[1], &[1, 1, 2], &[1, 2, 3, 7]])
            .to_vec(),
        left: dice.magnitude(1, left) as u32,
    }
}

/// As many nanoseconds as a unit takes to come back, about.
fn unit(terms: &Terms) -> u64 {
    let [.., drain] = ages(terms);
    (drain / u64::from(terms.largest_cost().max(1))).max(1)
}

fn troubles(
    dice: &mut Dice,
    replicas: usize,
    age: u64,
    start: u64,
    length: u64,
) -> Vec<(u64, Trouble)> {
    let count = dice.pick(&[0, 0, 2, 6]);
    let trouble = |_| {
        let at = start + dice.below(length);
        let until = at + dice.magnitude(MICRO, 4 * age);
        let replica = dice.index(replicas);
        let trouble = match dice.below(6) {
            0 | 1 => Trouble::Pause { replica, until },
            2 => Trouble::Crash { replica },
            3 => Trouble::Version { replica },
            _ => Trouble::ServerPause {
                until,
                loses: dice.percent(50),
            },
        };
        (at, trouble)
    };
    (0..count).map(trouble).collect()
}
