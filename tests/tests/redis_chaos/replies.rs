//! A network that resets connections, loses replies, or is slow.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use tower_plugin_ratelimit::{
    Cost,
    redis::{OnUnavailable, RedisLimiter},
};
use tower_plugin_tests::{
    proxy::{Faults, Proxy, Replies},
    redis::RedisServer,
};

use crate::{
    crowd::{Crowd, Outcome, STEADY, Tasks, assert_recovers, policy},
    site::Site,
};

const MOMENT: Duration = Duration::from_millis(400);

fn slow(delay: Duration) -> Faults {
    Faults {
        delay_to_client: delay,
        ..Faults::default()
    }
}

fn losing(replies: Replies) -> Faults {
    Faults {
        replies,
        ..Faults::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn resets_lose_what_was_under_way_and_admit_nothing_twice() {
    let server = RedisServer::start().await;
    let proxy = Proxy::start(server.port()).await;
    let site = Site::open(&proxy.url()).await;
    sleep(MOMENT).await;
    for _ in 0..10 {
        proxy.reset().await;
        sleep(MOMENT / 4).await;
    }
    // Done, and the client cannot know.
    for _ in 0..10 {
        proxy.set(losing(Replies::Reset));
        sleep(MOMENT / 20).await;
        proxy.set(Faults::default());
        sleep(MOMENT / 4).await;
    }
    proxy.refuse().await;
    proxy.reset().await;
    sleep(MOMENT).await;
    proxy.accept().await;
    let returned = Instant::now();
    site.assert_recovers(returned).await;
    let recovered = Instant::now();
    sleep(2 * MOMENT).await;
    let seen = site.close().await;
    seen.assert_bounds();
    seen.assert_admits(recovered, Instant::now());
    // Connections are not left open, nor made in a hurry while there is nobody.
    let counts = proxy.until(|counts| counts.open() == 0).await;
    assert!(counts.connections <= 4 + 4 * 2 * 20 + 4 * 8, "{counts:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_replies_lose_units_and_gain_none() {
    let server = RedisServer::start().await;
    let proxy = Proxy::start(server.port()).await;
    let site = Site::open(&proxy.url()).await;
    for _ in 0..2 {
        sleep(MOMENT).await;
        proxy.set(losing(Replies::Drop));
        sleep(2 * MOMENT).await;
        proxy.set(Faults::default());
        let returned = Instant::now();
        // Connections that have lost a reply stay mute: they have to be given up.
        site.assert_recovers(returned).await;
    }
    let recovered = Instant::now();
    sleep(2 * MOMENT).await;
    let seen = site.close().await;
    seen.assert_bounds();
    seen.assert_admits(recovered, Instant::now());
    proxy.until(|counts| counts.open() == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn late_replies_keep_nobody_waiting() {
    let server = RedisServer::start().await;
    let proxy = Proxy::start(server.port()).await;
    let site = Site::open(&proxy.url()).await;
    sleep(MOMENT).await;
    // Late, and still in time for the connection to live.
    proxy.set(slow(Duration::from_millis(800)));
    sleep(6 * MOMENT).await;
    proxy.set(Faults::default());
    let returned = Instant::now();
    site.assert_recovers(returned).await;
    let recovered = Instant::now();
    sleep(2 * MOMENT).await;
    let seen = site.close().await;
    seen.assert_bounds();
    seen.assert_admits(recovered, Instant::now());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_server_is_waited_for_a_few_times_and_then_not_at_all() {
    let server = RedisServer::start().await;
    let proxy = Proxy::start(server.port()).await;
    let tasks = Tasks::now();
    let deadline = Duration::from_millis(50);
    for leases in [false, true] {
        let builder = RedisLimiter::builder(proxy.url()).with_deadline(deadline);
        let builder = if leases {
            builder.with_leases(10)
        } else {
            builder
        };
        let replica = builder
            .with_on_unavailable(OnUnavailable::Deny)
            .build()
            .unwrap();
        replica.connected().await.unwrap();
        let steady = policy("steady", &[STEADY]);
        let replicas = [replica];
        let callers = Crowd::of(&replicas, &steady, 8, Duration::from_millis(5));
        let [replica] = replicas;
        sleep(MOMENT).await;
        proxy.set(slow(4 * deadline));
        let since = Instant::now();
        sleep(4 * MOMENT).await;
        let stats = replica.stats();
        assert_eq!(stats.lanes_down, 1, "only one lane has callers: {stats:?}");
        proxy.set(Faults::default());
        let returned = Instant::now();
        assert_recovers(&replica, returned).await;
        let recovered = Instant::now();
        sleep(MOMENT).await;
        let until = Instant::now();
        let calls = callers.leave().await;
        calls.assert_bound();
        assert!(calls.count(recovered, until, Outcome::Admitted) > 40);
        let slow = calls.only(|call| call.before >= since && call.after <= returned);
        let waited = slow.only(|call| call.after - call.before >= deadline / 2);
        // Each of eight callers waits once for each of the three deadlines it takes, and somebody
        // may get in between.
        let (waited, all) = (waited.calls.len(), slow.calls.len());
        assert!(waited <= 8 * 4 && all > 8 * 100, "{waited} of {all} waited");
    }
    tasks.assert_none_left().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_keys_on_a_long_way_do_not_wait_for_longer_than_their_deadline() {
    const KEYS: usize = 4_000;
    let server = RedisServer::start().await;
    let proxy = Proxy::start(server.port()).await;
    // Thousands of tasks are woken at once: a fifth of this is long enough for that.
    let deadline = Duration::from_secs(2);
    let limiter = RedisLimiter::builder(proxy.url())
        .with_lanes(1)
        .with_deadline(deadline)
        .with_on_unavailable(OnUnavailable::Deny)
        .build()
        .unwrap();
    limiter.connected().await.unwrap();
    // Each batch comes back within an eighth of the deadline, and there are more of them than fit.
    proxy.set(slow(Duration::from_millis(100)));
    let steady = policy("steady", &[STEADY]);
    let mut callers = tokio::task::JoinSet::new();
    for key in 0..KEYS {
        let before = Instant::now();
        let decision = limiter.check_key(&steady, key, Cost::ONE);
        callers.spawn(async move {
            let decided = decision.await;
            (decided.is_ok(), before.elapsed())
        });
    }
    let answers = callers.join_all().await;
    let waited = answers.iter().map(|(_, waited)| *waited).max().unwrap();
    assert!(waited <= deadline * 6 / 5, "somebody waited {waited:?}");
    let decided = answers.iter().filter(|(is_ok, _)| *is_ok).count();
    assert!((1_000..KEYS).contains(&decided), "{decided} decided");
    let stats = limiter.stats();
    assert_eq!(stats.late as usize, KEYS - decided, "{stats:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_connection_is_not_given_up_for_what_failed_on_the_old_one() {
    let server = RedisServer::start().await;
    let proxy = Proxy::start(server.port()).await;
    let limiter = RedisLimiter::builder(proxy.url())
        .with_lanes(2)
        .with_deadline(Duration::from_millis(500))
        .with_on_unavailable(OnUnavailable::Deny)
        .build()
        .unwrap();
    limiter.connected().await.unwrap();
    let steady = policy("steady", &[STEADY]);
    proxy.set(losing(Replies::Drop));
    let first = limiter.check_key(&steady, 0, Cost::ONE);
    proxy.until(|counts| counts.bytes_lost > 0).await;
    proxy.set(Faults::default());
    sleep(MOMENT).await;
    // Some of these go by the other lane, and are lost on the same connection, but later.
    let others = (1..20).map(|key| limiter.check_key(&steady, key, Cost::ONE));
    for other in others.collect::<Vec<_>>() {
        assert!(other.await.is_err());
    }
    assert!(first.await.is_err());
    sleep(3 * MOMENT).await;
    assert_recovers(&limiter, Instant::now()).await;
    assert_eq!(proxy.counts().connections, 2);
}
