//! What was wrong in an earlier system of this kind, and must not come back. Each is named after its
//! number in that list.

use std::{collections::HashSet, fs, sync::Arc, time::Duration};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use tempfile::TempDir;
use tower_plugin_auth::{
    Clock, IssueError, ManualClock, MemoryStore, NewToken, Principal, TokenStore, Tokens,
    store::{CachedStore, EncryptedFileStore, FileKey, FileKeyRing, List, SharedStore},
    token::{InvalidReason, KeyRing, Pepper, TokenKind},
};
use tower_plugin_tests::redis::{APPEND_ONLY, RedisServer};

use crate::{
    redis::store as redis,
    support::{MINUTE, builder, for_somebody, state},
};

const RUNTIME: TokenKind = TokenKind::Runtime;

/// The keys that all replicas have.
fn keys() -> KeyRing {
    KeyRing::new(Pepper::new(1, &[7; 32]).unwrap(), []).unwrap()
}

/// F08: a token was worth nothing to any part of the system but the one that had issued it.
#[tokio::test]
async fn f08_a_token_is_known_wherever_the_store_is() {
    let server = RedisServer::start().await;
    let shared = Arc::new(MemoryStore::new(10).unwrap());
    let (a, b) = (redis(&server.url(), 10), redis(&server.url(), 10));
    let cached = redis(&server.url(), 10)
        .cached(CachedStore::builder())
        .unwrap();
    for stores in [
        vec![
            SharedStore::new(Arc::clone(&shared)),
            SharedStore::new(shared),
        ],
        vec![
            SharedStore::new(a),
            SharedStore::new(b),
            SharedStore::new(cached),
        ],
    ] {
        let replicas: Vec<_> = stores
            .into_iter()
            .map(|store| Tokens::builder(store, keys()).build().unwrap())
            .collect();
        for here in &replicas {
            let issued = here.issue(for_somebody(RUNTIME)).await.unwrap();
            for there in &replicas {
                let known = state(there, RUNTIME, issued.token().expose()).await;
                assert_eq!(known, Ok(()));
            }
            assert!(here.revoke(&issued.token().id()).await.unwrap());
        }
    }
}

/// F09: tokens lay in clear in memory, and on disk where there was a disk.
#[tokio::test]
async fn f09_no_secret_reaches_a_store() {
    let server = RedisServer::start_with(APPEND_ONLY).await;
    let directory = TempDir::new().unwrap();
    let file_keys = FileKeyRing::new(FileKey::new(1, &[9; 32]).unwrap(), []).unwrap();
    let path = directory.path().join("tokens");
    let in_file = EncryptedFileStore::builder(path, file_keys)
        .create()
        .unwrap();
    let in_redis = redis(&server.url(), 100);

    let mut issued = Vec::new();
    for store in [SharedStore::new(in_redis), SharedStore::new(in_file)] {
        let tokens = Tokens::builder(store, keys()).build().unwrap();
        for kind in [RUNTIME, TokenKind::Grant, TokenKind::OneTime] {
            issued.push(tokens.issue(for_somebody(kind)).await.unwrap());
        }
        let first = issued[issued.len() - 3].token().id();
        issued.push(tokens.rotate(&first).await.unwrap());
    }

    let mut kept = Vec::new();
    let mut directories = vec![server.directory().to_owned(), directory.path().to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => directories.push(path),
                false => kept.extend(fs::read(path).unwrap()),
            }
        }
    }
    let holds = |part: &[u8]| kept.windows(part.len()).any(|window| window == part);
    for issued in &issued {
        let text = issued.token().expose();
        let body = URL_SAFE_NO_PAD.decode(&text["tpr_".len()..]).unwrap();
        // In whole, in half, as text and as bytes. The prefix and 21 characters are the kind and the id.
        for part in [&text.as_bytes()[26..46], &text.as_bytes()[46..66]] {
            assert!(!holds(part));
        }
        for part in [&body[16..32], &body[32..48]] {
            assert!(!holds(part));
        }
    }
    let digest = issued[0].token().id().to_string();
    assert!(holds(digest.as_bytes()), "Redis has written something down");
}

/// F10: whoever shook hands often enough filled the memory, and the dead were never counted out.
#[tokio::test]
async fn f10_no_store_grows_without_bound() {
    let server = RedisServer::start().await;
    let directory = TempDir::new().unwrap();
    let file_keys = FileKeyRing::new(FileKey::new(1, &[9; 32]).unwrap(), []).unwrap();
    let path = directory.path().join("tokens");
    let file = EncryptedFileStore::builder(path, file_keys).with_capacity(20);
    for (name, store) in [
        ("memory", SharedStore::new(MemoryStore::new(20).unwrap())),
        ("redis", SharedStore::new(redis(&server.url(), 20))),
        ("file", SharedStore::new(file.create().unwrap())),
    ] {
        let clock = ManualClock::new();
        let tokens = builder(store, &clock).build().unwrap();
        for day in 0..3 {
            for _ in 0..20 {
                let new = for_somebody(RUNTIME);
                tokens
                    .issue(new)
                    .await
                    .unwrap_or_else(|error| panic!("{name}: {error}"));
            }
            let full = tokens.issue(for_somebody(RUNTIME)).await;
            assert!(matches!(full, Err(IssueError::Full)), "{name}, day {day}");
            clock.advance(MINUTE * 24 * 60);
        }
        tokens.sweep().await.unwrap();
        assert!(
            tokens.list(&List::all()).await.unwrap().is_empty(),
            "{name}"
        );
    }
}

