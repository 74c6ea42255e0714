//! Runs contenders in turns and compares what they took.

#![expect(
    missing_debug_implementations,
    reason = "a contender is a closure: there is nothing to print"
)]

use std::{
    sync::Barrier,
    thread,
    time::{Duration, Instant},
};

use crate::report::Row;

/// One comparison of the project's list.
pub struct Case {
    /// Its name in the list, as `--filter` takes it.
    pub id: &'static str,
    /// The unit of the figures.
    pub unit: &'static str,
    /// What ours is held to.
    pub against: Against,
}

/// What ours is held to.
pub enum Against {
    /// Somebody else's code, in the same run.
    Peer {
        /// Who that is.
        name: &'static str,
        /// How many times better ours has to be.
        times: f64,
        /// Sets up both sides.
        contest: fn() -> Contest,
    },
    /// A figure that ours may not exceed, whatever others do.
    Limit {
        /// The figure.
        at_most: f64,
        /// Sets up ours.
        ours: fn() -> Contender,
    },
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

/// One side of a case.
pub enum Contender {
    /// Does the work a number of times and says how long that took, in nanoseconds once divided by
    /// that number. How often fills a slice, the runner finds out.
    Paced(Box<dyn FnMut(u64) -> Duration>),
    /// Does work of a fixed size and says what it came to, in the unit of the case.
    Whole(Box<dyn FnMut() -> f64>),
}

impl Contender {
    /// Work that can be repeated for as long as a slice lasts.
    pub fn paced(work: impl FnMut(u64) -> Duration + 'static) -> Self {
        Self::Paced(Box::new(work))
    }

    /// Work whose size is part of the question.
    pub fn whole(work: impl FnMut() -> f64 + 'static) -> Self {
        Self::Whole(Box::new(work))
    }
}

/// How long to measure.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// How often each side has its turn.
    pub slices: usize,
    /// How long one turn takes.
    pub slice: Duration,
    /// How often each side has its turn where the work is of a fixed size.
    pub wholes: usize,
}

impl Effort {
    /// What the published figures are made with.
    pub const FULL: Self = Self {
        slices: 15,
        slice: Duration::from_millis(60),
        wholes: 5,
    };
    /// To see that everything runs.
    pub const QUICK: Self = Self {
        slices: 9,
        slice: Duration::from_millis(8),
        wholes: 1,
    };
}

/// Measures one case.
pub fn run(case: &Case, effort: Effort) -> Row {
    match &case.against {
        Against::Limit { at_most, ours } => {
            let mut sides = [Side::new(ours(), effort)];
            take_turns(&mut sides);
            let [ours] = &sides;
            Row::hold(case.id, case.unit, *at_most, &ours.figures)
        }
        Against::Peer {
            name,
            times,
            contest,
        } => {
            let contest = contest();
            let mut sides = vec![
                Side::new(contest.ours, effort),
                Side::new(contest.peer, effort),
            ];
            sides.extend(contest.baseline.map(|baseline| Side::new(baseline, effort)));
            take_turns(&mut sides);
            let (ours, peer) = (added(&sides, 0), added(&sides, 1));
            Row::compare(case.id, case.unit, name, *times, &ours, &peer)
        }
    }
}

/// Whoever goes first pays for what the one before left in the caches: take turns at that too.
fn take_turns(sides: &mut [Side]) {
    let count = sides.len();
    let turns = sides.iter().map(|side| side.turns).min().unwrap_or(0);
    for turn in 0..turns {
        for place in 0..count {
            sides[(turn + place) % count].take_turn();
        }
    }
}

/// The figures of one side, without those of the third, the baseline, where there is one.
fn added(sides: &[Side], index: usize) -> Vec<f64> {
    let figures = &sides[index].figures;
    match sides.get(2) {
        // Below a tenth of a nanosecond is noise, and no ground for a ratio.
        Some(baseline) => figures
            .iter()
            .zip(&baseline.figures)
            .map(|(with, without)| (with - without).max(0.1))
            .collect(),
        None => figures.clone(),
    }
}

struct Side {
    contender: Contender,
    turns: usize,
    /// Of a turn, where the contender is paced.
    iterations: u64,
    figures: Vec<f64>,
}

