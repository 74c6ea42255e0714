//! Runs contenders in turns and compares what they took.

#![expect(
    missing_debug_implementations,
    reason = "a contender is a closure: there is nothing to print"
)]

use std::time::{Duration, Instant};

use crate::report::Row;

/// One comparison of the project's list.
pub struct Case {
    /// Its name in the list, as `--filter` takes it.
    pub id: &'static str,
    /// What ours is compared with.
    pub peer: &'static str,
    /// The unit of both figures.
    pub unit: &'static str,
    /// How many times better ours has to be.
    pub target: f64,
    /// Sets up both sides.
    pub contest: fn() -> Contest,
}

/// Both sides of a case, set up and warm.
pub struct Contest {
    /// Ours.
    pub ours: Contender,
    /// The peer.
    pub peer: Contender,
    /// What both sides do anyway; taken off both, where what counts is the time added.
    pub baseline: Option<Contender>,
}

/// Does the work a number of times and says how long that took.
pub type Contender = Box<dyn FnMut(u64) -> Duration>;

/// How long to measure.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// How often each side has its turn.
    pub slices: usize,
    /// How long one turn takes.
    pub slice: Duration,
}

impl Effort {
    /// What the published figures are made with.
    pub const FULL: Self = Self {
        slices: 15,
        slice: Duration::from_millis(60),
    };
    /// To see that everything runs.
    pub const QUICK: Self = Self {
        slices: 9,
        slice: Duration::from_millis(8),
    };
}

/// Measures one case.
pub fn run(case: &Case, effort: Effort) -> Row {
    let Contest {
        mut ours,
        mut peer,
        mut baseline,
    } = (case.contest)();
    let mut sides = vec![Side::new(&mut ours, effort), Side::new(&mut peer, effort)];
    if let Some(baseline) = &mut baseline {
        sides.push(Side::new(baseline, effort));
    }
    let count = sides.len();
    for slice in 0..effort.slices {
        // Whoever goes first pays for what the one before left in the caches: take turns at that too.
        for turn in 0..count {
            sides[(slice + turn) % count].take_turn();
        }
    }

    let added = |side: &Side<'_>| -> Vec<f64> {
        match sides.get(2) {
            Some(baseline) => side
                .nanos
                .iter()
                .zip(&baseline.nanos)
                .map(|(with, without)| (with - without).max(0.1))
                .collect(),
            None => side.nanos.clone(),
        }
    };
    Row::compare(case, &added(&sides[0]), &added(&sides[1]))
}

struct Side<'a> {
    contender: &'a mut Contender,
    iterations: u64,
    nanos: Vec<f64>,
}

impl<'a> Side<'a> {
    /// Warms up, and finds how many iterations fill a slice.
    fn new(contender: &'a mut Contender, effort: Effort) -> Self {
        let mut iterations = 16;
        loop {
            let took = contender(iterations);
            if took >= effort.slice / 2 {
                let fill = effort.slice.as_secs_f64() / took.as_secs_f64();
                iterations = ((iterations as f64 * fill) as u64).max(1);
                return Self {
                    contender,
                    iterations,
                    nanos: Vec::new(),
                };
            }
            iterations *= 2;
        }
    }

    fn take_turn(&mut self) {
        let took = (self.contender)(self.iterations);
        self.nanos
            .push(took.as_secs_f64() * 1e9 / self.iterations as f64);
    }
}

/// Times `iterations` of `work`.
pub fn timed(iterations: u64, mut work: impl FnMut()) -> Duration {
    let start = now();
    for _ in 0..iterations {
        work();
    }
    start.elapsed()
}

/// Starts a stopwatch.
#[expect(
    clippy::disallowed_methods,
    reason = "measuring time is what this package is for"
)]
pub fn now() -> Instant {
    Instant::now()
}
