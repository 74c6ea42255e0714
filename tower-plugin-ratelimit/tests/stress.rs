//! The table under threads that race and under floods that wash.
//!
//! `STRESS_ROUNDS=100000` asks for all rounds of the race, best in release: `just stress`.

use std::{
    sync::{
        Arc, Barrier,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread,
};

use tower_plugin_ratelimit::{Cost, Now, OnFull, Operation, Policy, Table};

/// Each round one unit has come back, and all threads want it.
#[test]
fn f32_f36_one_unit_is_spent_once_whoever_races_for_it() {
    const THREADS: u64 = 32;
    let rounds = std::env::var("STRESS_ROUNDS").map_or(2_000, |rounds| rounds.parse().unwrap());
    let table = Arc::new(Table::new(1, OnFull::Forget));
    let policy = policy("1/s:1");
    let barrier = Arc::new(Barrier::new(THREADS as usize));
    let admitted: Arc<[AtomicU64]> = (0..rounds).map(|_| AtomicU64::new(0)).collect();
    let threads = (0..THREADS).map(|_| {
        let (table, policy) = (Arc::clone(&table), policy.clone());
        let (barrier, admitted) = (Arc::clone(&barrier), Arc::clone(&admitted));
        thread::spawn(move || {
            for (round, admitted) in (1..).zip(admitted.iter()) {
                barrier.wait();
                if spend(&table, 42, &policy, round * SECOND, 1) {
                    admitted.fetch_add(1, Relaxed);
                }
            }
        })
    });
    for thread in threads.collect::<Vec<_>>() {
        thread.join().unwrap();
    }
    let wrong = admitted.iter().filter(|count| count.load(Relaxed) != 1);
    assert_eq!(
        wrong.count(),
        0,
        "rounds in which not exactly one was admitted"
    );
}

/// The cheap flood, a request for each made-up key: it takes one slot of a bucket and fights over it with
/// itself. So what it costs the keys at their limit is one of those buckets that were full of them, and
/// does not grow with the flood.
#[test]
fn a_flood_of_new_keys_evicts_hardly_any_key_at_its_limit_whatever_its_size() {
    let table = Table::new(SLOTS, OnFull::Forget);
    let policy = policy("10/s:10");
    let kept = |now, owed| {
        let honest = (0..KEYS).filter(|&key| owes(&table, hash(key), &policy, now, owed));
        honest.count()
    };
    for key in 0..KEYS {
        assert!(spend(&table, hash(key), &policy, SECOND, 10));
    }
    let alone = kept(SECOND, 10);
    assert!(share(alone) > 0.99, "{alone} of {KEYS} were kept");

    // Ten times as many new keys as there are slots, per drain time. Until eight tenths of it, a key
    // that was at its limit owes more than a new one.
    const FLOOD: u64 = 10 * SLOTS as u64;
    let mut kept_after = [0; 10];
    for tenth in 0..8 {
        for flooded in tenth * FLOOD / 10..(tenth + 1) * FLOOD / 10 {
            let now = SECOND + flooded * SECOND / FLOOD;
            assert!(spend(&table, hash(KEYS + flooded), &policy, now, 1));
        }
        let now = SECOND + (tenth + 1) * SECOND / 10;
        kept_after[tenth as usize] = kept(now, 9 - tenth as u32);
    }
    assert!(share(kept_after[1]) > 0.97, "{kept_after:?} of {KEYS}");
    assert_eq!(kept_after[7], kept_after[1], "{kept_after:?} of {KEYS}");
}

/// The dear flood: every made-up key is itself spent to its limit, so it owes as much as those it
/// meets, and costs the flooder ten requests.
#[test]
fn a_flood_of_spent_keys_leaves_most_busy_keys_at_their_limit() {
    let table = Table::new(SLOTS, OnFull::Forget);
    let policy = policy("10/s:10");
    let mut admitted = vec![0_u64; KEYS as usize];
    // For one drain time each honest key wants more than it may have, ten times a unit; and as many
    // new keys come as the table is made for.
    let mut flooded = 0;
    for step in 0..100 {
        let now = SECOND + step * SECOND / 100;
        for (key, admitted) in (0..).zip(&mut admitted) {
            let burst = if step == 0 { 10 } else { 1 };
            for _ in 0..burst {
                *admitted += u64::from(spend(&table, hash(key), &policy, now, 1));
            }
        }
        for _ in 0..KEYS / 100 {
            flooded += 1;
            spend(&table, hash(KEYS + flooded), &policy, now, 10);
        }
    }
    // A burst, and what comes back in 0.99 s.
    let bound = 10 + 9;
    let kept = admitted
        .iter()
        .filter(|&&admitted| admitted <= bound)
        .count();
    assert!(
        share(kept) > 0.95,
        "{kept} of {KEYS} were held to their limit"
    );
}

/// Whatever else it sends, one request for each of its other keys.
#[test]
fn a_flooder_never_washes_off_its_own_debt() {
    const OWN: u64 = 500;
    let table = Table::new(SLOTS, OnFull::Forget);
    let policy = policy("10/s:10");
    let mut admitted = vec![0_u64; OWN as usize];
    let mut flooded = 0;
    // Ten drain times, in each of which five new keys come for every slot.
    for step in 0..1000 {
        let now = SECOND + step * SECOND / 100;
        for _ in 0..5 * SLOTS / 100 {
            flooded += 1;
            spend(&table, hash(OWN + flooded), &policy, now, 1);
        }
        for (key, admitted) in (0..).zip(&mut admitted) {
            let burst = if step == 0 { 10 } else { 1 };
            for _ in 0..burst {
                *admitted += u64::from(spend(&table, hash(key), &policy, now, 1));
            }
        }
    }
    // The burst, and what comes back in 9.99 s.
    let bound = 10 + 99;
    assert_eq!(admitted, vec![bound; OWN as usize]);
}

fn spend(table: &Table, hash: u64, policy: &Policy, now: u64, cost: u32) -> bool {
    let operation = Operation::Check(Cost::new(cost).unwrap());
    table
        .apply(hash, policy, || at(now), operation)
        .is_allowed()
}

/// Whether the table knows that the key owes so many units.
fn owes(table: &Table, hash: u64, policy: &Policy, now: u64, units: u32) -> bool {
    let decision = table.apply(hash, policy, || at(now), Operation::Peek(Cost::ONE));
    decision.remaining() == policy.quotas()[0].burst() - units
}

fn at(monotonic: u64) -> Now {
    Now { monotonic, wall: 0 }
}

fn policy(quota: &str) -> Policy {
    Policy::new("p", [quota.parse().unwrap()]).unwrap()
}

fn share(keys: usize) -> f64 {
    keys as f64 / KEYS as f64
}

/// splitmix64: a hash as good as any, and the same in every run.
fn hash(key: u64) -> u64 {
    let mut hash = (key + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

/// As many keys as the table is made for, each in three slots' room.
const KEYS: u64 = 10_000;
const SLOTS: usize = 3 * KEYS as usize;
const SECOND: u64 = 1_000_000_000;
