//! Permits under threads that race: all rounds with `just stress`.

use std::{
    sync::{
        Arc, Barrier,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    thread,
};

use tower_plugin_ratelimit::concurrency::{Concurrency, ConcurrencyLimiter};

#[test]
fn no_more_permits_are_out_than_there_are_whoever_races_for_them() {
    const THREADS: usize = 32;
    const MAX: u32 = 3;
    const KEYS: usize = 2;
    let rounds = std::env::var("STRESS_ROUNDS").map_or(2_000, |rounds| rounds.parse().unwrap());
    let limit = Concurrency::per_key(MAX).unwrap().with_total(5).unwrap();
    let limiter = ConcurrencyLimiter::new(limit);
    let held: Arc<[AtomicUsize]> = (0..KEYS).map(|_| AtomicUsize::new(0)).collect();
    let barrier = Arc::new(Barrier::new(THREADS));
    let threads = (0..THREADS).map(|thread| {
        let (limiter, held) = (limiter.clone(), Arc::clone(&held));
        let barrier = Arc::clone(&barrier);
        thread::spawn(move || {
            let key = thread % KEYS;
            barrier.wait();
            let mut admitted = 0;
            for _ in 0..rounds {
                if let Some(_permit) = limiter.try_acquire(key) {
                    let held_now = held[key].fetch_add(1, SeqCst) + 1;
                    assert!(held_now <= MAX as usize, "{held_now} at once");
                    thread::yield_now();
                    held[key].fetch_sub(1, SeqCst);
                    admitted += 1;
                }
            }
            admitted
        })
    });
    let threads: Vec<_> = threads.collect();
    let admitted: u64 = threads
        .into_iter()
        .map(|thread| thread.join().unwrap())
        .sum();
    assert!(admitted > 0);
    assert_eq!(limiter.stats().keys, 0, "all came back");
    let all: Vec<_> = (0..5).filter_map(|key| limiter.try_acquire(key)).collect();
    assert_eq!(all.len(), 5, "and the total with them");
}
