//! Servers that die, freeze, or refuse to write.

use std::{env, time::Duration};

use tokio::time::{Instant, sleep};
use tower_plugin_tests::redis::{APPEND_ONLY, RedisServer, Replication};

use crate::{
    crowd::Outcome,
    site::{Seen, Site},
};

const MOMENT: Duration = Duration::from_millis(400);

/// Lets callers come before and after something happens.
async fn through(url: &str, happens: impl AsyncFnOnce() -> Instant) -> Seen {
    let site = Site::open(url).await;
    sleep(MOMENT).await;
    let returned = happens().await;
    site.assert_recovers(returned).await;
    let recovered = Instant::now();
    sleep(2 * MOMENT).await;
    let seen = site.close().await;
    seen.assert_admits(recovered, Instant::now());
    seen
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn debts_survive_a_server_that_is_killed_and_keeps_a_log() {
    let mut server = RedisServer::start_with(APPEND_ONLY).await;
    let url = server.url();
    let seen = through(&url, async || {
        server.kill();
        sleep(MOMENT).await;
        server.restart().await;
        Instant::now()
    });
    let seen = seen.await;
    seen.assert_bounds();
    for calls in &seen.steady {
        assert!(calls.total(Outcome::Unavailable) > 100);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_keeps_nothing_forgets_a_burst_and_no_more() {
    let mut server = RedisServer::start().await;
    let url = server.url();
    let seen = through(&url, async || {
        server.kill();
        sleep(MOMENT).await;
        server.restart().await;
        Instant::now()
    });
    let seen = seen.await;
    for calls in seen.all() {
        let excess = calls.excess();
        assert!(excess <= 100.0, "{excess} is more than a burst");
    }
    // It has indeed forgotten, else this shows nothing.
    let [exact, leased] = seen.hourly.map(|calls| calls.total(Outcome::Admitted));
    assert_eq!(exact, 200);
    assert!((150..=200).contains(&leased), "{leased}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_freezes_is_done_without_until_it_goes_on() {
    let pause = env::var("CHAOS_PAUSE_MS").map_or(5_000, |millis| millis.parse().unwrap());
    let server = RedisServer::start().await;
    let mut frozen = None;
    let url = server.url();
    let seen = through(&url, async || {
        server.pause().await;
        let since = Instant::now();
        sleep(Duration::from_millis(pause)).await;
        frozen = Some((since, Instant::now()));
        server.resume();
        Instant::now()
    });
    let seen = seen.await;
    seen.assert_bounds();
    let (since, until) = frozen.unwrap();
    // One deadline to notice, and the life of a lease: then nobody waits any more.
    let noticed = since + Duration::from_millis(1_500);
    for calls in &seen.steady {
        let waiting = calls.only(|call| call.before >= noticed && call.after <= until);
        assert!(waiting.calls.len() > 100, "{}", waiting.calls.len());
        assert_eq!(waiting.total(Outcome::Unavailable), waiting.calls.len());
        waiting.assert_patience(Duration::from_millis(100));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_notices_that_the_script_is_forgotten() {
    let server = RedisServer::start().await;
    let url = server.url();
    let seen = through(&url, async || {
        for _ in 0..20 {
            server.cli(&["SCRIPT", "FLUSH", "SYNC"]).await;
            sleep(MOMENT / 10).await;
        }
        Instant::now()
    });
    let seen = seen.await;
    seen.assert_bounds();
    for calls in seen.all() {
        assert_eq!(calls.total(Outcome::Unavailable), 0);
    }
    assert!(server.calls("eval").await > 20);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_without_memory_left_admits_nothing_and_keeps_its_debts() {
    let server = RedisServer::start_with(&["--maxmemory-policy", "noeviction"]).await;
    let memory = async |bytes| server.cli(&["CONFIG", "SET", "maxmemory", bytes]).await;
    let mut full = Vec::new();
    let url = server.url();
    let seen = through(&url, async || {
        memory("1").await;
        let since = Instant::now();
        sleep(3 * MOMENT).await;
        full.push((since, Instant::now()));
        // It comes and goes.
        for turn in 0..10 {
            memory(if turn % 2 == 0 { "0" } else { "1" }).await;
            sleep(MOMENT / 4).await;
        }
        memory("0").await;
        Instant::now()
    });
    let seen = seen.await;
    seen.assert_bounds();
    let (since, until) = full[0];
    let [exact, leased] = &seen.steady;
    assert_eq!(exact.count(since, until, Outcome::Admitted), 0);
    assert!(exact.count(since, until, Outcome::Unavailable) > 100);
    // What was on lease may be spent.
    assert!(leased.count(since, until, Outcome::Admitted) <= 10);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failover_forgets_what_was_not_copied_and_no_more() {
    let servers = Replication::start().await;
    let mut demoted = None;
    let url = servers.first.url();
    let seen = through(&url, async || {
        servers.settle().await;
        // What the first is told now is lost.
        servers.promote().await;
        sleep(MOMENT / 4).await;
        servers.demote().await;
        let since = Instant::now();
        sleep(2 * MOMENT).await;
        demoted = Some((since, Instant::now()));
        servers.first.cli(&["REPLICAOF", "NO", "ONE"]).await;
        Instant::now()
    });
    let seen = seen.await;
    for calls in seen.all() {
        let excess = calls.excess();
        assert!(excess <= 100.0, "{excess} is more than a burst");
    }
    // Most of the hour's was admitted long before the failover.
    for calls in &seen.hourly {
        let admitted = calls.total(Outcome::Admitted);
        assert!((80..=100).contains(&admitted), "{admitted}");
    }
    let (since, until) = demoted.unwrap();
    let [exact, _] = &seen.steady;
    assert_eq!(exact.count(since, until, Outcome::Admitted), 0);
    assert!(exact.count(since, until, Outcome::Unavailable) > 100);
}
