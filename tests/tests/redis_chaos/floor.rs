//! A share that is each replica's own at all times: exact in any partition.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use tower_plugin_ratelimit::redis::OnUnavailable;
use tower_plugin_tests::{
    proxy::{Faults, Proxy, Replies},
    redis::RedisServer,
};

use crate::{
    crowd::{Crowd, DEADLINE, Outcome, Tasks, assert_recovers, limiter, policy},
    dice::{Dice, seconds},
};

const REPLICAS: u32 = 4;
const MOMENT: Duration = Duration::from_millis(400);

/// Cuts a replica off, or not.
async fn partition(proxy: &Proxy, kind: u64) {
    let faults = match kind {
        0 => Faults {
            replies: Replies::Drop,
            ..Faults::default()
        },
        1 => Faults {
            replies: Replies::Reset,
            ..Faults::default()
        },
        2 => Faults {
            delay_to_client: Duration::from_millis(700),
            ..Faults::default()
        },
        _ => Faults::default(),
    };
    proxy.set(faults);
    if kind == 3 {
        proxy.refuse().await;
    }
    if kind <= 4 {
        proxy.reset().await;
    }
    if kind != 3 && proxy.counts().is_refusing {
        proxy.accept().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_reaches_redis_or_not_the_quota_is_kept() {
    let server = RedisServer::start().await;
    let mut dice = Dice::new();
    let mut proxies = Vec::new();
    for _ in 0..REPLICAS {
        proxies.push(Proxy::start(server.port()).await);
    }
    let tasks = Tasks::now();
    let mut fleets = Vec::new();
    for (number, leases, percent, quotas) in [
        (0, false, 20, &["400/s:200"][..]),
        (1, true, 20, &["400/s:200"]),
        (2, true, 60, &["400/s:300", "3000/m:900"]),
    ] {
        let floor = OnUnavailable::Floor {
            percent,
            replicas: REPLICAS,
        };
        let build = |proxy: &Proxy| limiter(&proxy.url(), leases, floor);
        let replicas: Vec<_> = proxies.iter().map(build).collect();
        let policy = policy(&format!("floor-{number}"), quotas);
        let callers = Crowd::of(&replicas, &policy, 2, Duration::from_millis(6));
        fleets.push((replicas, callers, percent));
    }
    sleep(MOMENT).await;
    // Flapping.
    let end = Instant::now() + seconds(4);
    while Instant::now() < end {
        let proxy = &proxies[dice.below(REPLICAS.into()) as usize];
        partition(proxy, dice.below(9)).await;
        sleep(Duration::from_millis(20 + dice.below(150))).await;
    }
    // Nobody reaches it, and their own share is there all the same.
    for proxy in &proxies {
        partition(proxy, 3).await;
    }
    sleep(MOMENT).await;
    let alone = Instant::now();
    sleep(3 * MOMENT).await;
    let together = Instant::now();
    for proxy in &proxies {
        partition(proxy, 9).await;
    }
    let returned = Instant::now();
    for (replicas, ..) in &fleets {
        for replica in replicas {
            assert_recovers(replica, returned).await;
        }
    }
    sleep(2 * MOMENT).await;
    let mut all = Vec::new();
    for (replicas, callers, percent) in fleets {
        all.push((callers.leave().await, percent));
        drop(replicas);
    }
    tasks.assert_none_left().await;
    for (number, (calls, percent)) in all.into_iter().enumerate() {
        calls.assert_patience(DEADLINE);
        calls.assert_bound();
        assert_eq!(calls.total(Outcome::Unavailable), 0);
        // In the third fleet the minute's quota may be used up.
        if number < 2 {
            let rate = 400.0 * f64::from(percent) / 100.0 / f64::from(REPLICAS);
            let expected = rate * (together - alone).as_secs_f64() * 0.8;
            for replica in 0..REPLICAS as usize {
                let own = calls.of_replica(replica);
                let admitted = own.count(alone, together, Outcome::Admitted);
                assert!(admitted as f64 >= expected, "{admitted}, not {expected}");
            }
        }
    }
}
