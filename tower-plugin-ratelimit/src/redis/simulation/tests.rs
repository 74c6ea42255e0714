//! The searches, and that they find what is broken.

use super::{
    dice::Dice,
    mutation::Mutation,
    plot,
    program::{crowded, random},
    stage,
    world::{self, Report},
};

#[test]
fn no_window_of_a_random_program_sees_more_than_it_may() {
    let mut leased = 0;
    for seed in seeds(10_000) {
        let mut dice = Dice::new(seed);
        let program = random(&mut dice);
        let report = world::run(&program, Mutation::None, &mut dice);
        leased += report.leased;
        assert!(report.excess == 0.0, "{}{program:#?}", blame(seed, report));
    }
    println!("{leased} requests were decided on lease");
}

#[test]
fn no_window_of_a_play_sees_more_than_it_may() {
    for seed in seeds(20_000) {
        let play = plot::write(&mut Dice::new(seed));
        let excess = stage::excess(&play, Mutation::None);
        if excess > 0.0 {
            let report = Report {
                excess,
                ..Report::default()
            };
            let short = stage::shortened(&play, Mutation::None);
            panic!("{}{short:#?}", blame(seed, report));
        }
    }
}

#[test]
fn a_thousand_replicas_share_one_limit() {
    share_one_limit(1_000, 30);
}

#[test]
fn ten_thousand_replicas_share_one_limit() {
    share_one_limit(10_000, 3);
}

fn share_one_limit(replicas: usize, runs: u64) {
    for seed in seeds(runs) {
        let mut dice = Dice::new(seed);
        let program = crowded(&mut dice, replicas);
        let report = world::run(&program, Mutation::None, &mut dice);
        assert!(report.excess == 0.0, "{}{program:#?}", blame(seed, report));
    }
}

#[test]
fn an_age_that_counts_from_the_answer_is_found() {
    find(Mutation::AgeFromAnswer);
}

#[test]
fn a_record_that_forgets_leases_is_found() {
    find(Mutation::ForgottenLeases);
}

#[test]
fn a_missing_cap_is_found() {
    find(Mutation::NoCap);
}

#[test]
fn a_missing_reserve_is_found() {
    find(Mutation::NoReserve);
}

#[test]
fn a_missing_check_of_the_sequence_is_found() {
    find(Mutation::NoSequence);
}

#[test]
fn a_refund_without_a_fence_is_found() {
    find(Mutation::NoFence);
}

#[test]
fn spending_after_settling_is_found() {
    find(Mutation::SettlesAndSpends);
}

#[test]
fn spending_the_lease_that_was_dropped_is_found() {
    find(Mutation::SpendsTheDropped);
}

#[test]
fn settling_by_subtraction_is_found() {
    find(Mutation::Subtraction);
}

/// Writes plays until one shows what is wrong, and says how much that is.
fn find(mutation: Mutation) {
    let mut found = 0;
    let mut worst = 0.0_f64;
    let mut shortest = usize::MAX;
    let mut first = None;
    for seed in 0..PLAYS {
        // Enough is known by then of what is found often.
        if seed >= PLAYS / 20 && first.is_some() {
            break;
        }
        let play = plot::write(&mut Dice::new(seed));
        let excess = stage::excess(&play, mutation);
        if excess > 0.0 {
            found += 1;
            first.get_or_insert(seed);
            worst = worst.max(excess / f64::from(play.terms.reserve));
            if found <= 3 {
                shortest = shortest.min(stage::shortened(&play, mutation).acts.len());
            }
        }
    }
    let Some(first) = first else {
        panic!("{mutation:?} was not found in {PLAYS} plays");
    };
    println!(
        "{mutation:?}: first in play {first}, {found} times in {} plays; at worst {worst:.2} times \
         the reserve too much; {shortest} acts are enough",
        PLAYS / 20,
    );
}

/// The others take more intent than chance has.
#[test]
fn a_random_program_finds_a_missing_reserve_too() {
    let is_found = |seed: &u64| {
        let mut dice = Dice::new(*seed);
        let program = random(&mut dice);
        world::run(&program, Mutation::NoReserve, &mut dice).excess > 0.0
    };
    assert!((0..2_000).any(|seed| is_found(&seed)));
}

fn blame(seed: u64, report: Report) -> String {
    format!(
        "{} too many, seen again with SIMULATION_SEED={seed}\n",
        report.excess
    )
}

/// From `SIMULATION_SEED` on, so many of `SIMULATION_RUNS`.
fn seeds(default: u64) -> std::ops::Range<u64> {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse().unwrap());
    let first = number("SIMULATION_SEED");
    let runs = number("SIMULATION_RUNS").unwrap_or(if first.is_some() { 1 } else { default });
    let first = first.unwrap_or(0);
    first..first + runs
}

/// No mutation hides for longer.
const PLAYS: u64 = 40_000;
