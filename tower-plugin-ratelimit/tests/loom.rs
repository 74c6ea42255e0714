//! The table's lock, in every interleaving: `just loom`.
#![cfg(loom)]

use loom::{sync::Arc, thread};
use tower_plugin_ratelimit::{Cost, Now, OnFull, Operation, Policy, Table};

#[test]
fn two_threads_that_spend_one_unit_are_admitted_once() {
    loom::model(|| race(2));
}

/// Some 450,000 executions: a minute or two.
#[test]
fn three_threads_that_spend_one_unit_are_admitted_once() {
    loom::model(|| race(3));
}

fn race(threads: usize) {
    let table = Arc::new(Table::new(1, OnFull::Forget));
    let policy = Policy::new("p", ["1/s:1".parse().unwrap()]).unwrap();
    let spend = {
        let (table, policy) = (Arc::clone(&table), policy.clone());
        move || {
            let now = Now {
                monotonic: 7,
                wall: 0,
            };
            let decision = table.apply(42, &policy, || now, Operation::Check(Cost::ONE));
            usize::from(decision.is_allowed())
        }
    };
    let others: Vec<_> = (1..threads).map(|_| thread::spawn(spend.clone())).collect();
    let own = spend();
    let admitted = others.into_iter().map(|other| other.join().unwrap());
    assert_eq!(own + admitted.sum::<usize>(), 1);
}
