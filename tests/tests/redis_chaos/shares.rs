//! What is decided without Redis.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use tower_plugin_ratelimit::redis::OnUnavailable;
use tower_plugin_tests::redis::RedisServer;

use crate::crowd::{
    Calls, Crowd, DEADLINE, Outcome, STEADY, Tasks, assert_recovers, limiter, policy,
};

const MOMENT: Duration = Duration::from_millis(400);

/// A server that is killed: what callers of two replicas saw meanwhile, and in all.
async fn without_redis(leases: bool, on_unavailable: OnUnavailable) -> (Calls, Calls) {
    let mut server = RedisServer::start().await;
    let tasks = Tasks::now();
    let url = server.url();
    let build = |_| limiter(&url, leases, on_unavailable);
    let replicas = [0, 1].map(build);
    for replica in &replicas {
        replica.connected().await.unwrap();
    }
    let steady = policy("steady", &[STEADY]);
    let callers = Crowd::of(&replicas, &steady, 4, Duration::from_millis(4));
    sleep(MOMENT).await;
    server.kill();
    let killed = Instant::now();
    sleep(4 * MOMENT).await;
    let until = Instant::now();
    server.restart().await;
    let returned = Instant::now();
    for replica in &replicas {
        assert_recovers(replica, returned).await;
    }
    sleep(MOMENT).await;
    let calls = callers.leave().await;
    drop(replicas);
    tasks.assert_none_left().await;
    calls.assert_patience(DEADLINE);
    let meanwhile = calls.only(|call| call.before >= killed && call.after <= until);
    assert!(meanwhile.calls.len() > 500, "{}", meanwhile.calls.len());
    (meanwhile, calls)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deny_says_that_it_does_not_know() {
    let (meanwhile, calls) = without_redis(false, OnUnavailable::Deny).await;
    // What Redis denied is remembered for a second at most, and here for much less.
    let start = meanwhile
        .calls
        .iter()
        .map(|call| call.before)
        .min()
        .unwrap();
    let later = meanwhile.only(|call| call.before > start + MOMENT);
    assert_eq!(later.total(Outcome::Unavailable), later.calls.len());
    assert_eq!(meanwhile.total(Outcome::Admitted), 0);
    assert!(calls.excess() <= 100.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn allow_lets_everybody_through() {
    let (meanwhile, _) = without_redis(false, OnUnavailable::Allow).await;
    assert_eq!(meanwhile.total(Outcome::Unavailable), 0);
    let denied = meanwhile.total(Outcome::Denied);
    // From what was remembered.
    assert!(denied < meanwhile.calls.len() / 10, "{denied}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn alone_a_replica_admits_its_share_and_no_more() {
    for leases in [false, true] {
        let local = OnUnavailable::Local { replicas: 2 };
        let (meanwhile, calls) = without_redis(leases, local).await;
        assert_eq!(calls.total(Outcome::Unavailable), 0);
        let share = policy("share", &["100/s:50"]).quotas()[0];
        // What was on lease when the server died, at most.
        let leased = if leases { 10.0 } else { 0.0 };
        for replica in 0..2 {
            let alone = meanwhile.of_replica(replica);
            let excess = alone.excess_of(&share);
            assert!(excess <= leased, "{excess}");
            let admitted = alone.total(Outcome::Admitted);
            assert!(admitted >= 150, "{admitted} of about 210");
        }
        // One burst that the server has forgotten, and the replicas' own.
        let excess = calls.excess();
        assert!(excess <= 200.0, "{excess}");
    }
}
