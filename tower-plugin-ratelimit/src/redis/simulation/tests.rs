//! The searches, and that they find what is broken.

use super::{
    dice::Dice,
    mutation::Mutation,
    plot,
    program::{crowded, random},
    stage, world,
};

#[test]
fn no_window_of_a_random_program_sees_more_than_it_may() {
    for seed in seeds(6_000) {
        let mut dice = Dice::new(seed);
        let program = random(&mut dice);
        let excess = world::run(&program, Mutation::None, &mut dice).excess;
        assert!(
            excess == 0.0,
            "seed {seed}: {excess} too many in\n{program:#?}"
        );
    }
}

#[test]
fn no_window_of_a_play_sees_more_than_it_may() {
    for seed in seeds(10_000) {
        let play = plot::write(&mut Dice::new(seed));
        let excess = stage::excess(&play, Mutation::None);
        if excess > 0.0 {
            let short = stage::shortened(&play, Mutation::None);
            panic!("seed {seed}: {excess} too many in\n{short:#?}");
        }
    }
}

#[test]
fn ten_thousand_replicas_share_one_limit() {
    for seed in seeds(3) {
        let mut dice = Dice::new(seed);
        let program = crowded(&mut dice, 10_000);
        let report = world::run(&program, Mutation::None, &mut dice);
        assert!(
            report.excess == 0.0,
            "seed {seed}: {} too many",
            report.excess
        );
        assert!(report.asks > 10_000, "seed {seed}: {report:?}");
    }
}

/// What each search finds of it, in so many runs.
fn found(mutation: Mutation, runs: u64) -> [(u64, f64); 2] {
    let mut found = [(0, 0.0_f64); 2];
    for seed in 0..runs {
        let mut dice = Dice::new(seed);
        let play = plot::write(&mut dice);
        let mut dice = Dice::new(seed);
        let program = random(&mut dice);
        let excess = [
            stage::excess(&play, mutation),
            world::run(&program, mutation, &mut dice).excess,
        ];
        for (found, excess) in found.iter_mut().zip(excess) {
            found.0 += u64::from(excess > 0.0);
            found.1 = found.1.max(excess);
        }
    }
    found
}

#[test]
fn survey() {
    for mutation in Mutation::ALL {
        let [plays, programs] = found(mutation, 1000);
        println!("{mutation:?}: plays {plays:?}, programs {programs:?}");
    }
}

fn seeds(default: u64) -> std::ops::Range<u64> {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse().unwrap());
    let first = number("SIMULATION_SEED");
    let runs = number("SIMULATION_RUNS").unwrap_or(if first.is_some() { 1 } else { default });
    let first = first.unwrap_or(0);
    first..first + runs
}
