//! The cache hears of what others do.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::{task::JoinSet, time::Instant};
use tower_plugin_auth::{
    Answer, TokenStore,
    store::{CachedStore, CachedStoreBuilder, RedisStore, Revocation},
};
use tower_plugin_tests::{
    proxy::{Faults, Proxy, Replies},
    redis::RedisServer,
};

use super::store;
use crate::support::{MINUTE, found, id, minute, record};

pub(crate) const BOUND: Duration = Duration::from_secs(2);

fn settings() -> CachedStoreBuilder {
    CachedStore::builder().with_revocation_bound(BOUND)
}

/// A cache that has begun to hear.
pub(crate) async fn cached(url: &str, settings: CachedStoreBuilder) -> CachedStore<RedisStore> {
    let cached = store(url, 1_000_000).cached(settings).unwrap();
    until(async || cached.is_live()).await;
    cached
}

/// Asks again and again, until it is so.
pub(crate) async fn until(mut condition: impl AsyncFnMut() -> bool) {
    let patience = Instant::now() + Duration::from_secs(20);
    while !condition().await {
        assert!(Instant::now() < patience, "in vain");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

async fn revoke(store: &RedisStore, number: u128) {
    let revoked = store.revoke(Revocation::Tokens(&[id(number)])).await;
    assert_eq!(revoked.unwrap(), 1);
}

/// A cache that writes down an answer without a look at what was forgotten meanwhile serves a deleted
/// record as long as it serves any.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn reads_that_race_with_a_revocation_are_never_stale_after_the_bound() {
    const TOKENS: u128 = 4000;
    let server = RedisServer::start().await;
    // Nothing but the news may end the life of an entry.
    let replica = cached(&server.url(), settings().with_max_age(MINUTE * 60)).await;
    let elsewhere = store(&server.url(), 1_000_000);

    let (raced, slowest) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let mut running = JoinSet::new();
    for number in 0..TOKENS {
        let (replica, elsewhere) = (replica.clone(), elsewhere.clone());
        let (raced, slowest) = (Arc::clone(&raced), Arc::clone(&slowest));
        running.spawn(async move {
            elsewhere.insert(record(number), minute(0)).await.unwrap();
            let reads = async {
                // Between one and four, some of them from what is remembered.
                for _ in 0..=number % 4 {
                    if found(&replica, number).await.is_some() {
                        raced.fetch_add(1, Relaxed);
                    }
                }
            };
            let revoked = async {
                revoke(&elsewhere, number).await;
                Instant::now()
            };
            let (_, revoked) = tokio::join!(reads, revoked);
            loop {
                let asked_at = revoked.elapsed();
                if found(&replica, number).await.is_none() {
                    break;
                }
                assert!(asked_at < BOUND, "{number} is stale");
                tokio::time::sleep(Duration::from_micros(200)).await;
            }
            let millis = u32::try_from(revoked.elapsed().as_millis()).unwrap();
            slowest.fetch_max(millis, Relaxed);
        });
        // So that a revocation is not behind a thousand others.
        if running.len() >= 32 {
            running.join_next().await.unwrap().unwrap();
        }
    }
    while let Some(done) = running.join_next().await {
        done.unwrap();
    }
    assert!(raced.load(Relaxed) > 1000, "few reads were in the race");
    for number in 0..TOKENS {
        let stale = found(&replica, number).await;
        assert!(stale.is_none(), "{number} came back");
    }
    eprintln!(
        "{} reads raced, the slowest news took {} ms",
        raced.load(Relaxed),
        slowest.load(Relaxed)
    );
}

#[tokio::test]
async fn what_is_remembered_is_not_asked_for_again() {
    let server = RedisServer::start().await;
    let replica = cached(&server.url(), settings()).await;
    replica.insert(record(1), minute(0)).await.unwrap();
    until(async || {
        let _ = found(&replica, 1).await;
        matches!(replica.get(&id(1)), Answer::Ready(_))
    })
    .await;
    let before = server.calls("hget").await;
    for _ in 0..1000 {
        assert!(found(&replica, 1).await.is_some());
    }
    let asked = server.calls("hget").await - before;
    assert!(asked < 10, "{asked}");
}

#[tokio::test]
async fn a_hundred_who_want_to_know_the_same_ask_once() {
    let server = RedisServer::start().await;
    let replica = cached(&server.url(), settings()).await;
    store(&server.url(), 100)
        .insert(record(1), minute(0))
        .await
        .unwrap();
    let all = futures_util::future::join_all((0..100).map(|_| found(&replica, 1)));
    assert!(all.await.iter().all(Option::is_some));
    assert_eq!(server.calls("hget").await, 1);
}

#[tokio::test]
async fn a_flush_is_news_too() {
    let server = RedisServer::start().await;
    let replica = cached(&server.url(), settings()).await;
    replica.insert(record(1), minute(0)).await.unwrap();
    assert!(found(&replica, 1).await.is_some());
    server.cli(&["FLUSHALL"]).await;
    let began = Instant::now();
    until(async || found(&replica, 1).await.is_none()).await;
    assert!(began.elapsed() < BOUND);
}

#[tokio::test]
async fn what_was_revoked_while_nobody_listened_is_refused_afterwards() {
    let server = RedisServer::start().await;
    let proxy = Proxy::start(server.port()).await;
    let replica = cached(&proxy.url(), settings().with_max_age(MINUTE)).await;
    let elsewhere = store(&server.url(), 100);
    for number in [1, 2] {
        elsewhere.insert(record(number), minute(0)).await.unwrap();
        assert!(found(&replica, number).await.is_some());
    }
    proxy.refuse().await;
    proxy.reset().await;
    until(async || !replica.is_live()).await;
    revoke(&elsewhere, 1).await;
    // Nobody knows, and nobody guesses.
    assert!(replica.get(&id(1)).await.is_err());
    assert!(replica.get(&id(2)).await.is_err());

    proxy.accept().await;
    let answer = async || replica.get(&id(1)).await.ok();
    until(async || {
        let answered = answer().await;
        assert!(!matches!(answered, Some(Some(_))), "revoked");
        answered.is_some()
    })
    .await;
    assert!(found(&replica, 2).await.is_some());
    until(async || replica.is_live()).await;
}

/// Nothing tells a connection that is still open from one on which nothing arrives any more.
#[tokio::test]
async fn a_silent_network_costs_the_bound_and_no_more() {
    let server = RedisServer::start().await;
    let proxy = Proxy::start(server.port()).await;
    let redis = RedisStore::builder(&proxy.url())
        .with_deadline(Duration::from_millis(300))
        .with_connect_timeout(Duration::from_millis(300))
        .build()
        .unwrap();
    let replica = redis.cached(settings().with_max_age(MINUTE)).unwrap();
    until(async || replica.is_live()).await;
    let elsewhere = store(&server.url(), 100);
    elsewhere.insert(record(1), minute(0)).await.unwrap();
    // The news of the insert may come after the first answer.
    for _ in 0..20 {
        until(async || {
            let asked = replica.get(&id(1));
            let is_remembered = matches!(asked, Answer::Ready(_));
            asked.await.is_ok() && is_remembered
        })
        .await;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }

    let mute = Faults {
        replies: Replies::Drop,
        ..Faults::default()
    };
    proxy.set(mute);
    revoke(&elsewhere, 1).await;
    let revoked = Instant::now();
    let mut served = 0;
    while revoked.elapsed() < BOUND * 2 {
        let asked_at = revoked.elapsed();
        match replica.get(&id(1)).await {
            Ok(Some(_)) => {
                assert!(asked_at < BOUND, "served {asked_at:?} after the revocation");
                served += 1;
            }
            Ok(None) => panic!("nobody can know"),
            Err(_) => {}
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(served > 0, "the network fell silent before the test did");

    proxy.set(Faults::default());
    until(async || replica.get(&id(1)).await.is_ok_and(|found| found.is_none())).await;
    until(async || replica.is_live()).await;
}

#[tokio::test]
async fn the_task_ends_with_the_last_clone() {
    let server = RedisServer::start().await;
    let replica = cached(&server.url(), settings()).await;
    let listeners = async || {
        let clients = server.cli(&["CLIENT", "LIST"]).await;
        clients
            .lines()
            .filter(|line| line.contains("flags=tB"))
            .count()
    };
    let clone = replica.clone();
    drop(replica);
    // Half a second of pings.
    tokio::time::sleep(BOUND / 4).await;
    assert_eq!(listeners().await, 1);
    assert!(clone.is_live());
    drop(clone);
    until(async || listeners().await == 0).await;
}

#[test]
fn without_a_runtime_it_is_not_built() {
    let redis = RedisStore::builder("redis://localhost").build().unwrap();
    let error = redis.cached(CachedStore::builder()).unwrap_err();
    assert_eq!(error.field(), "runtime");
}
