//! What the store writes down, and how it asks.

use std::sync::Arc;

use tower_plugin_auth::{
    IssueError, ManualClock, Principal, SystemRng, TokenStore, VerifyError,
    store::{List, RedisStore, Revocation},
    token::{KeyRing, TokenKind, mint},
};
use tower_plugin_tests::redis::RedisServer;

use super::store;
use crate::support::{
    MINUTE, builder, for_somebody, found, id, minute, record, record_from, record_of, revocations,
    state,
};

#[tokio::test]
async fn every_key_is_in_one_place_and_every_record_expires() {
    let server = RedisServer::start().await;
    let store = store(&server.url(), 100);
    let owner = Principal::new("plugin", "somebody who is not named in Redis");
    store.insert(record_of(1, &owner), minute(0)).await.unwrap();
    store.insert(record_of(2, &owner), minute(0)).await.unwrap();

    let keys = server.cli(&["KEYS", "*"]).await;
    let keys: Vec<_> = keys.lines().collect();
    assert_eq!(keys.len(), 2 + 2 + 1 + 2, "{keys:?}");
    for key in keys {
        assert!(key.starts_with("{tp}:"), "{key}");
        assert!(!key.contains("somebody"), "{key}");
        let ttl: i64 = server.cli(&["PTTL", key]).await.parse().unwrap();
        // The two indexes of all tokens stay, and hold what is live.
        match key {
            "{tp}:live" | "{tp}:began" => assert_eq!(ttl, -1),
            _ => assert!((3_600_000..=3_660_000).contains(&ttl), "{key}: {ttl}"),
        }
    }

    assert!(store.take(&id(1)).await.unwrap().is_some());
    assert!(store.take(&id(2)).await.unwrap().is_some());
    assert_eq!(server.cli(&["KEYS", "*"]).await, "");
}

#[tokio::test]
async fn stores_with_different_prefixes_know_nothing_of_each_other() {
    let server = RedisServer::start().await;
    let [a, b] = ["a", "b"].map(|prefix| {
        let builder = RedisStore::builder(&server.url()).with_prefix(prefix);
        builder.build().unwrap()
    });
    a.insert(record(1), minute(0)).await.unwrap();
    assert!(found(&b, 1).await.is_none());
    assert!(b.list(&List::all()).await.unwrap().is_empty());
    b.insert(record(1), minute(0)).await.unwrap();
    assert!(b.take(&id(1)).await.unwrap().is_some());
    assert!(found(&a, 1).await.is_some());
}

#[tokio::test]
async fn scripts_are_sent_in_full_only_where_they_are_unknown() {
    let server = RedisServer::start().await;
    let store = store(&server.url(), 1000);
    for number in 0..100 {
        store.insert(record(number), minute(0)).await.unwrap();
        if number == 50 {
            server.cli(&["SCRIPT", "FLUSH"]).await;
        }
    }
    assert_eq!(server.calls("eval").await, 2);
    assert_eq!(server.calls("evalsha").await, 100);
    assert_eq!(server.calls("script|load").await, 0);
}

#[tokio::test]
async fn what_cannot_be_read_is_not_taken_for_nothing() {
    let server = RedisServer::start().await;
    let tokens = builder(store(&server.url(), 100), &ManualClock::new());
    let tokens = tokens.build().unwrap();
    let keys = KeyRing::random(&SystemRng).unwrap();
    let breakages: [(&str, &[&str]); 2] = [("SET", &["a string"]), ("HSET", &["r", "garbage"])];
    for (command, value) in breakages {
        let minted = mint(TokenKind::Runtime, &keys, &SystemRng).unwrap();
        let key = format!("{{tp}}:t:{}", minted.token().id());
        server.cli(&[&[command, &*key], value].concat()).await;
        let text = minted.token().expose().as_bytes();
        let verified = tokens.verify(TokenKind::Runtime, text).await;
        assert!(
            matches!(verified, Err(VerifyError::Unavailable(_))),
            "{command}: {verified:?}"
        );
    }
}

