//! A cluster whose slots move and whose nodes are lost.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use tower_plugin_ratelimit::{
    Cost, Operation,
    redis::{OnUnavailable, RedisLimiter},
};
use tower_plugin_tests::redis::RedisCluster;

use crate::crowd::{Calls, Crowd, DEADLINE, Outcome, Tasks, assert_recovers, policy, with_mode};

const MOMENT: Duration = Duration::from_millis(400);
const LANES: usize = 16;
const KEYS: usize = 32;

/// Less than two callers of a key ask for.
const QUOTA: &str = "40/s:20";

/// Goes on without a node.
const PARTIAL: &[&str] = &["--cluster-require-full-coverage", "no"];

fn limiter(cluster: &RedisCluster, leases: bool, prefix: &str) -> RedisLimiter {
    with_mode(RedisLimiter::cluster_builder(cluster.urls()), leases)
        .with_prefix(prefix)
        .with_on_unavailable(OnUnavailable::Deny)
        .build()
        .unwrap()
}

/// Two replicas that ask and two that lease, and a caller of each for every key.
struct Visit {
    replicas: [[RedisLimiter; 2]; 2],
    crowds: [Crowd; 2],
    tasks: Tasks,
}

impl Visit {
    async fn of(cluster: &RedisCluster) -> Self {
        let tasks = Tasks::now();
        let replicas = [(false, "exact:"), (true, "leased:")]
            .map(|(leases, prefix)| [(); 2].map(|()| limiter(cluster, leases, prefix)));
        for replica in replicas.iter().flatten() {
            replica.connected().await.unwrap();
        }
        let crowds = [0, 1].map(|mode| {
            let policy = policy("cluster", &[QUOTA]);
            let pause = Duration::from_millis(25);
            Crowd::with_keys(&replicas[mode], &policy, KEYS, pause, |caller| caller)
        });
        sleep(MOMENT).await;
        Self {
            replicas,
            crowds,
            tasks,
        }
    }

    async fn assert_recovers(&self, since: Instant) {
        for replica in self.replicas.iter().flatten() {
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
    let lost_lanes = lanes_of(&cluster, 1).await.len();
    let lost_keys = keys_of(&cluster, 1).await;
    let visit = Visit::of(&cluster).await;
    lose(&mut cluster).await;
    let lost = Instant::now();
    sleep(8 * MOMENT).await;
    for replica in visit.replicas.iter().flatten() {
        // Not all of them have callers.
        let down = replica.stats().lanes_down;
        assert!((1..=lost_lanes).contains(&down), "{down} of {lost_lanes}");
    }
    let until = Instant::now();
    bring_back(&mut cluster).await;
    cluster.wait_until_ok().await;
    visit.assert_recovers(Instant::now()).await;
    for calls in visit.leave().await {
        let others = calls.only(|call| !lost_keys.contains(&call.key));
        assert_eq!(others.total(Outcome::Unavailable), 0);
        assert!(others.count(lost, until, Outcome::Admitted) > 1_000);
        others.assert_bound();
        // A node that keeps nothing forgets a burst.
        let excess = calls.excess();
        assert!(excess <= 20.0, "{excess}");
    }
}

/// Which keys a node keeps.
async fn keys_of(cluster: &RedisCluster, node: usize) -> Vec<usize> {
    let limiter = limiter(cluster, false, "look:");
    // By the same lanes as those of the policy whose quotas these replace.
    let hourly = policy("cluster", &[QUOTA]).with_quotas(["10/h".parse().unwrap()]);
    let hourly = hourly.unwrap();
    let mut keys = Vec::new();
    let mut size = String::from("0");
    for key in 0..KEYS {
        let charged = limiter.apply_key(&hourly, key, Operation::Charge(Cost::ONE));
        assert!(charged.await.is_ok());
        let now = cluster.node(node).cli(&["DBSIZE"]).await;
        if now != size {
            keys.push(key);
        }
        size = now;
    }
    assert!((5..25).contains(&keys.len()), "{keys:?}");
    keys
}
