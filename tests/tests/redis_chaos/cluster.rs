//! A cluster whose slots move and whose nodes are lost.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use tower_plugin_ratelimit::redis::{OnUnavailable, RedisLimiter};
use tower_plugin_tests::redis::RedisCluster;

use crate::crowd::{
    Calls, Crowd, DEADLINE, Outcome, STEADY, Tasks, assert_recovers, policy, with_mode,
};

const MOMENT: Duration = Duration::from_millis(400);
const LANES: usize = 16;
const KEYS: usize = 64;

/// Goes on without a node.
const PARTIAL: &[&str] = &["--cluster-require-full-coverage", "no"];

fn limiter(cluster: &RedisCluster, leases: bool) -> RedisLimiter {
    with_mode(RedisLimiter::cluster_builder(cluster.urls()), leases)
        .on_unavailable(OnUnavailable::Deny)
        .build()
        .unwrap()
}

/// A replica that asks and one that leases, and callers of many keys.
struct Visit {
    replicas: [RedisLimiter; 2],
    crowds: [Crowd; 2],
    tasks: Tasks,
}

impl Visit {
    async fn of(cluster: &RedisCluster) -> Self {
        let tasks = Tasks::now();
        let replicas = [false, true].map(|leases| limiter(cluster, leases));
        for replica in &replicas {
            replica.connected().await.unwrap();
        }
        let crowds = [0, 1].map(|mode| {
            let policy = policy(["exact", "leased"][mode], &[STEADY]);
            let replica = &replicas[mode..=mode];
            Crowd::with_keys(replica, &policy, KEYS, 16, Duration::from_millis(10))
        });
        sleep(MOMENT).await;
        Self {
            replicas,
            crowds,
            tasks,
        }
    }

    async fn assert_recovers(&self, since: Instant) {
        for replica in &self.replicas {
            assert_recovers(replica, since).await;
        }
    }

    async fn leave(self) -> [Calls; 2] {
        let [exact, leased] = self.crowds;
        let calls = [exact.leave().await, leased.leave().await];
        drop(self.replicas);
        self.tasks.assert_none_left().await;
        for calls in &calls {
            calls.assert_patience(DEADLINE);
        }
        calls
    }
}

/// Which lanes a node answers for: all their keys have one hash tag.
async fn lanes_of(cluster: &RedisCluster, node: u16) -> Vec<usize> {
    let mut lanes = Vec::new();
    for lane in 0..LANES {
        // A third each.
        if cluster.slot_of(&lane.to_string()).await / 5_461 == node {
            lanes.push(lane);
        }
    }
    lanes
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slots_move_while_they_are_used() {
    let cluster = RedisCluster::start().await;
    let visit = Visit::of(&cluster).await;
    for lane in lanes_of(&cluster, 0).await.into_iter().take(3) {
        let slot = cluster.slot_of(&lane.to_string()).await;
        cluster.begin_move(slot, 0, 1).await;
        sleep(MOMENT / 2).await;
        cluster.finish_move(slot, 0, 1).await;
        sleep(MOMENT / 2).await;
    }
    visit.assert_recovers(Instant::now()).await;
    let moved = Instant::now();
    sleep(MOMENT).await;
    let until = Instant::now();
    for calls in visit.leave().await {
        calls.assert_bound();
        assert_eq!(calls.count(moved, until, Outcome::Unavailable), 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_dies_takes_its_own_keys_with_it_and_no_others() {
    lose_a_node(
        async |cluster| cluster.node_mut(1).kill(),
        async |cluster| {
            cluster.node_mut(1).restart().await;
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_freezes_takes_its_own_keys_with_it_and_no_others() {
    lose_a_node(
        async |cluster| cluster.node(1).pause().await,
        async |cluster| {
            cluster.node(1).resume();
        },
    )
    .await;
}

async fn lose_a_node(
    lose: impl AsyncFnOnce(&mut RedisCluster),
    bring_back: impl AsyncFnOnce(&mut RedisCluster),
) {
    let mut cluster = RedisCluster::start_with(PARTIAL).await;
    let lost_lanes = lanes_of(&cluster, 1).await;
    let visit = Visit::of(&cluster).await;
    lose(&mut cluster).await;
    let lost = Instant::now();
    sleep(8 * MOMENT).await;
    let down = visit
        .replicas
        .each_ref()
        .map(|replica| replica.stats().lanes_down);
    let until = Instant::now();
    bring_back(&mut cluster).await;
    cluster.wait_until_ok().await;
    let returned = Instant::now();
    visit.assert_recovers(returned).await;
    let calls = visit.leave().await;
    for (calls, down) in calls.into_iter().zip(down) {
        let meanwhile = calls.only(|call| call.before >= lost && call.after <= until);
        let settled = meanwhile.only(|call| call.before >= until - MOMENT);
        let is_lost = |key| {
            settled
                .only(|call| call.key == key)
                .total(Outcome::Unavailable)
                > 0
        };
        let kept: Vec<_> = (0..KEYS).map(|key| !is_lost(key)).collect();
        let others = meanwhile.only(|call| kept[call.key]);
        eprintln!(
            "{down} lanes down, {lost_lanes:?} lost; keys kept {}; of others' calls {} unavailable, {} admitted",
            kept.iter().filter(|kept| **kept).count(),
            others.total(Outcome::Unavailable),
            others.total(Outcome::Admitted)
        );
        assert_eq!(down, lost_lanes.len());
        assert!(kept.iter().any(|kept| *kept) && !kept.iter().all(|kept| *kept));
        assert_eq!(others.total(Outcome::Unavailable), 0);
        // The node keeps nothing, so it forgets a burst; the others do not.
        let excess = calls.only(|call| kept[call.key]).excess();
        assert!(excess <= 0.0, "{excess}");
        let excess = calls.excess();
        assert!(excess <= 100.0, "{excess}");
    }
}