#[tokio::test]
async fn who_rotates_without_end_fills_nothing() {
    let server = RedisServer::start().await;
    let clock = ManualClock::new();
    let tokens = builder(store(&server.url(), 1000), &clock).build().unwrap();
    let first = tokens
        .issue(for_somebody(TokenKind::Runtime))
        .await
        .unwrap();
    let mut last = first;
    for _ in 0..200 {
        clock.advance(MINUTE);
        last = tokens.rotate(&last.token().id()).await.unwrap();
    }
    let records = server.cli(&["KEYS", "{tp}:t:*"]).await.lines().count();
    assert_eq!(records, 64);
    let valid = state(&tokens, TokenKind::Runtime, last.token().expose()).await;
    assert_eq!(valid, Ok(()));
}

/// Sixty-four callers who rotate one token at the same time are sixty-three that will be told no.
#[tokio::test]
async fn a_family_of_many_live_tokens_loses_none() {
    let server = RedisServer::start().await;
    let store = store(&server.url(), 1000);
    let first = record(0);
    let keys = KeyRing::random(&SystemRng).unwrap();
    let mut ids = vec![first.id()];
    store.insert(first.clone(), minute(0)).await.unwrap();
    for _ in 0..100 {
        let minted = mint(TokenKind::Runtime, &keys, &SystemRng).unwrap();
        let next = first.next_in_family(&minted, minute(0), minute(60));
        ids.push(next.id());
        store.insert(next, minute(0)).await.unwrap();
    }
    for id in ids {
        assert!(store.get(&id).await.unwrap().is_some());
    }
}

/// What is over by the clock of one replica is valid by that of another, and must not be passed over.
#[tokio::test]
async fn a_clock_that_is_ahead_hides_no_token_from_a_revocation() {
    let server = RedisServer::start().await;
    let store = store(&server.url(), 1000);
    let owner = Principal::new("plugin", "cache");
    for (name, revocation) in revocations(&[id(0)]) {
        store.insert(record(0), minute(0)).await.unwrap();
        let ahead = minute(60) + MINUTE / 2;
        let other = record_from(1, &owner, ahead, ahead + MINUTE);
        store.insert(other, ahead).await.unwrap();
        let revoked = store.revoke(revocation).await.unwrap();
        assert_eq!(revoked, if name == "owner" { 2 } else { 1 }, "{name}");
        assert!(found(&store, 0).await.is_none(), "{name}");
        store.revoke(Revocation::Tokens(&[id(1)])).await.unwrap();
    }
}

#[tokio::test]
async fn a_full_server_issues_nothing_and_says_so() {
    let server = RedisServer::start_with(&["--maxmemory", "1", "--maxmemory-policy", "noeviction"]);
    let server = server.await;
    let tokens = builder(store(&server.url(), 100), &ManualClock::new());
    let tokens = tokens.build().unwrap();
    let issued = tokens.issue(for_somebody(TokenKind::Runtime)).await;
    assert!(matches!(issued, Err(IssueError::Unavailable(_))));
}

#[tokio::test]
async fn no_password_is_shown() {
    let server = RedisServer::start().await;
    server.cli(&["CONFIG", "SET", "requirepass", "right"]).await;
    let url = server.url().replace("://", "://:hunter2@");
    let builder_ = RedisStore::builder(&url);
    let mut shown = format!("{builder_:?}");
    let store = builder_.build().unwrap();
    shown += &format!("{store:?}");
    let error = store.get(&id(1)).await.unwrap_err();
    shown += &format!("{error} {error:?}");
    let mut cause: Option<&dyn std::error::Error> = Some(&error);
    while let Some(error) = cause {
        shown += &format!("{error} {error:?}");
        cause = error.source();
    }
    assert!(!shown.contains("hunter2"), "{shown}");

    let right = server.url().replace("://", "://:right@");
    let store = self::store(&right, 10);
    assert!(store.get(&id(1)).await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_is_shared_by_all_who_ask_at_once() {
    let server = RedisServer::start().await;
    let store = Arc::new(store(&server.url(), 1000));
    let mut asking = tokio::task::JoinSet::new();
    for number in 0..100 {
        let store = Arc::clone(&store);
        asking.spawn(async move { store.get(&id(number)).await.unwrap().is_none() });
    }
    assert!(asking.join_all().await.into_iter().all(|is_none| is_none));
    let clients = server.cli(&["CLIENT", "LIST"]).await;
    let ours = clients
        .lines()
        .filter(|line| line.contains("lib-name=redis-rs"));
    assert!(ours.count() <= 1, "{clients}");
}
