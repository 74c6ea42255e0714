//! Random, and to be had again.

use std::{
    hash::{BuildHasher, RandomState},
    time::Duration,
};

/// Seeded, so that what went wrong can be repeated.
pub(crate) struct Dice(u64);

impl Dice {
    /// Prints its seed, which only a failure shows.
    pub(crate) fn new() -> Self {
        let given = std::env::var("CHAOS_SEED").ok();
        let seed = given.map_or_else(
            || RandomState::new().hash_one(0),
            |seed| seed.parse().expect("CHAOS_SEED is a number"),
        );
        eprintln!("CHAOS_SEED={seed}");
        Self(seed)
    }

    pub(crate) fn fork(&mut self) -> Self {
        Self(self.next())
    }

    /// Below `limit`.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    /// SplitMix64.
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

/// How long the random ones last.
pub(crate) fn seconds(short: u64) -> Duration {
    let given = std::env::var("CHAOS_SECONDS").ok();
    Duration::from_secs(given.map_or(short, |seconds| {
        seconds.parse().expect("CHAOS_SECONDS is a number")
    }))
}