/// F12: a token could be neither revoked nor replaced, listed, nor left to die of idleness.
#[tokio::test]
async fn f12_tokens_are_revoked_replaced_listed_and_left_to_die() {
    let clock = ManualClock::new();
    let tokens = builder(MemoryStore::new(100).unwrap(), &clock)
        .with_idle_timeout(MINUTE * 30)
        .with_absolute_lifetime(MINUTE * 60)
        .build()
        .unwrap();
    let first = tokens.issue(for_somebody(RUNTIME)).await.unwrap();
    let second = tokens.rotate(&first.token().id()).await.unwrap();
    let list = List::of_subject("plugin", "cache");
    assert_eq!(tokens.list(&list).await.unwrap().len(), 2);

    clock.advance(MINUTE * 29);
    assert!(
        state(&tokens, RUNTIME, second.token().expose())
            .await
            .is_ok()
    );
    clock.advance(MINUTE * 30);
    let idle = state(&tokens, RUNTIME, second.token().expose()).await;
    assert_eq!(idle, Err(InvalidReason::Idle));

    let third = tokens.issue(for_somebody(RUNTIME)).await.unwrap();
    assert_eq!(third.expires_at(), clock.wall() + MINUTE * 60);
    assert!(tokens.revoke_subject("plugin", "cache").await.unwrap() >= 1);
    let revoked = state(&tokens, RUNTIME, third.token().expose()).await;
    assert_eq!(revoked, Err(InvalidReason::Unknown));
}

/// F16: documented as idempotent, a second handshake took the first one's place in places. Every issue
/// is an identity of its own, and takes nothing from the one before.
#[tokio::test]
async fn f16_a_second_issue_is_a_second_identity() {
    let clock = ManualClock::new();
    let tokens = builder(MemoryStore::new(100).unwrap(), &clock)
        .build()
        .unwrap();
    let new = || NewToken::runtime(&"Cache Plugin".parse().unwrap());
    let (first, second) = (
        tokens.issue(new()).await.unwrap(),
        tokens.issue(new()).await.unwrap(),
    );
    let subject = |issued: &tower_plugin_auth::Issued| issued.principal().subject().to_owned();
    assert_ne!(subject(&first), subject(&second));
    // While a token that replaces another is of the same one.
    let third = tokens.rotate(&first.token().id()).await.unwrap();
    assert_eq!(subject(&third), subject(&first));
    for issued in [&first, &second, &third] {
        assert_eq!(
            state(&tokens, RUNTIME, issued.token().expose()).await,
            Ok(())
        );
    }
}

/// OAuth states were the time of day.
#[tokio::test]
async fn ten_thousand_one_time_tokens_are_all_different_and_last_five_minutes() {
    let clock = ManualClock::new();
    let tokens = builder(MemoryStore::new(10_000).unwrap(), &clock)
        .build()
        .unwrap();
    let mut seen = HashSet::new();
    let mut last = None;
    for _ in 0..10_000 {
        let issued = tokens
            .issue(for_somebody(TokenKind::OneTime))
            .await
            .unwrap();
        assert_eq!(issued.expires_at(), clock.wall() + MINUTE * 5);
        assert!(seen.insert(issued.token().expose().to_owned()));
        last = Some(issued);
    }
    let last = last.unwrap();
    clock.advance(MINUTE * 5);
    assert!(
        tokens
            .consume(last.token().expose().as_bytes())
            .await
            .is_err()
    );
}

/// A thousand tokens of ten milliseconds, checked by four threads while the clock runs over their end.
async fn expire_under_load<S: TokenStore>(store: S) {
    let clock = ManualClock::new();
    let ttl = Duration::from_millis(10);
    let tokens = builder(store, &clock)
        .with_insecure_min_ttl(ttl)
        .with_runtime_ttl(ttl)
        .build()
        .unwrap();
    let mut issued = Vec::new();
    for number in 0..1000_u32 {
        let owner = Principal::new("plugin", number.to_string());
        let issuing = tokens.issue(NewToken::for_principal(RUNTIME, owner));
        issued.push(issuing.await.unwrap());
        if number % 100 == 99 {
            clock.advance(Duration::from_micros(100));
        }
    }
    let issued = Arc::new(issued);
    let mut checking = tokio::task::JoinSet::new();
    for offset in 0..4 {
        let (tokens, clock, issued) = (tokens.clone(), clock.clone(), Arc::clone(&issued));
        checking.spawn(async move {
            let mut valid = 0;
            for (round, token) in issued
                .iter()
                .cycle()
                .skip(offset * 250)
                .take(2000)
                .enumerate()
            {
                let before = clock.wall();
                let checked = state(&tokens, RUNTIME, token.token().expose()).await;
                let after = clock.wall();
                match checked {
                    Ok(()) => assert!(before < token.expires_at(), "accepted when expired"),
                    Err(_) => assert!(after >= token.expires_at(), "refused while live"),
                }
                valid += u32::from(checked.is_ok());
                if round % 100 == 0 {
                    clock.advance(Duration::from_micros(200));
                    tokens.sweep().await.unwrap();
                    tokio::task::yield_now().await;
                }
            }
            valid
        });
    }
    let valid: u32 = checking.join_all().await.into_iter().sum();
    assert!((1..8000).contains(&valid), "{valid} of 8000 were valid");
    clock.advance(ttl);
    tokens.sweep().await.unwrap();
    assert!(tokens.list(&List::all()).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_thousand_tokens_expire_under_load_in_memory() {
    expire_under_load(MemoryStore::new(1000).unwrap()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_thousand_tokens_expire_under_load_in_redis() {
    let server = RedisServer::start().await;
    expire_under_load(redis(&server.url(), 1000)).await;
    let cached = redis(&server.url(), 1000).cached(CachedStore::builder());
    expire_under_load(cached.unwrap()).await;
}