impl Side {
    /// Warms up, and finds how many iterations fill a slice.
    fn new(mut contender: Contender, effort: Effort) -> Self {
        let (turns, iterations) = match &mut contender {
            Contender::Paced(work) => (effort.slices, pace(work, effort.slice)),
            Contender::Whole(_) => (effort.wholes, 1),
        };
        Self {
            contender,
            turns,
            iterations,
            figures: Vec::new(),
        }
    }

    fn take_turn(&mut self) {
        let figure = match &mut self.contender {
            Contender::Paced(work) => {
                let took = uncounted(|| work(self.iterations));
                nanos(took) / self.iterations as f64
            }
            Contender::Whole(work) => work(),
        };
        self.figures.push(figure);
    }
}

fn pace(work: &mut dyn FnMut(u64) -> Duration, slice: Duration) -> u64 {
    let mut iterations = 16;
    loop {
        let took = uncounted(|| work(iterations));
        if took >= slice / 2 {
            let fill = slice.as_secs_f64() / took.as_secs_f64();
            return ((iterations as f64 * fill) as u64).max(1);
        }
        iterations *= 2;
    }
}

/// Runs what is timed without counting its allocations.
///
/// The allocator of the whole process can count, for the cases that ask how many. Whoever allocates
/// more must not be slower for that.
pub fn uncounted<T>(work: impl FnOnce() -> T) -> T {
    let mut result = None;
    allocation_counter::opt_out(|| result = Some(work()));
    result.expect("the closure was run")
}

/// Does the same on several threads at once, each on a processor of its own; the mean of what they took.
pub fn on_each_thread(threads: usize, work: impl Fn(usize) -> Duration + Sync) -> Duration {
    // Where the system does not say, its scheduler decides.
    let mut processors = core_affinity::get_core_ids()
        .unwrap_or_default()
        .into_iter();
    let (start, work) = (&Barrier::new(threads), &work);
    let took: Duration = thread::scope(|scope| {
        let mut running = Vec::new();
        for thread in 0..threads {
            let processor = processors.next();
            running.push(scope.spawn(move || {
                processor.map(core_affinity::set_for_current);
                start.wait();
                work(thread)
            }));
        }
        let took = running.into_iter().map(|thread| thread.join());
        took.map(|took| took.expect("no thread panics")).sum()
    });
    took / threads as u32
}

/// Starts a stopwatch.
#[expect(
    clippy::disallowed_methods,
    reason = "measuring time is what this package is for"
)]
pub fn now() -> Instant {
    Instant::now()
}

/// A duration as the figures have it.
pub fn nanos(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e9
}

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, rc::Rc};

    use super::*;

    #[test]
    fn the_side_that_starts_changes_from_turn_to_turn() {
        let order = Rc::new(RefCell::new(String::new()));
        let side = |name| {
            let order = Rc::clone(&order);
            let contender = Contender::whole(move || {
                order.borrow_mut().push(name);
                1.0
            });
            let effort = Effort {
                wholes: 3,
                ..Effort::QUICK
            };
            Side::new(contender, effort)
        };
        take_turns(&mut ['a', 'b'].map(side));
        assert_eq!(*order.borrow(), "abbaab");
    }

    #[test]
    fn the_baseline_is_taken_off_both_sides() {
        let case = Case {
            id: "x",
            unit: "ns",
            against: Against::Peer {
                name: "p",
                times: 2.0,
                contest: || Contest {
                    ours: Contender::whole(|| 110.0),
                    peer: Contender::whole(|| 130.0),
                    baseline: Some(Contender::whole(|| 100.0)),
                },
            },
        };
        let row = run(&case, Effort::QUICK);
        assert_eq!((row.ours, row.peer, row.ratio), (10.0, 30.0, 3.0));
    }

    #[test]
    fn a_turn_is_timed_for_each_iteration() {
        let per_iteration = Duration::from_nanos(500);
        let contender = Contender::paced(move |iterations| per_iteration * iterations as u32);
        let mut side = Side::new(contender, Effort::QUICK);
        assert_eq!(side.iterations, 16_000);
        side.take_turn();
        assert!((side.figures[0] - 500.0).abs() < 1e-6);
    }
}
