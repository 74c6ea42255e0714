use std::thread;

use super::*;

/// By the machine's own clock, with more threads than processors, so that many are stopped between
/// any two steps: a reading of the clock taken before the lock admitted many times the quota here.
#[test]
fn threads_on_one_key_never_exceed_burst_and_rate() {
    let limiter = MemoryLimiter::new(1_000).unwrap();
    let policy = Policy::from("1000/s:1000".parse::<crate::Quota>().unwrap());
    let clock = SystemClock::new();
    let start = clock.monotonic_nanos();
    let elapsed = || clock.monotonic_nanos() - start;

    let admitted: u64 = thread::scope(|scope| {
        let spend = || {
            let mut admitted = 0;
            while elapsed() < 300_000_000 {
                admitted += u64::from(limiter.check_key(&policy, 1, Cost::ONE).is_allowed());
            }
            admitted
        };
        let threads: Vec<_> = (0..16).map(|_| scope.spawn(spend)).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .sum()
    });
    // In units of time: a unit takes a millisecond to come back.
    let bound = 1_000 + elapsed() / 1_000_000 + 1;
    assert!(admitted <= bound, "{admitted} of {bound}");
    assert!(admitted >= 1_000, "the burst at least: {admitted}");
}
